"""y decides the mode: problem type and encoding of y, and the way back from logits.

The only room that speaks both vocabularies, scikit-learn's ``type_of_target`` and Hugging Face's
``problem_type``; everybody else asks a target object. numpy only, no torch.

A target is fitted on a checked y and its sample weights. It then knows

========================== ====================================================================
``problem_type``           Hugging Face's name of the mode, which names the loss as well
``num_labels``             the number of logits
``encode(y)``              what the loss takes: (n,) int64, or (n, num_labels) float64
``predict(logits)``        labels or numbers, as the user wrote them
``predict_proba(logits)``  the inverse link, in float64 (classification)
``decision_function(...)`` scikit-learn's confidence scores (classification)
``kind``                   what a logit stands for: "class", "label" or "output"
``foremost(logits)``       which of these one asks the reasons of, if none is named
``score(k)``               what speaks for the k-th of them: ``logits @ weights + offset``
========================== ====================================================================
"""

import numpy as np
from scipy.special import expit, softmax
from sklearn.utils import assert_all_finite, compute_class_weight
from sklearn.utils.validation import column_or_1d

from ._missing import is_missing

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


class SingleLabelTarget:
    """One of K >= 2 classes per row: cross entropy inside, softmax on the way back."""

    problem_type = "single_label_classification"
    kind = "class"

    def __init__(self, y, sample_weight, class_weight=None):
        self.classes = np.unique(y)
        if len(self.classes) < 2:
            raise ValueError(
                f"BertClassifier needs at least two classes, but y holds 1 class: {self.classes.tolist()[0]!r}. "
                "Check how y was selected (rows of zero sample_weight do not count)."
            )
        self.num_labels = len(self.classes)
        self.class_weight = compute_class_weight(class_weight, classes=self.classes, y=y, sample_weight=sample_weight)
        if (self.class_weight < 0).any() or not self.class_weight.any():
            raise ValueError(
                f"Got class_weight={class_weight!r}, expected non-negative weights that are not all zero. "
                "Pass 'balanced' or None for a usual choice."
            )

    def encode(self, y):
        """Position of each label in the sorted classes, shape (n,) int64."""
        return np.searchsorted(self.classes, y)

    def weigh(self, y, sample_weight):
        """Sample weights times class weights, shape (n,)."""
        return sample_weight * self.class_weight[self.encode(y)]

    def predict(self, logits):
        """(n, K) logits to (n,) labels."""
        return self.classes[logits.argmax(axis=1)]

    def predict_proba(self, logits):
        """(n, K) logits to (n, K) probabilities that sum to one in each row."""
        return softmax(logits, axis=1)

    def decision_function(self, logits):
        """(n, K) scores; for two classes the (n,) margin of the second over the first."""
        return logits[:, 1] - logits[:, 0] if self.num_labels == 2 else logits

    def foremost(self, logits):
        """Position of the most probable class, shape (n,)."""
        return logits.argmax(axis=1)

    def score(self, k):
        """The logit of class k; of two classes its margin over the other."""
        weights = np.eye(self.num_labels)[k]
        return (weights - weights[::-1] if self.num_labels == 2 else weights), 0.0


class MultiLabelTarget:
    """L >= 2 independent yes/no labels per row: BCE with logits inside, sigmoid on the way back."""

    problem_type = "multi_label_classification"
    kind = "label"

    def __init__(self, y, sample_weight, class_weight=None):
        if class_weight is not None:
            raise ValueError(
                f"class_weight={class_weight!r} applies to one label per row, but y has {y.shape[1]} columns of 0 "
                "and 1. Pass class_weight=None, and weigh rows through sample_weight."
            )
        self.num_labels = y.shape[1]
        self.classes = np.arange(self.num_labels)

    def encode(self, y):
        """The 0/1 matrix as float64, shape (n, L)."""
        return y.astype(np.float64)

    def weigh(self, y, sample_weight):
        """Sample weights as they are, shape (n,)."""
        return sample_weight

    def predict(self, logits):
        """(n, L) logits to (n, L) int64: 1 where the probability exceeds one half."""
        return (logits > 0).astype(np.int64)

    def predict_proba(self, logits):
        """(n, L) logits to (n, L) probabilities, each strictly between 0 and 1."""
        # expit(37) is the last that float64 keeps below 1.0; one step inside is as sure as it gets.
        return np.clip(expit(logits), np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0))

    def decision_function(self, logits):
        """The (n, L) logits themselves."""
        return logits

    def foremost(self, logits):
        """Position of the most probable label, shape (n,)."""
        return logits.argmax(axis=1)

    def score(self, k):
        """The logit of label k."""
        return np.eye(self.num_labels)[k], 0.0


class RegressionTarget:
    """One or K numbers per row: MSE inside, on standardised y unless `scale` is False."""

    problem_type = "regression"
    kind = "output"

    def __init__(self, y, sample_weight, scale=True):
        self.is_1d = y.ndim == 1
        columns = y.reshape(len(y), -1)
        self.num_labels = columns.shape[1]
        self.mean, self.scale = np.zeros(self.num_labels), np.ones(self.num_labels)
        if scale:
            self.mean = np.average(columns, axis=0, weights=sample_weight)
            self.scale = _spread(columns - self.mean, np.abs(self.mean), sample_weight)

    def encode(self, y):
        """Standardised y, shape (n, K) float64."""
        return (y.reshape(len(y), -1) - self.mean) / self.scale

    def weigh(self, y, sample_weight):
        """Sample weights as they are, shape (n,)."""
        return sample_weight

    def predict(self, logits):
        """(n, K) logits to numbers in y's units, shape (n,) or (n, K) as y had."""
        values = logits * self.scale + self.mean
        return values[:, 0] if self.is_1d else values

    def foremost(self, logits):
        """Position of the only output, shape (n,)."""
        if self.num_labels > 1:
            raise ValueError(
                f"Got target=None, but there are {self.num_labels} outputs and none is foremost. Expected the position "
                f"of one, from 0 to {self.num_labels - 1}. Pass it as target."
            )
        return np.zeros(len(logits), dtype=np.int64)

    def score(self, k):
        """Output k in y's units."""
        return np.eye(self.num_labels)[k] * self.scale, self.mean[k]


def check_classification_y(y):
    """(y, class of target): y as a dense ndarray and the target that handles it.

    Raises
    ------
    ValueError
        If y is None, holds missing values, or is of a kind that no mode takes; the message names
        the cure.
    """
    values = _check_y(y, "BertClassifier")
    kind = _type_of_target(values)
    if kind in _TARGETS:
        return values, _TARGETS[kind]
    raise ValueError(
        f"Unknown label type: {kind}, from a y of dtype {values.dtype}, shape {values.shape}. {_CURES[kind]}"
    )


def check_regression_y(y):
    """(y, RegressionTarget): y as a dense float64 ndarray, 1-D or with at least two columns.

    Raises
    ------
    ValueError
        If y is None, holds missing or infinite values, or is not numeric.
    """
    is_category = any(str(dtype) == "category" for dtype in _column_dtypes(y))
    values = _check_y(y, "BertRegressor")
    if values.dtype.kind == "O" and all(isinstance(value, (int, float, np.number)) for value in values.flat):
        values = values.astype(np.float64)
        _check_finite(values)
    if is_category or values.dtype.kind not in "biuf":
        kind = "category" if is_category else values.dtype
        raise ValueError(
            f"BertRegressor expects numbers in y, got values of dtype {kind}. "
            "Convert y with y.astype(float), or use BertClassifier if these are classes."
        )
    return values.astype(np.float64), RegressionTarget


_TARGETS = {"multiclass": SingleLabelTarget, "multilabel-indicator": MultiLabelTarget}


def _type_of_target(values):
    """scikit-learn's name for the kind of y, from shape and dtype; "multiclass" includes two classes.

    Its own function of this name casts floats, guesses from the first object and takes any two
    integers in 2-D for indicators.
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
    """y as a dense ndarray without missing values, 1-D or with at least two columns."""
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


def _check_finite(values):
    try:
        assert_all_finite(values, input_name="y")
    except ValueError as error:
        raise ValueError(f"{str(error).splitlines()[0]} {_FINITE}") from None


def _to_ndarray(y):
    if hasattr(y, "toarray"):  # scipy.sparse
        return y.toarray()
    try:
        values = np.asarray(y)
    except ValueError:  # rows of different lengths
        values = np.fromiter(y, dtype=object)
    if values.dtype.kind == "T":
        values = values.astype(object)  # numpy's StringDType: str objects, among which missing values show
    if values.dtype.kind == "U" and isinstance(y, (list, tuple)):
        values = _undo_stringification(y, values)
    if np.ma.is_masked(y) or (values.dtype.kind == "O" and any(is_missing(value) for value in values.flat)):
        raise ValueError(f"Input y contains NaN. {_FINITE}")
    dtypes = _column_dtypes(y)
    if values.dtype.kind == "O" and dtypes and all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes):
        return np.array(values.tolist())  # mixed or nullable numeric columns: numpy finds their plain dtype
    return values


def _undo_stringification(y, strings):
    """numpy writes [1, "a", nan] as three str; show the values as they were if not all are str."""
    objects = np.array(y, dtype=object)
    return strings if all(isinstance(value, str) for value in objects.flat) else objects


def _column_dtypes(y):
    """The dtypes of a pandas DataFrame; the one dtype of a Series or array; none for a list."""
    dtypes = getattr(y, "dtypes", None)
    dtypes = getattr(y, "dtype", []) if dtypes is None else dtypes
    return list(dtypes) if hasattr(dtypes, "__iter__") else [dtypes]


def _spread(deviations, size, sample_weight):
    """Weighted standard deviation of each column, (K,); 1 for a constant one."""
    largest = np.abs(deviations).max(axis=0)
    # A constant column deviates by rounding errors only; dividing by these would blow them up.
    constant = largest <= 10 * np.finfo(np.float64).eps * size
    unit = np.where(constant, 1.0, largest)  # squares of numbers up to 1 neither overflow nor vanish
    spread = unit * np.sqrt(np.average((deviations / unit) ** 2, axis=0, weights=sample_weight))
    return np.where(constant, 1.0, spread)
