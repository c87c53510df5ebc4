"""Check y: any container becomes a dense array, and its shape and dtype choose the target class.

Containers are recognised by their methods, so pandas, polars, pyarrow and scipy.sparse need not be installed.
"""

from collections.abc import Mapping, Set

import numpy as np
from sklearn.utils.validation import column_or_1d

from .containers import has_method, name_rows, refuse_lazy, text_key
from .missing import is_missing
from .targets import MultiLabelTarget, RegressionTarget, SingleLabelTarget

_BINARIZER = "encode lists or sets of labels with sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)"
_MATRIX = "A 2-D y must hold 0 and 1 only (multi-label)."
_CURES = {
    "continuous": "A classifier expects discrete classes; for numbers use BertRegressor.",
    "continuous-multioutput": (
        "A classifier takes no soft labels; for numbers use BertRegressor, for one class per row take "
        "np.argmax(y, axis=1), for several labels np.asarray(y) > 0.5."
    ),
    "multiclass-multioutput": (
        f"{_MATRIX} For several columns of classes use sklearn.multioutput.MultiOutputClassifier; {_BINARIZER}."
    ),
}
_SEQUENCES = (list, tuple, np.ndarray)
_TARGETS = {"multiclass": SingleLabelTarget, "multilabel-indicator": MultiLabelTarget}


def check_classification_y(y):
    """Check the y of a classifier and choose its target class.

    Parameters
    ----------
    y : array-like or sparse matrix of shape (n,) or (n, n_labels)
        Also a Series of n rows of equal length.

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
        f"Unknown label type: {kind}, from a y of dtype {values.dtype}, shape {values.shape}. {_cure(kind, values)}"
    )


def check_any_y(y):
    """Check a y of unknown kind: it holds numbers if it has fractions, otherwise classes or labels.

    Parameters, results and errors are those of `check_classification_y` and `check_regression_y`.
    """
    continuous = _type_of_target(_to_ndarray(y)).startswith("continuous")
    return (check_regression_y if continuous else check_classification_y)(y)


def has_many_classes(values):
    """Whether a checked 1-D y has so many classes that they could be numbers; the limits are scikit-learn's."""
    return len(values) > 20 and len(np.unique(values)) > round(0.5 * len(values))


def check_regression_y(y):
    """Check the y of a regressor.

    Parameters
    ----------
    y : array-like or sparse matrix of shape (n,) or (n, n_outputs)
        Also a Series of n rows of equal length.

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
        cure = (
            "Convert y with np.asarray(y).astype(float)"
            if _can_be_float(y)
            else "Pass one number, or as many numbers as in the other rows, per row of X"
        )
        raise ValueError(
            f"BertRegressor expects numbers in y, got values of dtype {kind}. "
            f"{cure}, or use BertClassifier if these are classes."
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


def _cure(kind, values):
    """The advice for a y that fits neither mode."""
    if kind == "multiclass-multioutput" and values.dtype.kind != "U":
        if len(np.unique(values)) == 2:
            return f"{_MATRIX} Pass np.asarray(y) == {values.max()}."
        return f"{_CURES[kind]} For counts pass np.asarray(y) > 0."
    if kind != "unknown":
        return _CURES[kind]
    first = values.flat[0]
    if isinstance(first, Mapping) and first:
        return f"Take the labels out of the rows, for example [row[{text_key(first)!r}] for row in y]."
    if any(isinstance(value, (*_SEQUENCES, Set)) for value in values.flat):
        return f"Expected one label per row, or a 2-D array of 0 and 1. For several labels per row {_BINARIZER}."
    dtype = next((dtype for dtype in ("int", "float") if _converts_exactly(values, dtype)), "str")
    return (
        "Expected one str, int, bool or whole float per row, or a 2-D array of 0 and 1. Convert the objects with "
        f"np.asarray(y).astype({dtype})."
    )


def _converts_exactly(values, dtype):
    try:
        return bool((values.astype(dtype) == values).all())
    except (OverflowError, TypeError, ValueError):
        return False


def _can_be_float(y):
    try:
        np.asarray(y).astype(np.float64)
    except (OverflowError, TypeError, ValueError):
        return False
    return True


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
        raise ValueError(f"Complex data not supported in y, got an array of dtype {values.dtype}. Pass np.real(y).")
    if values.dtype.kind == "f":
        _check_finite(values)
    return column_or_1d(values, warn=True) if values.ndim == 2 and values.shape[1] == 1 else values


def _to_float64(values):
    """Convert numbers to float64; raise a ValueError if one is too large for it."""
    with np.errstate(over="ignore"):  # too large becomes infinite, which is checked below
        try:
            values = values.astype(np.float64)
        except OverflowError:  # a Python int that is too large
            values = np.vectorize(_to_float, otypes=[np.float64])(values)
    _check_finite(values)
    return values


def _to_float(value):
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _check_finite(values):
    invalid = ~np.isfinite(values)
    if invalid.any():
        infinity = f"infinity or a value too large for dtype({values.dtype.name!r})"
        _raise_for_rows("NaN" if np.isnan(values).any() else infinity, invalid)


def _raise_for_rows(found, invalid):
    """Raise an error that names the rows in which the mask (n,) or (n, k) is true."""
    invalid = np.atleast_1d(invalid)
    rows = np.flatnonzero(invalid.reshape(len(invalid), -1).any(axis=1))
    raise ValueError(
        f"Input y contains {found}. Expected a finite value in every row; drop {name_rows(rows)} of X and y."
    )


def _to_ndarray(y):
    """Convert any container to a dense ndarray; raise a ValueError if an object in it is missing."""
    refuse_lazy(y, "y")
    if has_method(y, "toarray"):  # scipy.sparse
        return y.toarray()
    try:
        values = np.asarray(y)
    except ValueError:  # rows of different lengths
        values = np.fromiter(y, dtype=object)
    except (RuntimeError, TypeError) as error:  # a tensor with gradients, or on a GPU
        raise ValueError(
            f"y is of type {type(y).__name__}, which NumPy cannot convert: {error} Expected a list or an array. "
            "Make it one first."
        ) from error
    if not isinstance(y, (list, tuple)) and _holds_rows(values):
        return _to_ndarray(values.tolist())
    if values.dtype.kind == "T":
        values = values.astype(object)  # numpy's StringDType; as objects, missing values can be found
    if values.dtype.kind == "U" and isinstance(y, (list, tuple)):
        values = _restore_mixed_types(y, values)
    missing = np.ma.getmaskarray(y) if np.ma.is_masked(y) else np.zeros(values.shape, dtype=bool)
    if values.dtype.kind == "O":
        missing = missing | np.fromiter(map(is_missing, values.flat), bool, values.size).reshape(values.shape)
    if missing.any():
        _raise_for_rows("NaN", missing)
    dtypes = _column_dtypes(y)
    if values.dtype.kind == "O" and dtypes and all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes):
        return np.array(values.tolist())  # mixed or nullable numeric columns: numpy finds the common dtype
    return values


def _holds_rows(values):
    """Whether a 1-D array holds sequences of equal length, as a Series of lists does: the rows of a 2-D array."""
    if values.dtype.kind != "O" or values.ndim != 1 or not all(isinstance(row, _SEQUENCES) for row in values):
        return False
    return len({len(row) for row in values}) == 1 and len(values[0]) > 0


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
