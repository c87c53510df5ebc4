"""y decides the mode: every row of the house's table, at the level of the targets."""

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
from sklearn_bert._data.target_validation import check_classification_y, check_regression_y
from sklearn_bert._data.targets import MultiLabelTarget, RegressionTarget, SingleLabelTarget
from tests.helpers import MATRIX, cases, exactly, fit

RAVEL = (
    "A column-vector y was passed when a 1d array was expected. "
    "Please change the shape of y to (n_samples, ), for example using ravel()."
)


def random_logits(n_rows, n_columns, scale=3.0):
    return np.random.default_rng(0).normal(size=(n_rows, n_columns), scale=scale)


# --- one label per row -------------------------------------------------------------------------

INTS, BOOLS, NAMES = [3, 1, 3, 2], [True, False, True, True], ["no", "yes", "no", "maybe"]
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
def test_classes_are_the_sorted_labels_and_keep_their_dtype(y, dtype):
    _, target = fit(check_classification_y, y)
    assert isinstance(target, SingleLabelTarget)
    assert (target.classes.tolist(), target.classes.dtype) == (sorted(set(y)), dtype)


@pytest.mark.parametrize(("y", "dtype"), **cases(SINGLE_LABEL))
def test_one_hot_logits_give_back_the_labels(y, dtype):
    values, target = fit(check_classification_y, y)
    labels = target.predict(np.eye(target.num_labels)[target.encode(values)])
    assert (labels.tolist(), labels.dtype) == (list(y), dtype)


def test_encoded_classes_are_positions_in_int64():
    values, target = fit(check_classification_y, np.array(NAMES))
    np.testing.assert_array_equal(target.encode(values), np.array([1, 2, 1, 0], dtype=np.int64), strict=True)


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
def test_a_single_column_is_ravelled_with_a_warning(check, y):
    with pytest.warns(DataConversionWarning, match=exactly(RAVEL)):
        values, _ = check(y)
    assert (values.tolist(), values.shape) == (INTS, (4,))


@pytest.mark.parametrize("y", [["a", "a"], [3, 3], [True], [2.0, 2.0]], ids=["str", "int", "bool", "float"])
def test_one_class_is_refused_by_name(y):
    message = (
        f"BertClassifier needs at least two classes, but y holds 1 class: {y[0]!r}. "
        "Check how y was selected (rows of zero sample_weight do not count)."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fit(check_classification_y, y)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_rows_of_probabilities_sum_to_one_in_float64_even_for_extreme_logits(n_classes):
    _, target = fit(check_classification_y, range(n_classes))
    logits = np.vstack([random_logits(9, n_classes), random_logits(9, n_classes, 1e4), np.full((1, n_classes), -1e4)])
    proba = target.predict_proba(logits)
    assert (proba.shape, proba.dtype) == (logits.shape, np.float64)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_ratios_of_probabilities_are_exponentials_of_differences_of_logits(n_classes):
    _, target = fit(check_classification_y, range(n_classes))
    logits = random_logits(9, n_classes)
    proba = target.predict_proba(logits)
    np.testing.assert_allclose(proba / proba[:, :1], np.exp(logits - logits[:, :1]))


def test_the_decision_of_two_classes_is_the_margin_of_the_second():
    _, target = fit(check_classification_y, NAMES[:2])
    assert target.decision_function(np.array([[1.0, 3.5], [2.0, -1.0]])).tolist() == [2.5, -3.0]


# --- class weights -----------------------------------------------------------------------------

UNEVEN = np.array(["a", "b", "b", "c", "c", "c", "b", "c"])
WEIGHTS = np.array([2.0, 1, 3, 1, 2, 1, 1, 2])


@pytest.mark.parametrize(
    ("check", "y"),
    [(check_classification_y, UNEVEN), (check_classification_y, np.eye(8, 2)), (check_regression_y, np.arange(8))],
    ids=["classes", "labels", "numbers"],
)
def test_without_class_weight_the_sample_weights_stay(check, y):
    values, target = fit(check, y, WEIGHTS)
    np.testing.assert_array_equal(target.apply_class_weight(values, WEIGHTS), WEIGHTS)


def test_a_dict_multiplies_the_sample_weights_and_leaves_other_classes():
    values, target = fit(check_classification_y, UNEVEN, WEIGHTS, class_weight={"a": 5.0, "c": 0.5})
    np.testing.assert_allclose(target.apply_class_weight(values, WEIGHTS), [10, 1, 3, 0.5, 1, 0.5, 1, 1])


@pytest.mark.parametrize("weights", [np.ones(8), WEIGHTS], ids=["unweighted", "weighted"])
def test_balanced_gives_every_class_the_same_share_of_the_same_total(weights):
    values, target = fit(check_classification_y, UNEVEN, weights, class_weight="balanced")
    weighed = target.apply_class_weight(values, weights)
    np.testing.assert_allclose([weighed[values == label].sum() for label in "abc"], weights.sum() / 3)


def test_a_weight_of_k_balances_as_k_copies_do():
    _, weighted = fit(check_classification_y, UNEVEN, WEIGHTS, class_weight="balanced")
    _, copied = fit(check_classification_y, UNEVEN.repeat(WEIGHTS.astype(int)), class_weight="balanced")
    np.testing.assert_allclose(weighted.class_weight, copied.class_weight)


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
def test_a_2d_y_of_zeros_and_ones_is_encoded_as_dense_float64(y):
    values, target = fit(check_classification_y, y)
    assert isinstance(target, MultiLabelTarget)
    np.testing.assert_array_equal(target.encode(values), MATRIX.astype(np.float64), strict=True)


@pytest.mark.parametrize("y", **cases(MULTI_LABEL))
def test_logits_of_the_right_sign_give_back_the_matrix_in_int64(y):
    values, target = fit(check_classification_y, y)
    np.testing.assert_array_equal(target.predict(target.encode(values) - 0.5), MATRIX, strict=True)


@pytest.mark.parametrize("y", [np.zeros((3, 2), int), np.ones((3, 2)), [[0, 1]]], ids=["zeros", "ones", "one row"])
def test_labels_may_be_constant(y):
    assert check_classification_y(y)[1] is MultiLabelTarget


def test_probabilities_of_labels_are_strictly_inside_0_and_1_in_float64():
    _, target = fit(check_classification_y, MATRIX)
    proba = target.predict_proba(np.array([[-1e4, 0.0, 1e4], [-800.0, 40.0, 1e308]]))
    assert (proba.shape, proba.dtype) == ((2, 3), np.float64)
    assert np.all((proba > 0) & (proba < 1))


def test_each_label_has_the_sigmoid_of_its_logit():
    _, target = fit(check_classification_y, MATRIX)
    logits = random_logits(9, 3)
    np.testing.assert_allclose(target.predict_proba(logits), expit(logits))


DECISIONS = {
    "two classes": (NAMES[:2], (50,), lambda decision: decision > 0, lambda proba: proba[:, 1] > 0.5),
    "three classes": (NAMES, (50, 3), lambda decision: decision.argmax(axis=1), lambda proba: proba.argmax(axis=1)),
    "three labels": (MATRIX, (50, 3), lambda decision: decision > 0, lambda proba: proba > 0.5),
}


@pytest.mark.parametrize(("y", "shape", "chosen", "likely"), **cases(DECISIONS))
def test_the_decision_agrees_with_predict_and_probability(y, shape, chosen, likely):
    _, target = fit(check_classification_y, y)
    logits = np.vstack([random_logits(49, target.num_labels), np.zeros((1, target.num_labels))])
    decision = target.decision_function(logits)
    assert decision.shape == shape
    np.testing.assert_array_equal(target.encode(target.predict(logits)), chosen(decision))
    np.testing.assert_array_equal(likely(target.predict_proba(logits)), chosen(decision))


LABELS = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])


def test_weights_of_labels_go_to_the_loss_and_leave_those_of_the_rows():
    weights = np.ones(4)
    target = MultiLabelTarget(LABELS, weights, class_weight={3: 2.5, 0: 0.5})
    assert target.loss_params["pos_weight"].tolist() == [0.5, 1.0, 1.0, 2.5]
    assert target.apply_class_weight(LABELS, weights) is weights
    assert "pos_weight" not in MultiLabelTarget(LABELS, weights).loss_params


def test_a_label_is_predicted_above_its_threshold():
    thresholds = np.array([0.5, 0.2, 0.9, 0.0])
    target = MultiLabelTarget(LABELS, np.ones(4))
    logits = random_logits(200, 4)
    assert np.array_equal(target.predict(logits, thresholds), target.predict_proba(logits) > thresholds)
    assert target.predict(logits, 1.0).sum() == 0


@pytest.mark.parametrize("threshold", [1.5, [0.5, 0.5], [0.5, 0.5, 0.5, -0.1], [[0.5] * 4]], ids=str)
def test_thresholds_out_of_range_or_number_are_refused(threshold):
    message = (
        f"Got threshold={threshold!r}, expected a probability between 0 and 1, or one for each of 4 labels. "
        "Pass 0.5 for the usual one."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        MultiLabelTarget(LABELS, np.ones(4), threshold=threshold)


def test_a_threshold_is_refused_for_one_class_per_row():
    message = (
        "Got threshold=0.3, which applies to several labels per row, but y holds one class per row. Pass "
        "threshold=0.5, and wrap the classifier in sklearn.model_selection.FixedThresholdClassifier."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        SingleLabelTarget(UNEVEN, WEIGHTS, threshold=0.3)


# --- scores, and y that comes later ----------------------------------------------------------------


def test_scores_are_scikit_learns():
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


def test_rows_without_any_label_have_a_score_of_zero():
    assert MultiLabelTarget(LABELS, np.ones(4)).score(random_logits(4, 4), np.zeros((4, 4)), np.ones(4)) == 0.0


def test_labels_that_were_not_announced_are_refused():
    target = SingleLabelTarget(UNEVEN, WEIGHTS)
    message = (
        "y holds labels that are not among the classes: ['d', 'e']. Expected some of ['a', 'b', 'c']. Drop these rows, "
        "or fit anew on all classes (partial_fit takes them as classes=)."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        target.encode(np.array(["a", "e", "d", "b"]))


@pytest.mark.parametrize(
    ("target", "y"),
    [(MultiLabelTarget(LABELS, np.ones(4)), LABELS[:, :3]), (RegressionTarget(np.arange(4.0), np.ones(4)), LABELS)],
    ids=["labels", "numbers"],
)
def test_another_number_of_columns_is_refused(target, y):
    message = f"y has {y.shape[1]} columns, expected {target.num_labels} as in the first fit. Pass the same columns."
    with pytest.raises(ValueError, match=exactly(message)):
        target.encode(y)


def test_classes_may_be_announced():
    target = SingleLabelTarget(UNEVEN, WEIGHTS, classes=["d", "a", "b", "c"])
    assert target.classes.tolist() == ["a", "b", "c", "d"]
    assert target.encode(np.array(["d"])).tolist() == [3]
    message = "y has 4 columns of 0 and 1, but classes=[0, 2]. Expected a class for each column: pass range(4) or None."
    with pytest.raises(ValueError, match=exactly(message)):
        MultiLabelTarget(LABELS, np.ones(4), classes=[0, 2])
    for classes in ([0, 1], range(4)):  # as scikit-learn's np.unique(y), or a class for each column
        assert MultiLabelTarget(LABELS, np.ones(4), classes=classes).classes.tolist() == [0, 1, 2, 3]
    message = "BertClassifier needs at least two classes, but classes has 1 class: 'a'. Pass all that will ever come."
    with pytest.raises(ValueError, match=exactly(message)):
        SingleLabelTarget(UNEVEN, WEIGHTS, classes=["a"])


def test_a_target_goes_on_with_its_classes_and_with_other_parameters():
    first = SingleLabelTarget(UNEVEN, WEIGHTS, classes=["a", "b", "c", "d"])
    y = np.array(["d", "a", "a"])
    second = first.refit_keeping_classes(y, np.ones(3), None, class_weight="balanced", label_smoothing=0.1)
    assert second.classes.tolist() == first.classes.tolist()
    assert second.class_weight.tolist() == [0.75, 1, 1, 1.5]  # of two classes in y; the others have no rows
    assert second.loss_params == {"label_smoothing": 0.1}
    message = "Got classes=['a', 'b'], expected those of the first call, ['a', 'b', 'c', 'd']. Pass the same, or None."
    with pytest.raises(ValueError, match=exactly(message)):
        first.refit_keeping_classes(y, np.ones(3), ["a", "b"])


def test_labels_go_on_with_other_parameters_but_not_another_number():
    first = MultiLabelTarget(LABELS, np.ones(4))
    assert first.refit_keeping_classes(LABELS, np.ones(4), None, label_smoothing=0.1).loss_params == {
        "label_smoothing": 0.1
    }
    message = "y has 3 columns, expected 4 as in the first fit. Pass the same columns."
    with pytest.raises(ValueError, match=exactly(message)):
        first.refit_keeping_classes(LABELS[:, :3], np.ones(4), None)


def test_numbers_go_on_in_the_first_fits_units():
    first = RegressionTarget(PRICES, np.ones(4))
    assert first.refit_keeping_classes(PRICES / 100, np.ones(4), None, scale=True) is first


# --- numbers -----------------------------------------------------------------------------------

PRICES = np.array([250_000.0, 1_200_000.0, 310_500.0, 99_000.0])
NUMBERS = {
    "list of int": INTS,
    "list of whole floats": [3.0, 1.0, 3.0, 2.0],
    "float32 array": np.array(INTS, dtype=np.float32),
    "uint8 array": np.array(INTS, dtype=np.uint8),
    "object array of numbers": np.array([3, 1.0, np.float32(3), np.int8(2)], dtype=object),
    "pandas": pd.Series(INTS, index=[1, 1, 0, 5]),
    "pandas Int64": pd.Series(INTS, dtype="Int64"),
    "pandas Float64": pd.Series(INTS, dtype="Float64"),
    "pandas arrow": pd.Series(INTS, dtype="double[pyarrow]"),
    "polars": pl.Series(INTS),
}
TABLE = np.column_stack([PRICES, INTS])
TABLES = {
    "array": TABLE,
    "list of lists": TABLE.tolist(),
    "pandas of float and int": pd.DataFrame({"price": PRICES, "stars": INTS}),
    "pandas of nullable numbers": pd.DataFrame({"price": PRICES, "stars": INTS}).convert_dtypes(),
    "polars of float and int": pl.DataFrame({"price": PRICES, "stars": INTS}),
    "sparse": sparse.coo_array(TABLE),
}


@pytest.mark.parametrize("y", **cases(NUMBERS))
def test_a_1d_y_of_numbers_is_a_regression_in_float64(y):
    values, target_class = check_regression_y(y)
    assert target_class is RegressionTarget
    np.testing.assert_array_equal(values, np.array(INTS, dtype=np.float64), strict=True)


@pytest.mark.parametrize("y", **cases(TABLES))
def test_a_2d_y_of_numbers_is_a_regression_of_several_outputs(y):
    values, target_class = check_regression_y(y)
    assert target_class is RegressionTarget
    np.testing.assert_array_equal(values, TABLE, strict=True)


@pytest.mark.parametrize("y", [PRICES, TABLE], ids=["one output", "two outputs"])
def test_predict_undoes_encode_in_shape_and_value(y):
    values, target = fit(check_regression_y, y)
    encoded = target.encode(values)
    assert (encoded.shape, encoded.dtype) == ((4, target.num_labels), np.float64)
    np.testing.assert_allclose(target.predict(encoded), y, rtol=1e-13, strict=True)


@pytest.mark.parametrize("y", [PRICES, TABLE], ids=["one output", "two outputs"])
def test_encoded_numbers_have_weighted_mean_zero_and_variance_one_per_output(y):
    values, target = fit(check_regression_y, y, WEIGHTS[:4])
    encoded = target.encode(values)
    np.testing.assert_allclose(np.average(encoded, axis=0, weights=WEIGHTS[:4]), 0, atol=1e-14)
    np.testing.assert_allclose(np.average(encoded**2, axis=0, weights=WEIGHTS[:4]), 1)


@pytest.mark.parametrize("y", [PRICES, TABLE], ids=["one output", "two outputs"])
def test_a_weight_of_k_standardises_as_k_copies_do(y):
    values, weighted = fit(check_regression_y, y, WEIGHTS[:4])
    _, copied = fit(check_regression_y, y.repeat(WEIGHTS[:4].astype(int), axis=0))
    np.testing.assert_allclose(weighted.encode(values), copied.encode(values))


def test_without_scaling_encode_and_predict_are_the_identity():
    values, target = fit(check_regression_y, TABLE, WEIGHTS[:4], scale=False)
    np.testing.assert_array_equal(target.encode(values), TABLE)
    np.testing.assert_array_equal(target.predict(TABLE), TABLE)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1 / 3, 1e8 / 7, 1e-12])
def test_a_constant_output_stays_constant_and_finite(constant):
    """Its spread is nothing but rounding errors, by which one must not divide."""
    weights = np.random.default_rng(0).random(30)
    values, target = fit(check_regression_y, np.full(30, constant), weights)
    np.testing.assert_allclose(target.encode(values), 0, atol=1e-7)
    np.testing.assert_allclose(target.predict(np.array([[0.0], [1.0]])), [constant, constant + 1], rtol=1e-14)


MODES = {
    "two classes": (check_classification_y, NAMES[:2], "single_label_classification", 2),
    "three classes": (check_classification_y, NAMES, "single_label_classification", 3),
    "labels": (check_classification_y, MATRIX, "multi_label_classification", 3),
    "one number": (check_regression_y, PRICES, "regression", 1),
    "two numbers": (check_regression_y, TABLE, "regression", 2),
}


@pytest.mark.parametrize(("check", "y", "problem_type", "num_labels"), **cases(MODES))
def test_the_mode_has_hugging_faces_name_and_its_number_of_logits(check, y, problem_type, num_labels):
    _, target = fit(check, y)
    assert (target.problem_type, target.num_labels) == (problem_type, num_labels)


def test_targets_need_no_torch():
    nodes = list(ast.walk(ast.parse(Path(targets.__file__).read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names}.isdisjoint({"torch", "transformers", "skorch"})


@pytest.mark.parametrize("size", [1e-200, 1e200, 1e299])
def test_numbers_near_the_limits_of_float64_are_standardised(size):
    y, target = fit(check_regression_y, [size, 3 * size])
    encoded = target.encode(y)
    np.testing.assert_allclose(encoded.ravel(), [-1, 1])
    np.testing.assert_allclose(target.predict(encoded), [size, 3 * size])


@pytest.mark.parametrize("n", [3, 10, 1000])
@pytest.mark.parametrize("constant", [6.441148769597133e68, -1e300, 5e-324])
def test_a_constant_of_any_size_is_exactly_the_mean(constant, n):
    y, target = fit(check_regression_y, np.full(n, constant))
    np.testing.assert_array_equal(target.encode(y), 0)
    np.testing.assert_array_equal(target.predict(np.zeros((1, 1))), constant)


def test_the_smallest_differences_that_there_are_do_no_harm():
    for y in ([5e-324] * 7 + [0.0], [1.0, np.nextafter(1.0, 2.0)] * 4):
        y, target = fit(check_regression_y, y)
        assert np.isfinite(target.encode(y)).all()
        np.testing.assert_allclose(target.predict(target.encode(y)), y, rtol=1e-15, atol=1e-323)


@pytest.mark.parametrize("y", [[1.1e300, 0.0], [[0.0, 1.0], [2.0, -1.7e308]]])
def test_numbers_whose_predictions_could_not_be_finite_are_refused(y):
    largest = "1.1e+300" if np.ndim(y) == 1 else "-1.7e+308"
    message = (
        f"y holds {largest}, expected numbers between -1e+300 and 1e+300, so that predictions stay finite. "
        "Divide y by a constant."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fit(check_regression_y, y)


@pytest.mark.parametrize("weight", [np.inf, np.nan, -1.0])
def test_weights_that_are_no_numbers_are_refused(weight):
    for y in ([0, 1], MATRIX):
        with pytest.raises(ValueError, match="expected finite non-negative weights"):
            fit(check_classification_y, y, class_weight={0: weight, 1: 1.0})
