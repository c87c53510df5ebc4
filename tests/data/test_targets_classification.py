"""Targets of the classifier: one label per row and several labels per row, in every container."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from scipy.special import expit

from sklearn_bert._data.target_validation import check_classification_y
from sklearn_bert._data.targets import MultiLabelTarget, SingleLabelTarget
from tests.data.example_targets import BOOLS, INTS, LABELS, MATRIX, NAMES, UNEVEN, WEIGHTS, fit_target, random_logits
from tests.helpers import cases, exactly

# --- one label per row -------------------------------------------------------------------------


SINGLE_LABEL = {
    "list of int": (INTS, np.int64),
    "uint64 array": (np.array(INTS, dtype=np.uint64), np.uint64),
    "float32 array of whole numbers": (np.array(INTS, dtype=np.float32), np.float32),
    "list of whole floats": ([3.0, -1.0, 3.0], np.float64),
    "list of bool": (BOOLS, np.bool_),
    "list of str": (NAMES, "<U5"),
    "object array of str": (np.array(NAMES, dtype=object), object),
    "StringDType array": (np.array(NAMES, dtype=np.dtypes.StringDType()), object),
    "pandas int32": (pd.Series(INTS, dtype="int32", index=[1, 1, 0, 5]), np.int32),
    "pandas str": (pd.Series(NAMES), object),
    "pandas string": (pd.Series(NAMES, dtype="string"), object),
    "pandas arrow string": (pd.Series(NAMES, dtype="string[pyarrow]"), object),
    "pandas category of str": (pd.Series(NAMES, dtype="category"), object),
    "pandas category of int": (pd.Series(INTS, dtype="category"), np.int64),
    "pandas ordered category": (pd.Series(pd.Categorical(NAMES, ["yes", "no", "maybe"], ordered=True)), object),
    "pandas Int64": (pd.Series(INTS, dtype="Int64"), np.int64),
    "pandas boolean": (pd.Series(BOOLS, dtype="boolean"), np.bool_),
    "pandas Float64": (pd.Series(INTS, dtype="Float64"), np.float64),
    "pandas arrow int": (pd.Series(INTS, dtype="int64[pyarrow]"), np.int64),
    "polars int": (pl.Series(INTS), np.int64),
    "polars bool": (pl.Series(BOOLS), np.bool_),
    "polars categorical": (pl.Series(NAMES, dtype=pl.Categorical), object),
    "as many classes as rows": (np.arange(40), np.int64),
}


@pytest.mark.parametrize(("y", "dtype"), **cases(SINGLE_LABEL))
def test_classes_are_the_sorted_labels_in_the_dtype_of_y(y, dtype):
    _, target = fit_target(check_classification_y, y)
    assert isinstance(target, SingleLabelTarget)
    assert (target.classes.tolist(), target.classes.dtype) == (sorted(set(y)), dtype)


@pytest.mark.parametrize(("y", "dtype"), **cases(SINGLE_LABEL))
def test_predict_of_one_hot_logits_returns_the_labels(y, dtype):
    values, target = fit_target(check_classification_y, y)
    labels = target.predict(np.eye(target.num_labels)[target.encode(values)])
    assert (labels.tolist(), labels.dtype) == (list(y), dtype)


def test_encode_returns_the_positions_of_the_classes_in_int64():
    values, target = fit_target(check_classification_y, np.array(NAMES))
    np.testing.assert_array_equal(target.encode(values), np.array([1, 2, 1, 0], dtype=np.int64), strict=True)


@pytest.mark.parametrize("y", [["a", "a"], [3, 3], [True], [2.0, 2.0]], ids=["str", "int", "bool", "float"])
def test_single_label_target_raises_for_one_class_and_names_it(y):
    message = (
        f"BertClassifier needs at least two classes, but y holds 1 class: {y[0]!r}. "
        "Check how y was selected (rows of zero sample_weight do not count)."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fit_target(check_classification_y, y)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_predict_proba_sums_to_one_in_float64_even_for_extreme_logits(n_classes):
    _, target = fit_target(check_classification_y, range(n_classes))
    logits = np.vstack([random_logits(9, n_classes), random_logits(9, n_classes, 1e4), np.full((1, n_classes), -1e4)])
    proba = target.predict_proba(logits)
    assert (proba.shape, proba.dtype) == (logits.shape, np.float64)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_predict_proba_is_the_softmax_of_the_logits(n_classes):
    _, target = fit_target(check_classification_y, range(n_classes))
    logits = random_logits(9, n_classes)
    proba = target.predict_proba(logits)
    np.testing.assert_allclose(proba / proba[:, :1], np.exp(logits - logits[:, :1]))


def test_decision_function_of_two_classes_is_the_difference_of_the_logits():
    _, target = fit_target(check_classification_y, NAMES[:2])
    assert target.decision_function(np.array([[1.0, 3.5], [2.0, -1.0]])).tolist() == [2.5, -3.0]


def test_single_label_target_raises_for_a_threshold():
    message = (
        "Got threshold=0.3, which applies to several labels per row, but y holds one class per row. Pass "
        "threshold=0.5, and wrap the classifier in sklearn.model_selection.FixedThresholdClassifier."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        SingleLabelTarget(UNEVEN, WEIGHTS, threshold=0.3)


# --- class weights -----------------------------------------------------------------------------


def test_apply_class_weight_multiplies_the_sample_weight_of_the_listed_classes():
    values, target = fit_target(check_classification_y, UNEVEN, WEIGHTS, class_weight={"a": 5.0, "c": 0.5})
    np.testing.assert_allclose(target.apply_class_weight(values, WEIGHTS), [10, 1, 3, 0.5, 1, 0.5, 1, 1])


@pytest.mark.parametrize("weights", [np.ones(8), WEIGHTS], ids=["unweighted", "weighted"])
def test_balanced_class_weight_gives_every_class_an_equal_share_of_the_total(weights):
    values, target = fit_target(check_classification_y, UNEVEN, weights, class_weight="balanced")
    weighted = target.apply_class_weight(values, weights)
    np.testing.assert_allclose([weighted[values == label].sum() for label in "abc"], weights.sum() / 3)


def test_balanced_class_weight_counts_weight_k_as_k_copies():
    _, weighted = fit_target(check_classification_y, UNEVEN, WEIGHTS, class_weight="balanced")
    _, copied = fit_target(check_classification_y, UNEVEN.repeat(WEIGHTS.astype(int)), class_weight="balanced")
    np.testing.assert_allclose(weighted.class_weight, copied.class_weight)


@pytest.mark.parametrize("weight", [np.inf, np.nan, -1.0])
def test_class_weight_that_is_infinite_nan_or_negative_raises(weight):
    for y in ([0, 1], MATRIX):
        with pytest.raises(ValueError, match="expected finite non-negative weights"):
            fit_target(check_classification_y, y, class_weight={0: weight, 1: 1.0})


# --- several labels per row --------------------------------------------------------------------


MIXED = pd.DataFrame({"a": MATRIX[:, 0], "b": MATRIX[:, 1].astype(bool), "c": MATRIX[:, 2].astype(float)})


MULTI_LABEL = {
    "int array": MATRIX,
    "uint8 array": MATRIX.astype(np.uint8),
    "float array": MATRIX.astype(float),
    "bool array": MATRIX.astype(bool),
    "list of lists": MATRIX.tolist(),
    "pandas": pd.DataFrame(MATRIX, columns=["a", "b", "b"], index=[2, 2, 0, 1]),
    "pandas int, bool and float": MIXED,
    "pandas Int64": pd.DataFrame(MATRIX, dtype="Int64"),
    "pandas boolean": pd.DataFrame(MATRIX).astype("boolean"),
    "pandas Int64, boolean and Float64": MIXED.astype({"a": "Int64", "b": "boolean", "c": "Float64"}),
    "pandas arrow": pd.DataFrame(MATRIX).astype("int64[pyarrow]"),
    "polars": pl.DataFrame(MATRIX),
    "polars int, bool and float": pl.DataFrame({name: column.to_numpy() for name, column in MIXED.items()}),
    "sparse csr": sparse.csr_array(MATRIX),
    "sparse coo": sparse.coo_array(MATRIX),
}


@pytest.mark.parametrize("y", **cases(MULTI_LABEL))
def test_encode_of_a_2d_y_of_zeros_and_ones_is_dense_float64(y):
    values, target = fit_target(check_classification_y, y)
    assert isinstance(target, MultiLabelTarget)
    np.testing.assert_array_equal(target.encode(values), MATRIX.astype(np.float64), strict=True)


@pytest.mark.parametrize("y", **cases(MULTI_LABEL))
def test_predict_of_logits_of_the_right_sign_returns_the_matrix_in_int64(y):
    values, target = fit_target(check_classification_y, y)
    np.testing.assert_array_equal(target.predict(target.encode(values) - 0.5), MATRIX, strict=True)


@pytest.mark.parametrize("y", [np.zeros((3, 2), int), np.ones((3, 2)), [[0, 1]]], ids=["zeros", "ones", "one row"])
def test_multi_label_y_may_have_constant_labels(y):
    assert check_classification_y(y)[1] is MultiLabelTarget


def test_predict_proba_of_labels_is_strictly_between_0_and_1_in_float64():
    _, target = fit_target(check_classification_y, MATRIX)
    proba = target.predict_proba(np.array([[-1e4, 0.0, 1e4], [-800.0, 40.0, 1e308]]))
    assert (proba.shape, proba.dtype) == ((2, 3), np.float64)
    assert np.all((proba > 0) & (proba < 1))


def test_predict_proba_of_labels_is_the_sigmoid_of_the_logits():
    _, target = fit_target(check_classification_y, MATRIX)
    logits = random_logits(9, 3)
    np.testing.assert_allclose(target.predict_proba(logits), expit(logits))


def test_class_weight_of_labels_becomes_pos_weight_and_keeps_sample_weight():
    weights = np.ones(4)
    target = MultiLabelTarget(LABELS, weights, class_weight={3: 2.5, 0: 0.5})
    assert target.loss_params["pos_weight"].tolist() == [0.5, 1.0, 1.0, 2.5]
    assert target.apply_class_weight(LABELS, weights) is weights
    assert "pos_weight" not in MultiLabelTarget(LABELS, weights).loss_params


def test_predict_returns_the_labels_above_their_thresholds():
    thresholds = np.array([0.5, 0.2, 0.9, 0.0])
    target = MultiLabelTarget(LABELS, np.ones(4))
    logits = random_logits(200, 4)
    assert np.array_equal(target.predict(logits, thresholds), target.predict_proba(logits) > thresholds)
    assert target.predict(logits, 1.0).sum() == 0
    assert np.array_equal(target.predict(logits, {1: 0.2, 2: 0.9, 3: 0.0}), target.predict(logits, thresholds))


@pytest.mark.parametrize(
    "threshold", [1.5, [0.5, 0.5], [0.5, 0.5, 0.5, -0.1], [[0.5] * 4], {0: 2.0}, {0: "low"}, ["low"] * 4], ids=str
)
def test_multi_label_target_raises_for_thresholds_out_of_range_or_number(threshold):
    message = (
        f"Got threshold={threshold!r}, expected a probability between 0 and 1, or one for each of 4 labels, or a "
        "dict of some of them. Pass 0.5 for the usual one."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        MultiLabelTarget(LABELS, np.ones(4), threshold=threshold)


def test_multi_label_target_raises_for_a_threshold_of_an_unknown_label():
    message = (
        "threshold names ['a'], which are none of the 4 labels. Expected all by name, as the columns of a DataFrame y "
        "have it, or all by position from 0 to 3. Labels left out have 0.5."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        MultiLabelTarget(LABELS, np.ones(4), threshold={"a": 0.3})


# --- logarithms of probabilities ---------------------------------------------------------------


@pytest.mark.parametrize("y", [[0, 1], [0, 1, 2], MATRIX], ids=["two classes", "three", "labels"])
def test_predict_log_proba_is_the_logarithm_of_predict_proba_and_exact_where_that_is_too_small(y):
    _, target = fit_target(check_classification_y, y)
    logits = random_logits(9, target.num_labels)
    np.testing.assert_allclose(np.exp(target.predict_log_proba(logits)), target.predict_proba(logits), rtol=1e-12)
    extreme = np.full((1, target.num_labels), 1e4)
    extreme[0, 0] = -1e4
    log_probabilities = target.predict_log_proba(extreme)
    assert (log_probabilities.shape, log_probabilities.dtype) == (extreme.shape, np.float64)
    other = 0 if target.output_kind == "label" else 1e4 + np.log(target.num_labels - 1)
    assert log_probabilities[0, 0] == pytest.approx(-1e4 - other, rel=1e-15)
