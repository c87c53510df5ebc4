"""Which containers and values of y are valid, and of which type."""

import enum
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sklearn_bert._data.target_validation import check_classification_y, check_regression_y
from tests.data.example_targets import MATRIX, fit_target
from tests.helpers import cases, exactly

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
NOT_CLASSES = {
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


@pytest.mark.parametrize(("y", "kind", "got", "hint"), **cases(NOT_CLASSES))
def test_check_classification_y_raises_for_a_y_without_classes_and_names_the_remedy(y, kind, got, hint):
    with pytest.raises(ValueError, match=exactly(f"Unknown label type: {kind}, from a y of dtype {got}. {hint}")):
        check_classification_y(y)


@pytest.mark.parametrize("pair", [(-1, 1), (0, 2), (1, 2)], ids=str)
def test_check_classification_y_raises_for_a_matrix_of_two_values_other_than_0_and_1(pair):
    message = f"Unknown label type: multiclass-multioutput, from a y of dtype int64, shape (2, 2). {MATRIX_HINT}"
    with pytest.raises(ValueError, match=exactly(message)):
        fit_target(check_classification_y, [pair, pair[::-1]])


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
    "sets": ([{1}, {2}], "object"),
    "lists of different lengths": ([[1], [1, 2]], "object"),
}


@pytest.mark.parametrize(("y", "dtype"), **cases(NOT_NUMBERS))
def test_check_regression_y_raises_for_a_y_without_numbers(y, dtype):
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
def test_checks_raise_for_missing_values(check, name, y):
    with pytest.raises(ValueError, match=f"^{re.escape('Input y contains NaN.')}"):
        check(y)


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
        "drop the rows without one."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_regression_y(y)
