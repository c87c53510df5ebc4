"""Check y: any container becomes a dense array, and its shape and dtype choose the target class.

Containers are recognised by their methods, so pandas, polars and scipy.sparse need not be installed.
"""

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import column_or_1d

from .missing import is_missing
from .targets import MultiLabelTarget, RegressionTarget, SingleLabelTarget

_FINITE = "Expected a finite value in every row; drop the rows without one."
_CURES = {
    "continuous": "A classifier expects discrete classes; for numbers use BertRegressor.",
    "continuous-multioutput": (
        "A classifier takes no soft labels; for numbers use BertRegressor, for classes take the argmax."
    ),
    "multiclass-multioutput": (
        "A 2-D y must hold 0 and 1 only (multi-label). For several columns of classes use "
        "sklearn.multioutput.MultiOutputClassifier; encode sets of labels with "
        "sklearn.preprocessing.MultiLabelBinarizer."
    ),
    "unknown": (
        "Expected one str, int, bool or whole float per row, or a 2-D array of 0 and 1. Encode sets or lists of "
        "labels with sklearn.preprocessing.MultiLabelBinarizer; convert objects with y.astype(int) or y.astype(str)."
    ),
}
_TARGETS = {"multiclass": SingleLabelTarget, "multilabel-indicator": MultiLabelTarget}


def check_classification_y(y):
    """Check the y of a classifier and choose its target class.

    Parameters
    ----------
    y : array-like or sparse matrix of shape (n,) or (n, n_labels)

    Returns
    -------
    values : ndarray of shape (n,) or (n, n_labels)
        Dense, in the dtype of y.
    target_class : type
        `SingleLabelTarget` or `MultiLabelTarget`.

    Raises
    ------
    ValueError
        If y is None, holds missing values, or fits neither mode. The message says what to do.
    """
    values = _check_y(y, "BertClassifier")
    kind = _type_of_target(values)
    if kind in _TARGETS:
        return values, _TARGETS[kind]
    raise ValueError(
        f"Unknown label type: {kind}, from a y of dtype {values.dtype}, shape {values.shape}. {_CURES[kind]}"
    )


def check_regression_y(y):
    """Check the y of a regressor.

    Parameters
    ----------
    y : array-like or sparse matrix of shape (n,) or (n, n_outputs)

    Returns
    -------
    values : ndarray of shape (n,) or (n, n_outputs), float64
        A single column becomes 1-D.
    target_class : type
        `RegressionTarget`.

    Raises
    ------
    ValueError
        If y is None, holds missing or infinite values, or is not numeric.
    """
    is_category = any(str(dtype) == "category" for dtype in _column_dtypes(y))
    values = _check_y(y, "BertRegressor")
    is_number = values.dtype.kind == "O" and all(isinstance(value, (int, float, np.number)) for value in values.flat)
    if is_number or values.dtype == np.longdouble:
        values = _to_float64(values)
    if is_category or values.dtype.kind not in "biuf":
        kind = "category" if is_category else values.dtype
        raise ValueError(
            f"BertRegressor expects numbers in y, got values of dtype {kind}. "
            "Convert y with y.astype(float), or use BertClassifier if these are classes."
        )
    return values.astype(np.float64), RegressionTarget


def _type_of_target(values):
    """The kind of y from its shape and dtype, in scikit-learn's words; "multiclass" includes two classes.

    scikit-learn's own `type_of_target` does not fit here: it casts floats, looks only at the first object, and
    takes a 2-D y of any two integers for multi-label indicators.
    """
    kind = values.dtype.kind
    if kind == "O" and all(isinstance(value, str) for value in values.flat):
        kind = "U"
    if kind not in "biufU":
        return "unknown"
    fractional = kind == "f" and bool((values != np.floor(values)).any())
    if values.ndim == 1:
        return "continuous" if fractional else "multiclass"
    if kind != "U" and np.isin(values, (0, 1)).all():
        return "multilabel-indicator"
    return "continuous-multioutput" if fractional else "multiclass-multioutput"


def _check_y(y, estimator_name):
    """Convert y to a dense ndarray without missing values, 1-D or with at least two columns."""
    if y is None:
        raise ValueError(
            f"{estimator_name} requires y to be passed, but the target y is None. Pass one value per row of X."
        )
    values = _to_ndarray(y)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(
            f"y should be a 1d or 2d array with at least one value, got a {type(y).__name__} of shape {values.shape}. "
            "Pass a list or an array with one value or one row of values per row of X."
        )
    if values.dtype.kind == "c":
        raise ValueError(f"Complex data not supported in y, got an array of dtype {values.dtype}. Pass y.real instead.")
    if values.dtype.kind in "biuf":
        _check_finite(values)
    return column_or_1d(values, warn=True) if values.ndim == 2 and values.shape[1] == 1 else values


def _to_float64(values):
    """Convert numbers to float64; raise a ValueError if one is too large for it."""
    with np.errstate(over="ignore"):  # too large becomes infinite, which is checked below
        try:
            values = values.astype(np.float64)
        except OverflowError:  # a Python int that is too large
            values = np.full(values.shape, np.inf)
    _check_finite(values)
    return values


def _check_finite(values):
    try:
        assert_all_finite(values, input_name="y")
    except ValueError as error:
        raise ValueError(f"{str(error).splitlines()[0]} {_FINITE}") from None


def _to_ndarray(y):
    """Convert any container to a dense ndarray; raise a ValueError if an object in it is missing."""
    if hasattr(y, "toarray"):  # scipy.sparse
        return y.toarray()
    try:
        values = np.asarray(y)
    except ValueError:  # rows of different lengths
        values = np.fromiter(y, dtype=object)
    if values.dtype.kind == "T":
        values = values.astype(object)  # numpy's StringDType; as objects, missing values can be found
    if values.dtype.kind == "U" and isinstance(y, (list, tuple)):
        values = _restore_mixed_types(y, values)
    if np.ma.is_masked(y) or (values.dtype.kind == "O" and any(is_missing(value) for value in values.flat)):
        raise ValueError(f"Input y contains NaN. {_FINITE}")
    dtypes = _column_dtypes(y)
    if values.dtype.kind == "O" and dtypes and all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes):
        return np.array(values.tolist())  # mixed or nullable numeric columns: numpy finds the common dtype
    return values


def _restore_mixed_types(y, strings):
    """Undo numpy's conversion of a list to str where it changed values.

    numpy turns ``[1, "a", nan]`` into three str. From a subclass of str, such as an Enum, it takes the text that
    ``str(value)`` gives, cut to the length of the value.

    Parameters
    ----------
    y : list or tuple
    strings : ndarray of str
        What numpy made of `y`.

    Returns
    -------
    values : ndarray of the same shape
        The original objects if not all are str, otherwise plain str.
    """
    objects = np.array(y, dtype=object)
    kinds = set(map(type, objects.flat))
    if not all(issubclass(kind, str) for kind in kinds):
        return objects
    if kinds <= {str, np.str_}:
        return strings
    return np.array([str.__str__(value) for value in objects.flat]).reshape(objects.shape)


def _column_dtypes(y):
    """A list of dtypes: one per column of a DataFrame, one for a Series or array, none for a list."""
    dtypes = getattr(y, "dtypes", None)
    dtypes = getattr(y, "dtype", []) if dtypes is None else dtypes
    return list(dtypes) if hasattr(dtypes, "__iter__") else [dtypes]
