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
========================== ====================================================================
"""

import warnings

import numpy as np
from scipy.special import expit, softmax
from sklearn.utils import assert_all_finite, compute_class_weight
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

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

    def __init__(self, y, sample_weight, class_weight=None):
        self.classes = np.unique(y)
        if len(self.classes) < 2:
            raise ValueError(
                f"BertClassifier needs at least two classes, but y holds 1 class: {self.classes.tolist()[0]!r}. "
                "Check how y was selected (rows of zero sample_weight do not count)."
            )
        self.num_labels = len(self.classes)
        self.class_weight = compute_class_weight(class_weight, classes=self.classes, y=y, sample_weight=sample_weight)

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


class MultiLabelTarget:
    """L >= 2 independent yes/no labels per row: BCE with logits inside, sigmoid on the way back."""

    problem_type = "multi_label_classification"

    def __init__(self, y, sample_weight, class_weight=None):
        if not np.isin(y, (0, 1)).all():
            values = np.unique(y)[:5].tolist()
            raise ValueError(
                f"A multi-label y must hold 0 and 1 only, got values such as {values}. {_CURES['multiclass-multioutput']}"
            )
        if class_weight is not None:
            raise ValueError(
                f"class_weight={class_weight!r} applies to one label per row, but y has {y.shape[1]} columns of 0 and 1. "
                "Pass class_weight=None, and weigh rows through sample_weight."
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


class RegressionTarget:
    """One or K numbers per row: MSE inside, on standardised y unless `scale` is False."""

    problem_type = "regression"

    def __init__(self, y, sample_weight, scale=True):
        self.is_1d = y.ndim == 1
        columns = y.reshape(len(y), -1)
        self.num_labels = columns.shape[1]
        self.mean, self.scale = np.zeros(self.num_labels), np.ones(self.num_labels)
        if scale:
            self.mean = np.average(columns, axis=0, weights=sample_weight)
            spread = np.sqrt(np.average((columns - self.mean) ** 2, axis=0, weights=sample_weight))
            # A constant column has a spread of rounding errors only; dividing by it would blow them up.
            constant = spread <= 10 * np.finfo(np.float64).eps * np.abs(self.mean)
            self.scale = np.where(constant, 1.0, spread)

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


def check_classification_y(y):
    """(y, kind of target): a dense ndarray and the class that handles it.

    Raises
    ------
    ValueError
        If y is None, holds missing values, or is of a kind that no mode takes; the message names
        the cure.
    """
    values = _check_y(y, "BertClassifier")
    kind = _type_of_target(values)
    if kind == "multilabel-indicator":
        return values, MultiLabelTarget
    if kind in ("binary", "multiclass") and values.ndim == 1:
        return values, SingleLabelTarget
    kind = kind if kind in _CURES else "multiclass-multioutput"
    raise ValueError(f"Unknown label type: {kind}, from a y of dtype {values.dtype}, shape {values.shape}. {_CURES[kind]}")


def check_regression_y(y):
    """(y, RegressionTarget): y as a dense float64 ndarray, 1-D or with at least two columns.

    Raises
    ------
    ValueError
        If y is None, holds missing or infinite values, or is not numeric.
    """
    is_category = "category" in map(str, _column_dtypes(y))
    values = _check_y(y, "BertRegressor")
    if values.dtype.kind == "O" and all(isinstance(v, (int, float, np.number)) for v in values.flat):
        values = values.astype(np.float64)
        assert_all_finite(values, input_name="y")
    if is_category or values.dtype.kind not in "biuf":
        kind = "category" if is_category else values.dtype
        raise ValueError(
            f"BertRegressor expects numbers in y, got values of dtype {kind}. "
            "Convert y with y.astype(float), or use BertClassifier if these are classes."
        )
    return values.astype(np.float64), RegressionTarget


def _check_y(y, estimator_name):
    """y as a dense ndarray without missing values, 1-D or with at least two columns."""
    if y is None:
        raise ValueError(f"{estimator_name} requires y to be passed, but the target y is None")
    values = _to_ndarray(y)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(f"y should be a 1d or 2d array with at least one value, got an array of shape {values.shape}.")
    if values.dtype.kind == "c":
        raise ValueError(f"Complex data not supported in y, got an array of dtype {values.dtype}.")
    if values.dtype.kind in "biuf":
        assert_all_finite(values, input_name="y")
    return column_or_1d(values, warn=True) if values.ndim == 2 and values.shape[1] == 1 else values


def _to_ndarray(y):
    if hasattr(y, "toarray"):  # scipy.sparse
        return y.toarray()
    try:
        values = np.asarray(y)
    except ValueError:  # rows of different lengths
        values = np.fromiter(y, dtype=object)
    if values.dtype.kind not in "OT":
        return values
    values = values.astype(object)  # numpy's StringDType is unknown to scikit-learn
    if any(_is_missing(value) for value in values.flat):
        raise ValueError("Input y contains NaN. Expected a value in every row; drop the rows without one.")
    dtypes = _column_dtypes(y)
    if dtypes and all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes):
        values = np.array(values.tolist())  # mixed or nullable numeric columns: numpy finds their plain dtype
    return values


def _column_dtypes(y):
    """The dtypes of a pandas Series (one) or DataFrame; none for anything else."""
    dtypes = getattr(y, "dtypes", [])
    return list(dtypes) if hasattr(dtypes, "__iter__") else [dtypes]


def _is_missing(value):
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)


def _type_of_target(values):
    with warnings.catch_warnings():
        # Many classes among few rows are usual in text; scikit-learn would suspect a regression.
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
        try:
            return type_of_target(values, input_name="y")
        except ValueError:  # sequences of sequences
            return "unknown"
