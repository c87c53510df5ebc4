"""y decides the mode: every row of the house's table, at the level of the targets."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.exceptions import DataConversionWarning

from sklearn_bert import _targets
from sklearn_bert._targets import (
    MultiLabelTarget,
    RegressionTarget,
    SingleLabelTarget,
    check_classification_y,
    check_regression_y,
)
from tests.cases import cases, exactly

RAVEL = (
    "A column-vector y was passed when a 1d array was expected. "
    "Please change the shape of y to (n_samples, ), for example using ravel()."
)


def fit(check, y, sample_weight=None, **params):
    """The checked y and the target fitted on it."""
    values, target_class = check(y)
    weights = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    return values, target_class(values, weights, **params)


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
    np.testing.assert_array_equal(target.weigh(values, WEIGHTS), WEIGHTS)


def test_a_dict_multiplies_the_sample_weights_and_leaves_other_classes():
    values, target = fit(check_classification_y, UNEVEN, WEIGHTS, class_weight={"a": 5.0, "c": 0.5})
    np.testing.assert_allclose(target.weigh(values, WEIGHTS), [10, 1, 3, 0.5, 1, 0.5, 1, 1])


@pytest.mark.parametrize("weights", [np.ones(8), WEIGHTS], ids=["unweighted", "weighted"])
def test_balanced_gives_every_class_the_same_share_of_the_same_total(weights):
    values, target = fit(check_classification_y, UNEVEN, weights, class_weight="balanced")
    weighed = target.weigh(values, weights)
    np.testing.assert_allclose([weighed[values == label].sum() for label in "abc"], weights.sum() / 3)


def test_a_weight_of_k_balances_as_k_copies_do():
    _, weighted = fit(check_classification_y, UNEVEN, WEIGHTS, class_weight="balanced")
    _, copied = fit(check_classification_y, UNEVEN.repeat(WEIGHTS.astype(int)), class_weight="balanced")
    np.testing.assert_allclose(weighted.class_weight, copied.class_weight)


# --- several labels per row --------------------------------------------------------------------

MATRIX = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 1]], dtype=np.int64)
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


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0}], ids=str)
def test_class_weight_is_refused_for_several_labels(class_weight):
    message = (
        f"class_weight={class_weight!r} applies to one label per row, but y has 3 columns of 0 and 1. "
        "Pass class_weight=None, and weigh rows through sample_weight."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fit(check_classification_y, MATRIX, class_weight=class_weight)


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


# --- what is refused ---------------------------------------------------------------------------

NUMBER_HINT = "A classifier expects discrete classes; for numbers use BertRegressor."
SOFT_HINT = "A classifier takes no soft labels; for numbers use BertRegressor, for classes take the argmax."
MATRIX_HINT = (
    "A 2-D y must hold 0 and 1 only (multi-label). For several columns of classes use "
    "sklearn.multioutput.MultiOutputClassifier; encode sets of labels with sklearn.preprocessing.MultiLabelBinarizer."
)
OBJECT_HINT = (
    "Expected one str, int, bool or whole float per row, or a 2-D array of 0 and 1. Encode sets or lists of labels "
    "with sklearn.preprocessing.MultiLabelBinarizer; convert objects with y.astype(int) or y.astype(str)."
)
NO_CLASSES = {
    "fractional floats": ([0.5, 1.5], "continuous", "float64, shape (2,)", NUMBER_HINT),
    "soft labels": ([[0.2, 0.8], [0.6, 0.4]], "continuous-multioutput", "float64, shape (2, 2)", SOFT_HINT),
    "2-D of many values": ([[1, 2], [3, 4]], "multiclass-multioutput", "int64, shape (2, 2)", MATRIX_HINT),
    "2-D of str": ([["a", "b"], ["c", "d"]], "multiclass-multioutput", "<U1, shape (2, 2)", MATRIX_HINT),
    "tuples of one length": ([("a", "b"), ("c", "a")], "multiclass-multioutput", "<U1, shape (2, 2)", MATRIX_HINT),
    "object ints": (np.array([0, 1], dtype=object), "unknown", "object, shape (2,)", OBJECT_HINT),
    "object matrix": (pd.DataFrame(MATRIX, dtype=object), "unknown", "object, shape (4, 3)", OBJECT_HINT),
    "sets": ([{"a"}, {"a", "b"}], "unknown", "object, shape (2,)", OBJECT_HINT),
    "tuples of different lengths": ([("a",), (), ("a", "b")], "unknown", "object, shape (3,)", OBJECT_HINT),
}


@pytest.mark.parametrize(("y", "kind", "came", "hint"), **cases(NO_CLASSES))
def test_no_classes_are_refused_with_a_cure(y, kind, came, hint):
    with pytest.raises(ValueError, match=exactly(f"Unknown label type: {kind}, from a y of dtype {came}. {hint}")):
        check_classification_y(y)


@pytest.mark.parametrize("pair", [(-1, 1), (0, 2), (1, 2)], ids=str)
def test_a_matrix_of_two_other_values_is_refused(pair):
    message = f"Unknown label type: multiclass-multioutput, from a y of dtype int64, shape (2, 2). {MATRIX_HINT}"
    with pytest.raises(ValueError, match=exactly(message)):
        fit(check_classification_y, [pair, pair[::-1]])


NO_NUMBERS = {
    "list of numeric str": (["1", "2"], "<U1"),
    "object array of numeric str": (np.array(["1", "2"], dtype=object), "object"),
    "pandas str": (pd.Series(["1", "2"]), "object"),
    "polars str": (pl.Series(["1", "2"]), "<U1"),
    "StringDType array": (np.array(["1", "2"], dtype=np.dtypes.StringDType()), "object"),
    "category of numbers": (pd.Series([1.0, 2.0], dtype="category"), "category"),
    "category of str": (pd.Series(["1", "2"], dtype="category"), "category"),
    "table with a category": (pd.DataFrame({"a": [1, 2], "b": pd.Categorical([1, 2])}), "category"),
    "2-D of str": ([["1", "2"], ["3", "4"]], "<U1"),
    "dates": (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), "datetime64[D]"),
    "sets": ([{1}, {2}], "object"),
    "lists of different lengths": ([[1], [1, 2]], "object"),
}


@pytest.mark.parametrize(("y", "dtype"), **cases(NO_NUMBERS))
def test_no_numbers_are_refused_by_the_regressor(y, dtype):
    message = (
        f"BertRegressor expects numbers in y, got values of dtype {dtype}. "
        "Convert y with y.astype(float), or use BertClassifier if these are classes."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_regression_y(y)


both_checks = pytest.mark.parametrize(
    ("check", "name"),
    [(check_classification_y, "BertClassifier"), (check_regression_y, "BertRegressor")],
    ids=["classifier", "regressor"],
)
MISSING = {
    "float NaN": [0.0, np.nan],
    "None among str": [None, "a"],
    "pd.NA": [pd.NA, 1],
    "pd.NaT": [pd.NaT, "a"],
    "object NaN": np.array(["a", np.nan], dtype=object),
    "StringDType array": np.array(["a", None], dtype=np.dtypes.StringDType(na_object=None)),
    "matrix": np.array([[0, np.nan], [1, 0]]),
    "sparse matrix": sparse.csr_array(np.array([[0, np.nan], [1, 0]])),
    "pandas str": pd.Series(["a", None]),
    "pandas string": pd.Series(["a", None], dtype="string"),
    "pandas Int64": pd.Series([1, None], dtype="Int64"),
    "pandas arrow": pd.Series([1, None], dtype="int64[pyarrow]"),
    "pandas category": pd.Series(["a", None], dtype="category"),
    "pandas table": pd.DataFrame({"a": [0, 1], "b": pd.array([None, 1], dtype="Int64")}),
    "polars str": pl.Series(["a", None]),
}


@both_checks
@pytest.mark.parametrize("y", **cases(MISSING))
def test_missing_values_are_refused(check, name, y):
    with pytest.raises(ValueError, match=f"^{re.escape('Input y contains NaN.')}"):
        check(y)


SHAPE = "y should be a 1d or 2d array with at least one value, got a {kind} of shape "
INFINITE = "Input y contains infinity or a value too large for dtype('float64')."
COMPLEX = "Complex data not supported in y, got an array of dtype complex128."
NO_TARGETS = {
    "None": (None, "{name} requires y to be passed, but the target y is None"),
    "infinity": ([0.0, np.inf], INFINITE),
    "minus infinity": ([-np.inf, 1.0], INFINITE),
    "complex": ([1j, 2.0], COMPLEX),
    "complex matrix": ([[1j, 2.0], [0j, 1.0]], COMPLEX),
    "empty list": ([], SHAPE + "(0,)."),
    "empty Series": (pd.Series([], dtype=object), SHAPE + "(0,)."),
    "no rows": (np.empty((0, 2)), SHAPE + "(0, 2)."),
    "no columns": (np.empty((3, 0)), SHAPE + "(3, 0)."),
    "empty sparse": (sparse.csr_array((0, 2)), SHAPE + "(0, 2)."),
    "3-D": (np.zeros((2, 2, 2)), SHAPE + "(2, 2, 2)."),
    "a single number": (3, SHAPE + "()."),
}


@both_checks
@pytest.mark.parametrize(("y", "message"), **cases(NO_TARGETS))
def test_no_targets_are_refused(check, name, y, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(name=name, kind=type(y).__name__))}"):
        check(y)


def test_targets_need_no_torch():
    nodes = list(ast.walk(ast.parse(Path(_targets.__file__).read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names}.isdisjoint({"torch", "transformers", "skorch"})


@both_checks
@pytest.mark.parametrize(
    "y",
    [
        ["a", float("nan")],
        [["a"], [None]],
        np.array(["a", np.float32("nan")], dtype=object),
        np.ma.array([0, 1, 2], mask=[0, 1, 0]),
        np.array(["2026-01-01", "NaT"], dtype="datetime64[D]").astype(object),
    ],
    ids=["str and NaN", "nested", "float32", "masked", "dates"],
)
def test_a_missing_value_is_found_where_numpy_would_hide_it(check, name, y):
    with pytest.raises(ValueError, match=re.escape("Input y contains NaN.")):
        check(y)


@pytest.mark.parametrize(
    "y",
    [[1, "a"], np.array(["a", 1], dtype=object), [b"a", b"b"], np.array(["2026-01-01"] * 2, dtype="datetime64[D]")],
    ids=["list", "array", "bytes", "dates"],
)
def test_labels_of_mixed_or_other_kinds_are_unknown(y):
    with pytest.raises(ValueError, match=re.escape("Unknown label type: unknown")):
        check_classification_y(y)


@pytest.mark.parametrize("y", [pd.Categorical([1.0, 2.0]), pd.Series([1, 2], dtype="category")], ids=["bare", "Series"])
def test_categories_of_numbers_are_no_numbers(y):
    with pytest.raises(ValueError, match=re.escape("expects numbers in y, got values of dtype category.")):
        check_regression_y(y)


def test_large_whole_floats_are_classes():
    assert fit(check_classification_y, [1e20, 1.0, 1e20])[1].classes.tolist() == [1.0, 1e20]


@pytest.mark.parametrize("size", [1e-200, 1e200, 1e306])
def test_numbers_near_the_limits_of_float64_are_standardised(size):
    y, target = fit(check_regression_y, [size, 3 * size])
    encoded = target.encode(y)
    np.testing.assert_allclose(encoded.ravel(), [-1, 1])
    np.testing.assert_allclose(target.predict(encoded), [size, 3 * size])
