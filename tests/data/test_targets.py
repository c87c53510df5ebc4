"""What all targets have in common: problem type, decisions, scores, and y after the first fit."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn import metrics
from sklearn.exceptions import DataConversionWarning

from sklearn_bert._data import targets
from sklearn_bert._data.target import FIRST, PARTIAL_FIT, VALIDATION, WARM_START
from sklearn_bert._data.target_validation import check_classification_y, check_regression_y
from sklearn_bert._data.targets import MultiLabelTarget, RegressionTarget, SingleLabelTarget
from tests.data.example_targets import (
    INTS,
    LABELS,
    MATRIX,
    NAMES,
    PRICES,
    TABLE,
    UNEVEN,
    WEIGHTS,
    fit_target,
    random_logits,
)
from tests.helpers import cases, exactly

RAVEL = (
    "A column-vector y was passed when a 1d array was expected. "
    "Please change the shape of y to (n_samples, ), for example using ravel()."
)


MODES = {
    "two classes": (check_classification_y, NAMES[:2], "single_label_classification", 2),
    "three classes": (check_classification_y, NAMES, "single_label_classification", 3),
    "labels": (check_classification_y, MATRIX, "multi_label_classification", 3),
    "one number": (check_regression_y, PRICES, "regression", 1),
    "two numbers": (check_regression_y, TABLE, "regression", 2),
}


@pytest.mark.parametrize(("check", "y", "problem_type", "num_labels"), **cases(MODES))
def test_problem_type_and_num_labels_follow_y(check, y, problem_type, num_labels):
    _, target = fit_target(check, y)
    assert (target.problem_type, target.num_labels) == (problem_type, num_labels)


def test_targets_module_does_not_import_torch():
    nodes = list(ast.walk(ast.parse(Path(targets.__file__).read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names}.isdisjoint({"torch", "transformers", "skorch"})


COLUMNS = {
    "array": np.array(INTS)[:, None],
    "list of lists": [[label] for label in INTS],
    "pandas": pd.DataFrame({"y": INTS}),
    "pandas Int64": pd.DataFrame({"y": INTS}, dtype="Int64"),
    "polars": pl.DataFrame({"y": INTS}),
    "sparse": sparse.csr_array(np.array(INTS)[:, None]),
}


@pytest.mark.parametrize("y", **cases(COLUMNS))
@pytest.mark.parametrize("check", [check_classification_y, check_regression_y])
def test_checks_ravel_a_single_column_with_a_warning(check, y):
    with pytest.warns(DataConversionWarning, match=exactly(RAVEL)):
        values, _ = check(y)
    assert (values.tolist(), values.shape) == (INTS, (4,))


@pytest.mark.parametrize(
    ("check", "y"),
    [(check_classification_y, UNEVEN), (check_classification_y, np.eye(8, 2)), (check_regression_y, np.arange(8))],
    ids=["classes", "labels", "numbers"],
)
def test_apply_class_weight_without_class_weight_keeps_sample_weight(check, y):
    values, target = fit_target(check, y, WEIGHTS)
    np.testing.assert_array_equal(target.apply_class_weight(values, WEIGHTS), WEIGHTS)


DECISIONS = {
    "two classes": (NAMES[:2], (50,), lambda decision: decision > 0, lambda proba: proba[:, 1] > 0.5),
    "three classes": (NAMES, (50, 3), lambda decision: decision.argmax(axis=1), lambda proba: proba.argmax(axis=1)),
    "three labels": (MATRIX, (50, 3), lambda decision: decision > 0, lambda proba: proba > 0.5),
}


@pytest.mark.parametrize(("y", "shape", "chosen", "likely"), **cases(DECISIONS))
def test_decision_function_agrees_with_predict_and_predict_proba(y, shape, chosen, likely):
    _, target = fit_target(check_classification_y, y)
    logits = np.vstack([random_logits(49, target.num_labels), np.zeros((1, target.num_labels))])
    decision = target.decision_function(logits)
    assert decision.shape == shape
    np.testing.assert_array_equal(target.encode(target.predict(logits)), chosen(decision))
    np.testing.assert_array_equal(likely(target.predict_proba(logits)), chosen(decision))


# --- scores ------------------------------------------------------------------------------------


def test_score_equals_the_metric_of_scikit_learn():
    rng, weights = np.random.default_rng(0), np.linspace(1, 2, 50)
    codes, matrix, numbers = rng.integers(0, 3, 50), rng.integers(0, 2, (50, 3)), rng.normal(size=(50, 2))
    single = SingleLabelTarget(codes, weights)
    logits = random_logits(50, 3)
    expected = metrics.accuracy_score(codes, single.predict(logits), sample_weight=weights)
    assert single.score(logits, codes, weights) == pytest.approx(expected)
    expected = metrics.average_precision_score(matrix, expit(logits), average="micro", sample_weight=weights)
    assert MultiLabelTarget(matrix, weights).score(logits, matrix, weights) == pytest.approx(expected)
    regression = RegressionTarget(numbers, weights)
    expected = metrics.r2_score(numbers, regression.predict(logits[:, :2]), sample_weight=weights)
    assert regression.score(logits[:, :2], numbers, weights) == pytest.approx(expected)


def test_multi_label_score_of_rows_without_labels_is_zero():
    assert MultiLabelTarget(LABELS, np.ones(4)).score(random_logits(4, 4), np.zeros((4, 4)), np.ones(4)) == 0.0


# --- y after the first fit ---------------------------------------------------------------------


ROLES = {
    "classes": (FIRST, "y", "classes", "pass all classes as classes="),
    "validation": (VALIDATION, "y_val", "y", "pass X and y that have them too"),
    "warm start": (WARM_START, "y", "the earlier fit", "fit anew with warm_start=False"),
    "partial_fit": (
        PARTIAL_FIT,
        "y",
        "the first call",
        "start anew with sklearn.base.clone(estimator) and all classes as classes= in its first call",
    ),
}


@pytest.mark.parametrize(("role", "name", "earlier", "cure"), **cases(ROLES))
def test_encode_raises_for_labels_outside_the_classes_and_says_what_the_y_is(role, name, earlier, cure):
    target = SingleLabelTarget(UNEVEN, WEIGHTS)
    message = (
        f"{name} holds labels that are not among the classes: ['d', 'e']. Expected some of ['a', 'b', 'c'], as in "
        f"{earlier}. Drop these rows, or {cure}."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        target.encode(np.array(["a", "e", "d", "b"]), role)


@pytest.mark.parametrize(("role", "name", "earlier", "_"), **cases(ROLES))
@pytest.mark.parametrize(
    ("target", "y"),
    [(MultiLabelTarget(LABELS, np.ones(4)), LABELS[:, :3]), (RegressionTarget(np.arange(4.0), np.ones(4)), LABELS)],
    ids=["labels", "numbers"],
)
def test_encode_raises_for_another_number_of_columns_and_says_what_the_y_is(target, y, role, name, earlier, _):
    message = f"{name} has {y.shape[1]} columns, expected {target.num_labels} as in {earlier}. Pass the same columns."
    for method in (target.encode, lambda y, role: target.refit_keeping_classes(y, np.ones(4), None, role)):
        with pytest.raises(ValueError, match=exactly(message)):
            method(y, role)


def test_classes_argument_sets_the_classes_and_raises_if_it_does_not_fit_y():
    target = SingleLabelTarget(UNEVEN, WEIGHTS, classes=["d", "a", "b", "c"])
    assert target.classes.tolist() == ["a", "b", "c", "d"]
    assert target.encode(np.array(["d"])).tolist() == [3]
    message = "y has 4 columns of 0 and 1, but classes=[0, 2]. Expected a class for each column: pass range(4) or None."
    with pytest.raises(ValueError, match=exactly(message)):
        MultiLabelTarget(LABELS, np.ones(4), classes=[0, 2])
    for classes in ([0, 1], range(4)):  # as np.unique(y) in scikit-learn, or one class per column
        assert MultiLabelTarget(LABELS, np.ones(4), classes=classes).classes.tolist() == [0, 1, 2, 3]
    message = "BertClassifier needs at least two classes, but classes has 1 class: 'a'. Pass all that will ever occur."
    with pytest.raises(ValueError, match=exactly(message)):
        SingleLabelTarget(UNEVEN, WEIGHTS, classes=["a"])


def test_refit_keeping_classes_keeps_the_classes_and_takes_new_parameters():
    first = SingleLabelTarget(UNEVEN, WEIGHTS, classes=["a", "b", "c", "d"])
    y = np.array(["d", "a", "a"])
    second = first.refit_keeping_classes(y, np.ones(3), None, class_weight="balanced", label_smoothing=0.1)
    assert second.classes.tolist() == first.classes.tolist()
    assert second.class_weight.tolist() == [
        0.75,
        1,
        1,
        1.5,
    ]  # balanced between the two classes of y only
    assert second.loss_params == {"label_smoothing": 0.1}
    message = "Got classes=['a', 'b'], expected those of the first call, ['a', 'b', 'c', 'd']. Pass the same, or None."
    with pytest.raises(ValueError, match=exactly(message)):
        first.refit_keeping_classes(y, np.ones(3), ["a", "b"])


def test_refit_keeping_classes_of_labels_takes_new_parameters():
    first = MultiLabelTarget(LABELS, np.ones(4))
    second = first.refit_keeping_classes(LABELS, np.ones(4), None, label_smoothing=0.1)
    assert second.loss_params == {"label_smoothing": 0.1}


def test_refit_keeping_classes_keeps_the_scale_of_numbers():
    first = RegressionTarget(PRICES, np.ones(4))
    assert first.refit_keeping_classes(PRICES / 100, np.ones(4), None, scale=True) is first
