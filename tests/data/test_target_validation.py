"""Which containers and values of y are valid, and of which type."""

import enum
import re

import dask.array
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy import sparse
from sklearn.preprocessing import MultiLabelBinarizer

from sklearn_bert._data.target_validation import check_any_y, check_classification_y, check_regression_y
from sklearn_bert._data.targets import MultiLabelTarget, RegressionTarget, SingleLabelTarget
from tests.data.example_targets import MATRIX, fit_target
from tests.helpers import cases, exactly

NUMBER_HINT = "A classifier expects discrete classes; for numbers use BertRegressor."
SOFT_HINT = (
    "A classifier takes no soft labels; for numbers use BertRegressor, for one class per row take "
    "np.argmax(y, axis=1), for several labels np.asarray(y) > 0.5."
)
BINARIZER = "encode lists or sets of labels with sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)."
MATRIX_HINT = (
    "A 2-D y must hold 0 and 1 only (multi-label). For several columns of classes use "
    f"sklearn.multioutput.MultiOutputClassifier; {BINARIZER}"
)
COUNT_HINT = f"{MATRIX_HINT} For counts pass np.asarray(y) > 0."
OBJECT_HINT = (
    "Expected one str, int, bool or whole float per row, or a 2-D array of 0 and 1. Convert the objects with "
    "np.asarray(y).astype({})."
)
SETS_HINT = f"Expected one label per row, or a 2-D array of 0 and 1. For several labels per row {BINARIZER}"
DICT_HINT = "Take the labels out of the rows, for example [row['label'] for row in y]."
DICTS = [{"id": 1, "label": "a"}, {"id": 2, "label": "b"}]
NOT_CLASSES = {
    "fractional floats": ([0.5, 1.5], "continuous", "float64, shape (2,)", NUMBER_HINT),
    "soft labels": ([[0.2, 0.8], [0.6, 0.4]], "continuous-multioutput", "float64, shape (2, 2)", SOFT_HINT),
    "2-D of many values": ([[1, 2], [3, 4]], "multiclass-multioutput", "int64, shape (2, 2)", COUNT_HINT),
    "2-D of str": ([["a", "b"], ["c", "d"]], "multiclass-multioutput", "<U1, shape (2, 2)", MATRIX_HINT),
    "tuples of one length": ([("a", "b"), ("c", "a")], "multiclass-multioutput", "<U1, shape (2, 2)", MATRIX_HINT),
    "object ints": (np.array([0, 1], dtype=object), "unknown", "object, shape (2,)", OBJECT_HINT.format("int")),
    "object matrix": (pd.DataFrame(MATRIX, dtype=object), "unknown", "object, shape (4, 3)", OBJECT_HINT.format("int")),
    "object floats": (np.array([0.5, 1.0], dtype=object), "unknown", "object, shape (2,)", OBJECT_HINT.format("float")),
    "mixed objects": ([1, "a"], "unknown", "object, shape (2,)", OBJECT_HINT.format("str")),
    "sets": ([{"a"}, {"a", "b"}], "unknown", "object, shape (2,)", SETS_HINT),
    "lists in a Series": (pd.Series([["a"], ["a", "b"]]), "unknown", "object, shape (2,)", SETS_HINT),
    "dicts": (DICTS, "unknown", "object, shape (2,)", DICT_HINT),
    "tuples of different lengths": ([("a",), (), ("a", "b")], "unknown", "object, shape (3,)", SETS_HINT),
}


@pytest.mark.parametrize(("y", "kind", "got", "hint"), **cases(NOT_CLASSES))
def test_check_classification_y_raises_for_a_y_without_classes_and_names_the_remedy(y, kind, got, hint):
    with pytest.raises(ValueError, match=exactly(f"Unknown label type: {kind}, from a y of dtype {got}. {hint}")):
        check_classification_y(y)


@pytest.mark.parametrize("pair", [(-1, 1), (0, 2), (1, 2)], ids=str)
def test_check_classification_y_raises_for_a_matrix_of_two_values_other_than_0_and_1(pair):
    message = (
        "Unknown label type: multiclass-multioutput, from a y of dtype int64, shape (2, 2). A 2-D y must hold 0 and 1 "
        f"only (multi-label). Pass np.asarray(y) == {pair[1]}."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fit_target(check_classification_y, [pair, pair[::-1]])


TAGS = [["a", "b"], ["b"], ["a"]]  # per row, and as a matrix below
TAG_MATRIX = [[1, 1], [0, 1], [1, 0]]
CLASSIFIER_REMEDIES = {
    "soft labels, one class": ([[0.2, 0.8], [0.6, 0.4]], lambda y: np.argmax(y, axis=1), [1, 0]),
    "soft labels, several": ([[0.2, 0.8], [0.6, 0.9]], lambda y: np.asarray(y) > 0.5, [[0, 1], [1, 1]]),
    "1 and -1": (2 * MATRIX - 1, lambda y: np.asarray(y) == 1, MATRIX),
    "0 and 2 in a table": (pd.DataFrame(2 * MATRIX), lambda y: np.asarray(y) == 2, MATRIX),
    "counts": ([[0, 3], [2, 1]], lambda y: np.asarray(y) > 0, [[0, 1], [1, 1]]),
    "lists of labels": (TAGS, lambda y: MultiLabelBinarizer().fit_transform(y), TAG_MATRIX),
    "a Series of lists": (pd.Series(TAGS), lambda y: MultiLabelBinarizer().fit_transform(y), TAG_MATRIX),
    "sets": ([set(row) for row in TAGS], lambda y: MultiLabelBinarizer().fit_transform(y), TAG_MATRIX),
    "pairs of labels": (
        [("a", "b"), ("b", "c")],
        lambda y: MultiLabelBinarizer().fit_transform(y),
        [[1, 1, 0], [0, 1, 1]],
    ),
    "object ints": (np.array([0, 1], dtype=object), lambda y: np.asarray(y).astype(int), [0, 1]),
    "an object table": (pd.DataFrame(MATRIX, dtype=object), lambda y: np.asarray(y).astype(int), MATRIX),
    "mixed objects": ([1, "a"], lambda y: np.asarray(y).astype(str), ["1", "a"]),
    "bytes": ([b"a", b"b"], lambda y: np.asarray(y).astype(str), ["a", "b"]),
    "dates": (pd.Series(pd.to_datetime(["2026-01-01"] * 2)), lambda y: np.asarray(y).astype(str), None),
    "dicts": (DICTS, lambda y: [row["label"] for row in y], ["a", "b"]),
    "NaN": (np.array([0.0, np.nan, 1.0]), lambda y: np.delete(y, 1), [0, 1]),
    "complex": ([1 + 0j, 0j], np.real, [1, 0]),
    "large ints": ([10**400, 0], lambda y: np.asarray(y).astype(str), [str(10**400), "0"]),
}


@pytest.mark.parametrize(("y", "remedy", "expected"), **cases(CLASSIFIER_REMEDIES))
def test_the_remedy_of_a_refused_y_gives_the_labels_that_were_meant(y, remedy, expected):
    with pytest.raises(ValueError, match=r"Unknown label type|Input y contains NaN|Complex data"):
        check_classification_y(y)
    values, _ = check_classification_y(remedy(y))
    assert expected is None or np.array_equal(values, expected)


@pytest.mark.parametrize("y", [[0.5, 1.5], [[0.2, 0.8], [0.6, 0.4]]], ids=["numbers", "soft labels"])
def test_the_regressor_takes_what_the_classifier_sends_there(y):
    with pytest.raises(ValueError, match="for numbers use BertRegressor"):
        check_classification_y(y)
    assert check_regression_y(y)[0].tolist() == y


CONVERT = "Convert y with np.asarray(y).astype(float)"
COUNT = "Pass one number, or as many numbers as in the other rows, per row of X"
NOT_NUMBERS = {
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
}
NEVER_NUMBERS = {
    "sets": ([{1}, {2}], "object"),
    "lists of different lengths": ([[1], [1, 2]], "object"),
    "names": (["good", "bad"], "<U4"),
    "a large int and a str": ([10**400, "a"], "object"),
    "category of str": (pd.Series(["a", "b"], dtype="category"), "category"),
}


@pytest.mark.parametrize(("y", "dtype"), **cases(NOT_NUMBERS))
def test_check_regression_y_raises_for_a_y_without_numbers_and_the_remedy_makes_numbers_of_it(y, dtype):
    message = (
        f"BertRegressor expects numbers in y, got values of dtype {dtype}. {CONVERT}, or use BertClassifier if these "
        "are classes."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_regression_y(y)
    values, _ = check_regression_y(np.asarray(y).astype(float))
    assert values.dtype == np.float64


@pytest.mark.parametrize(("y", "dtype"), **cases(NEVER_NUMBERS))
def test_check_regression_y_names_no_conversion_that_would_fail(y, dtype):
    message = (
        f"BertRegressor expects numbers in y, got values of dtype {dtype}. {COUNT}, or use BertClassifier if these "
        "are classes."
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
def test_checks_raise_for_missing_values(check, name, y):
    with pytest.raises(ValueError, match=f"^{re.escape('Input y contains NaN.')}"):
        check(y)


@both_checks
@pytest.mark.parametrize(
    "y",
    [
        ["a", None, "b", np.nan],
        pd.Series(["a", None, "b", None]),
        np.array([0.0, np.nan, 1.0, np.nan]),
        [[0, 1], [None, 1], [1, 1], [1, None]],
        np.ma.array([0, 1, 2, 1], mask=[0, 1, 0, 1]),
        pd.Series([[0, 1], [None, 1], [1, 1], [1, None]]),
        pa.table({"a": [0, None, 1, None], "b": [1, 1, 0, 0]}),
    ],
    ids=["list", "Series", "floats", "matrix", "masked", "rows", "arrow"],
)
def test_checks_name_the_rows_of_missing_values(check, name, y):
    message = "Input y contains NaN. Expected a finite value in every row; drop rows 1, 3 of X and y."
    with pytest.raises(ValueError, match=exactly(message)):
        check(y)


ROWS = MATRIX.tolist()
CONTAINERS_OF_ROWS = {
    "Series of lists": pd.Series(ROWS),
    "Series of tuples": pd.Series([tuple(row) for row in ROWS]),
    "Series of arrays": pd.Series(list(MATRIX)),
    "Series of Arrow lists": pd.Series(ROWS, dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "object array of lists": pd.Series(ROWS).to_numpy(),
    "polars List": pl.Series(ROWS),
    "polars Array": pl.Series(ROWS, dtype=pl.Array(pl.Int64, 3)),
    "arrow list array": pa.array(ROWS),
    "arrow chunks": pa.chunked_array([ROWS[:1], ROWS[1:]]),
    "arrow table": pa.table(dict(zip("abc", MATRIX.T, strict=True))),
    "arrow record batch": pa.record_batch(dict(zip("abc", MATRIX.T, strict=True))),
}


@both_checks
@pytest.mark.parametrize("y", **cases(CONTAINERS_OF_ROWS))
def test_checks_take_rows_of_one_length_as_a_matrix(check, name, y):
    values, target_class = check(y)
    assert np.array_equal(values, MATRIX)
    assert target_class is (MultiLabelTarget if name == "BertClassifier" else RegressionTarget)


@pytest.mark.parametrize(
    "y",
    [pa.array(["a", "b"]), pa.chunked_array([["a"], ["b"]]), pa.array(["a", "b"]).dictionary_encode()],
    ids=["array", "chunks", "dictionary"],
)
def test_check_classification_y_takes_arrow_strings(y):
    assert fit_target(check_classification_y, y)[1].classes.tolist() == ["a", "b"]


@both_checks
def test_checks_raise_for_a_y_of_dask(check, name):
    y = dask.array.ones(2)
    message = "y is of type Array of dask, whose rows are not in memory. Expected rows in memory. Pass y.compute()."
    with pytest.raises(ValueError, match=exactly(message)):
        check(y)


@both_checks
def test_checks_raise_for_a_y_that_numpy_cannot_convert(check, name):
    y = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"^y is of type Tensor, which NumPy cannot convert: .* Expected a list or an"):
        check(y)
    assert check(y.detach())[0].tolist() == [1, 1]


SHAPE = "y should be a 1d or 2d array with at least one value, got a {kind} of shape "
INFINITE = "Input y contains infinity or a value too large for dtype('float64')."
COMPLEX = "Complex data not supported in y, got an array of dtype complex128."
NOT_TARGETS = {
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
    "a missing number": (pd.NA, "Input y contains NaN. "),
    "a single number": (3, SHAPE + "()."),
}


@both_checks
@pytest.mark.parametrize(("y", "message"), **cases(NOT_TARGETS))
def test_checks_raise_for_none_infinite_complex_empty_and_3d_y(check, name, y, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(name=name, kind=type(y).__name__))}"):
        check(y)


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
def test_checks_find_missing_values_that_numpy_would_hide(check, name, y):
    with pytest.raises(ValueError, match=re.escape("Input y contains NaN.")):
        check(y)


@pytest.mark.parametrize(
    "y",
    [[1, "a"], np.array(["a", 1], dtype=object), [b"a", b"b"], np.array(["2026-01-01"] * 2, dtype="datetime64[D]")],
    ids=["list", "array", "bytes", "dates"],
)
def test_check_classification_y_raises_for_labels_of_mixed_or_unsupported_types(y):
    with pytest.raises(ValueError, match=re.escape("Unknown label type: unknown")):
        check_classification_y(y)


@pytest.mark.parametrize("y", [pd.Categorical([1.0, 2.0]), pd.Series([1, 2], dtype="category")], ids=["bare", "Series"])
def test_check_regression_y_raises_for_categories_of_numbers(y):
    with pytest.raises(ValueError, match=re.escape("expects numbers in y, got values of dtype category.")):
        check_regression_y(y)


def test_check_classification_y_accepts_large_whole_floats():
    assert fit_target(check_classification_y, [1e20, 1.0, 1e20])[1].classes.tolist() == [1.0, 1e20]


class Team(str, enum.Enum):  # noqa: UP042 - the str of a StrEnum would be its value
    RED, BLUE = "red", "blue"


def test_check_classification_y_uses_the_values_of_a_str_enum():
    """numpy would convert the members to their names, cut to the length of the values."""
    values, target = fit_target(check_classification_y, [Team.RED, Team.BLUE, "red"])
    assert values.tolist() == ["red", "blue", "red"]
    assert target.classes.tolist() == ["blue", "red"]


@pytest.mark.parametrize("y", [[10**400, 0], np.array([np.longdouble("1e400"), 0])], ids=["an int", "a long double"])
def test_check_regression_y_raises_for_numbers_beyond_float64(y):
    if isinstance(y, np.ndarray) and np.finfo(y.dtype).max <= np.finfo(float).max:
        pytest.skip("long doubles are float64 here")
    message = (
        "Input y contains infinity or a value too large for dtype('float64'). Expected a finite value in every row; "
        "drop row 0 of X and y."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_regression_y(y)


@pytest.mark.parametrize(
    ("y", "target_class"),
    [
        ([0.5, 1.0], RegressionTarget),
        (np.array([[0.5, 1.0], [2.0, 3.0]]), RegressionTarget),
        ([1.0, 2.0], SingleLabelTarget),
        ([True, False], SingleLabelTarget),
        (["a", "b"], SingleLabelTarget),
        (sparse.csr_array(MATRIX), MultiLabelTarget),
    ],
    ids=["fractions", "a matrix of fractions", "whole floats", "bool", "str", "a sparse matrix"],
)
def test_check_any_y_takes_fractions_for_numbers(y, target_class):
    assert check_any_y(y)[1] is target_class


@pytest.mark.parametrize("y", [[0.5, np.nan], ["a", None]])
def test_check_any_y_raises_for_missing_values(y):
    with pytest.raises(ValueError, match=r"Input y contains NaN\."):
        check_any_y(y)
