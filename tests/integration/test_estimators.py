"""scikit-learn's whole suite of checks, on both estimators, without a single expected failure.

The strict regime makes training a deterministic function of the data: float64, one batch of all
rows, no dropout. All of it is set through ordinary parameters.
"""

import pytest
from sklearn.utils.estimator_checks import check_estimator

from tests.numeric_text import NumericClassifier, NumericRegressor

STRICT = {
    "precision": "float64",
    "batch_size": 4096,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "max_epochs": 30,
    "learning_rate": 1e-2,
    "random_state": 0,
    "device": "cpu",
}


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [NumericClassifier, NumericRegressor])
def test_all_of_scikit_learns_checks_pass(estimator, numeric_bert, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # one check is skipped without it
    results = check_estimator(estimator(numeric_bert, **STRICT), on_fail=None, on_skip=None)
    not_passed = {r["check_name"]: (r["status"], r["exception"]) for r in results if r["status"] != "passed"}
    assert not not_passed
    # A slip in a tag would turn the suite into one check and a skip.
    assert len(results) > 55


@pytest.mark.parametrize("estimator", [NumericClassifier, NumericRegressor])
def test_the_adapter_replaces_one_hook_and_the_tags_only(estimator):
    adapter = estimator.__mro__[1]
    assert {name for name in vars(adapter) if not name.startswith("__")} == {"_check_X"}
    assert "__sklearn_tags__" in vars(adapter)
