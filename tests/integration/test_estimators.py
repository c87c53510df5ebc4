"""All checks of scikit-learn's `check_estimator` pass for the estimators that train, without an expected failure.

The settings make training a deterministic function of the data: float64, one batch of all rows, no dropout.
"""

import pytest
from sklearn.utils.estimator_checks import check_estimator

from sklearn_bert import BertClassifier
from tests.numeric_text import NumericClassifier, NumericRegressor, NumericTargetEncoder

DETERMINISTIC = {
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
def test_check_estimator_passes_for_both_estimators(estimator, numeric_bert, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # one check is skipped without it
    results = check_estimator(estimator(numeric_bert, **DETERMINISTIC), on_fail=None, on_skip=None)
    not_passed = {r["check_name"]: (r["status"], r["exception"]) for r in results if r["status"] != "passed"}
    assert not not_passed
    # With a wrong tag, one check would run and the others would be skipped.
    assert len(results) > 55


@pytest.mark.slow
def test_check_estimator_passes_for_the_target_encoder(numeric_bert, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # one check is skipped without it
    classifier = BertClassifier(numeric_bert, **DETERMINISTIC | {"max_epochs": 20})
    encoder = NumericTargetEncoder(estimator=classifier, cv=2, random_state=0)
    results = check_estimator(encoder, on_fail=None, on_skip=None)
    not_passed = {r["check_name"]: (r["status"], r["exception"]) for r in results if r["status"] != "passed"}
    assert not not_passed
    assert len(results) > 50


@pytest.mark.parametrize("estimator", [NumericClassifier, NumericRegressor, NumericTargetEncoder])
def test_numeric_adapter_overrides_only_check_x_and_the_tags(estimator):
    adapter = estimator.__mro__[1]
    assert {name for name in vars(adapter) if not name.startswith("__")} == {"_check_X"}
    assert "__sklearn_tags__" in vars(adapter)
