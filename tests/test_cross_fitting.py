"""Cross-fitting: each row is tested once, and probabilities become columns of all classes."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, LeaveOneOut, ShuffleSplit

from sklearn_bert._cross_fitting import Outputs, check_partition, check_probabilities, make_folds
from sklearn_bert._data.targets import SingleLabelTarget
from tests.helpers import exactly

SMALLEST = np.finfo(np.float32).eps


def outputs_of(y, response="auto"):
    return Outputs.of(np.asarray(y), SingleLabelTarget, None, response)


class Fixed:
    """A classifier of some classes that predicts the same for each text."""

    def __init__(self, classes, probabilities):
        self.classes_, self.probabilities = np.array(classes), probabilities

    def predict_proba(self, texts):
        return np.tile(self.probabilities, (len(texts), 1))


@pytest.mark.parametrize("cv", [4, None, KFold(3), LeaveOneOut()], ids=["int", "None", "KFold", "LeaveOneOut"])
def test_folds_test_each_row_once_and_train_on_all_others(cv):
    y = np.arange(20) % 2
    splits = make_folds(cv, y, outputs_of(y), {}, seed=0)
    assert sorted(check_partition(splits, 20, "name")) == list(range(20))
    for train, test in splits:
        assert sorted([*train, *test]) == list(range(20))


def test_folds_of_an_int_are_shuffled_by_the_seed_and_have_all_classes():
    y = np.repeat(["a", "b", "c"], 10)
    tests = [[test.tolist() for _, test in make_folds(5, y, outputs_of(y), {}, seed)] for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]
    assert all((np.unique(y[test], return_counts=True)[1] == 2).all() for test in tests[0])


def test_folds_that_overlap_are_refused():
    y = np.arange(20) % 2
    message = (
        r"^TextTargetEncoder expects cv to test each of the 20 rows once, got 10 test rows, \d of them different\. "
        r"Pass a cv such as sklearn\.model_selection\.KFold\.$"
    )
    with pytest.raises(ValueError, match=message):
        make_folds(ShuffleSplit(2, test_size=5, random_state=0), y, outputs_of(y), {}, seed=0)


@pytest.mark.parametrize(
    ("probabilities", "got"),
    [([np.ones((3, 2))], "a list"), (np.ones((3, 1)), "shape (3, 1)")],
    ids=["a list", "a column"],
)
def test_probabilities_of_another_shape_are_refused(probabilities, got):
    message = (
        f"Name expects LogisticRegression.predict_proba to give an array of shape (3, 2), got {got}. Wrap the "
        "estimator in sklearn.multiclass.OneVsRestClassifier."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_probabilities(probabilities, (3, 2), LogisticRegression(), "Name")


def test_a_class_that_a_fit_did_not_see_has_probability_zero_and_a_finite_logit():
    estimator = Fixed(["a", "c"], [0.25, 0.75])
    y = ["a", "b", "c"]
    assert outputs_of(y).features(estimator, ["one", "two"]).tolist() == [[0.25, 0, 0.75]] * 2
    logits = outputs_of(y, "logit").features(estimator, ["one"])
    np.testing.assert_allclose(logits, np.log([[0.25, SMALLEST, 0.75]]))


def test_two_classes_are_one_feature_whose_logit_is_finite():
    certain = Fixed([False, True], [0.0, 1.0])
    assert outputs_of([True, False]).endings == ["_True"]
    assert outputs_of([True, False]).features(certain, ["one"]).tolist() == [[1.0]]
    logits = outputs_of([True, False], "logit").features(certain, ["one"])
    np.testing.assert_allclose(logits, [[np.log((1 - SMALLEST) / SMALLEST)]])
