"""The targets of the three modes: how y is encoded, and how logits become labels, numbers and probabilities.

The only module that knows the names of both scikit-learn's ``type_of_target`` and Hugging Face's
``problem_type``; all others ask a target object. numpy and scikit-learn only, no torch.
"""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logit, softmax
from sklearn.metrics import average_precision_score, r2_score

from .class_weight import floats_or_nan, values_of_labels, weights_of_classes, weights_of_labels
from .sampling import label_pattern_strata, leave_a_row_of_each_label, quantile_strata, rarest_label
from .target import FIRST, Target

_MAX_NAMED = 5
_LARGEST = 1e300  # of a number in y


class SingleLabelTarget(Target):
    """One of K >= 2 classes per row: cross entropy as the loss, softmax for the probabilities."""

    problem_type = "single_label_classification"
    output_kind = "class"

    def __init__(self, y, sample_weight, class_weight=None, label_smoothing=0.0, threshold=0.5, classes=None):
        _check_half(threshold)
        self.classes = np.unique(y) if classes is None else np.unique(classes)
        self.loss_params = {"label_smoothing": label_smoothing}
        if len(self.classes) < 2:
            cure = "Check how y was selected (rows of zero sample_weight do not count)"
            raise ValueError(
                f"BertClassifier needs at least two classes, but {'y holds' if classes is None else 'classes has'} 1 "
                f"class: {self.classes.tolist()[0]!r}. {cure if classes is None else 'Pass all that will ever occur'}."
            )
        self.num_labels = len(self.classes)
        self.encode(y)  # refuses labels that are not among the classes
        self.class_weight = weights_of_classes(class_weight, self.classes, y, sample_weight)

    def refit_keeping_classes(self, y, sample_weight, classes, role=FIRST, **params):
        """A target with the same classes and other parameters.

        Raises
        ------
        ValueError
            If `classes` are other ones, or y holds other labels.
        """
        if classes is not None and not np.array_equal(np.unique(classes), self.classes):
            raise ValueError(
                f"Got classes={classes!r}, expected those of the first call, {self.classes.tolist()}. Pass the same, "
                "or None."
            )
        self.encode(y, role)
        return SingleLabelTarget(y, sample_weight, classes=self.classes, **params)

    def encode(self, y, role=FIRST):
        """Position of each label in the sorted classes, shape (n,) int64.

        Raises
        ------
        ValueError
            If y holds other labels.
        """
        unknown = sorted(set(y.tolist()) - set(self.classes.tolist()), key=str)
        if unknown:
            known = f"{self.classes[:_MAX_NAMED].tolist()}{' ...' if self.num_labels > _MAX_NAMED else ''}"
            raise ValueError(
                f"{role.name} holds labels that are not among the classes: {unknown[:_MAX_NAMED]}. Expected some of "
                f"{known}, as in {role.earlier}. Drop these rows, or {role.cure}."
            )
        return np.searchsorted(self.classes, y)

    def apply_class_weight(self, y, sample_weight):
        """Sample weights times class weights, shape (n,)."""
        return sample_weight * self.class_weight[self.encode(y)]

    def predict(self, logits, threshold=0.5):
        """(n, K) logits to (n,) labels."""
        _check_half(threshold)
        return self.classes[logits.argmax(axis=1)]

    def predict_proba(self, logits):
        """(n, K) logits to (n, K) probabilities that sum to one in each row."""
        return softmax(logits, axis=1)

    def predict_log_proba(self, logits):
        """(n, K) logits to logarithms of the probabilities, exact also where these are too small for float64."""
        return log_softmax(logits, axis=1)

    def decision_function(self, logits):
        """(n, K) scores; for two classes the (n,) margin of the second over the first."""
        return logits[:, 1] - logits[:, 0] if self.num_labels == 2 else logits

    def score(self, logits, y, sample_weight):
        """Weighted accuracy of logits (n, K) for encoded labels (n,)."""
        return float(np.average(self.predict(logits) == y, weights=sample_weight))

    def score_direction(self, k):
        """Weights (K,) and offset that give the logit of class k; of two classes its margin over the other."""
        weights = np.eye(self.num_labels)[k]
        return (weights - weights[::-1] if self.num_labels == 2 else weights), 0.0

    @staticmethod
    def validation_strata(y):
        """The class; a class of one row must stay in training."""
        _, stratum, size = np.unique(y, return_inverse=True, return_counts=True)
        return np.where(size[stratum] > 1, stratum, -1)

    @staticmethod
    def probe_strata(y):
        """The stratum of each row, (n,): its class."""
        return y

    @classmethod
    def from_output_names(cls, names):
        """The target with the names as classes: scikit-learn sorts them, in transformers they have any order."""
        if len(set(names)) < len(names):
            raise ValueError(
                f"gives several classes the same name: {names}. Expected a name of its own for each in id2label. "
                "Rename them there."
            )
        return cls(np.array(names), np.ones(len(names))), np.argsort(np.array(names)), None


class MultiLabelTarget(Target):
    """L >= 2 independent yes/no labels per row: binary cross entropy as the loss, sigmoid for the probabilities."""

    problem_type = "multi_label_classification"
    output_kind = "label"

    def __init__(self, y, sample_weight, class_weight=None, label_smoothing=0.0, threshold=0.5, classes=None):
        self.num_labels = y.shape[1]
        self.classes = np.arange(self.num_labels)
        # scikit-learn passes np.unique(y) for any y; here this is [0, 1].
        if classes is not None and list(classes) not in ([0, 1], list(self.classes)):
            raise ValueError(
                f"y has {self.num_labels} columns of 0 and 1, but classes={classes!r}. Expected a class for each "
                f"column: pass range({self.num_labels}) or None."
            )
        _check_threshold(threshold, self.num_labels)
        self.loss_params = {"label_smoothing": label_smoothing}
        if class_weight is not None:
            self.loss_params["pos_weight"] = weights_of_labels(class_weight, y, sample_weight)

    def refit_keeping_classes(self, y, sample_weight, classes, role=FIRST, **params):
        """A target with the same number of labels and other parameters."""
        self.encode(y, role)
        return MultiLabelTarget(y, sample_weight, classes=classes, **params)

    def encode(self, y, role=FIRST):
        """The 0/1 matrix as float64, shape (n, L)."""
        _check_n_columns(y, self.num_labels, role)
        return y.astype(np.float64)

    def predict(self, logits, threshold=0.5):
        """(n, L) logits to (n, L) int64: 1 where the probability exceeds the label's threshold."""
        return (logits > logit(_check_threshold(threshold, self.num_labels))).astype(np.int64)

    def predict_proba(self, logits):
        """(n, L) logits to (n, L) probabilities, each strictly between 0 and 1."""
        # For logits above 37, float64 rounds expit to 1.0; the next smaller number replaces it.
        return np.clip(expit(logits), np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0))

    def predict_log_proba(self, logits):
        """(n, L) logits to logarithms of the probabilities, exact also where these are too small for float64."""
        return log_expit(logits)

    def decision_function(self, logits):
        """The (n, L) logits themselves."""
        return logits

    def score(self, logits, y, sample_weight):
        """Average precision over all pairs of row and label, which needs no threshold; 0 if no row has a label."""
        if not y.any():
            return 0.0
        return float(average_precision_score(y, logits, average="micro", sample_weight=sample_weight))

    @staticmethod
    def validation_strata(y):
        """The row's combination of labels, or its rarest label if no other row has the combination."""
        return label_pattern_strata(y)

    @classmethod
    def choose_validation_rows(cls, y, fraction, seed):
        """Like the base class, but at least one row with each label stays in training."""
        return leave_a_row_of_each_label(super().choose_validation_rows(y, fraction, seed), y)

    @staticmethod
    def probe_strata(y):
        """The stratum of each row, (n,): its rarest label."""
        return rarest_label(y)

    @classmethod
    def from_output_names(cls, names):
        """The target with the names as labels, in their order."""
        y = np.eye(len(names), dtype=int)
        return cls(y, np.ones(len(y))), np.arange(len(names)), np.array(names, dtype=object)


class RegressionTarget(Target):
    """One or K numbers per row: mean squared error as the loss, on standardised y unless `scale` is False."""

    problem_type = "regression"
    output_kind = "output"

    def __init__(self, y, sample_weight, scale=True):
        self.is_1d = y.ndim == 1
        columns = y.reshape(len(y), -1)
        self.num_labels = columns.shape[1]
        self.mean, self.scale = np.zeros(self.num_labels), np.ones(self.num_labels)
        if scale:
            self.mean, self.scale = _mean_and_spread(columns, sample_weight)

    def refit_keeping_classes(self, y, sample_weight, classes, role=FIRST, **params):
        """Return this target: the weights were trained in the units that its mean and scale define."""
        self.encode(y, role)
        return self

    def encode(self, y, role=FIRST):
        """Standardised y, shape (n, K) float64."""
        _check_n_columns(y, self.num_labels, role)
        return (y.reshape(len(y), -1) - self.mean) / self.scale

    def predict(self, logits):
        """(n, K) logits to numbers in y's units, shape (n,) or (n, K) as y had."""
        values = logits * self.scale + self.mean
        return values[:, 0] if self.is_1d else values

    def score(self, logits, y, sample_weight):
        """R squared, averaged over the outputs."""
        return float(r2_score(y, self.predict(logits), sample_weight=sample_weight))

    def most_likely(self, logits):
        """Position of the only output, shape (n,)."""
        if self.num_labels > 1:
            raise ValueError(
                f"Got target=None, but there are {self.num_labels} outputs, and none comes first. Expected the "
                f"position of one, from 0 to {self.num_labels - 1}. Pass it as target."
            )
        return np.zeros(len(logits), dtype=np.int64)

    def score_direction(self, k):
        """Weights (K,) and offset that give output k in y's units."""
        return np.eye(self.num_labels)[k] * self.scale, self.mean[k]

    def unscale_head(self, weight, bias):
        """(K, H) weights and (K,) biases of logits to those of numbers in y's units."""
        return weight * self.scale[:, None], bias * self.scale + self.mean

    @staticmethod
    def validation_strata(y):
        """The quantile of y; with several outputs, of their mean."""
        return quantile_strata(y)

    @staticmethod
    def probe_strata(y):
        """One stratum for all rows: the sample takes rows at equal distances in the order of y."""
        return np.zeros(len(y), dtype=int)

    @classmethod
    def from_output_names(cls, names):
        """The target of outputs in their own units, without names."""
        y = np.zeros((1, len(names))) if len(names) > 1 else np.zeros(1)
        return cls(y, np.ones(1), scale=False), np.arange(len(names)), None


TARGETS = {target.problem_type: target for target in (SingleLabelTarget, MultiLabelTarget, RegressionTarget)}


def _check_half(threshold):
    if np.ndim(threshold) or threshold != 0.5:
        raise ValueError(
            f"Got threshold={threshold!r}, which applies to several labels per row, but y holds one class per row. "
            "Pass threshold=0.5, and wrap the classifier in sklearn.model_selection.FixedThresholdClassifier."
        )


def _check_threshold(threshold, n_labels):
    """Check thresholds; return one per label, (L,)."""
    if isinstance(threshold, dict):
        values = values_of_labels(threshold, n_labels, 0.5, "threshold")
    else:
        values = floats_or_nan(threshold)
    if values.shape not in ((), (n_labels,)) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"Got threshold={threshold!r}, expected a probability between 0 and 1, or one for each of {n_labels} "
            "labels, or a dict of some of them. Pass 0.5 for the usual one."
        )
    return np.broadcast_to(values, n_labels)


def _check_n_columns(y, expected, role):
    n_columns = 1 if y.ndim == 1 else y.shape[1]
    if n_columns != expected:
        raise ValueError(
            f"{role.name} has {n_columns} columns, expected {expected} as in {role.earlier}. Pass the same columns."
        )


def _mean_and_spread(columns, sample_weight):
    """Weighted mean and standard deviation of each column, (K,) each; for a constant column the latter is 1."""
    if np.abs(columns).max() > _LARGEST:
        raise ValueError(
            f"y holds {columns.flat[np.abs(columns).argmax()]:.3g}, expected numbers between -{_LARGEST:g} and "
            f"{_LARGEST:g}, so that predictions stay finite. Divide y by a constant."
        )
    low = columns.min(axis=0)
    width = columns.max(axis=0) - low
    width = np.where(width > 0, width, 1.0)
    # Numbers from 0 to 1: their squares neither overflow nor underflow, and a constant column is exactly 0.
    places = (columns - low) / width
    mean = np.average(places, axis=0, weights=sample_weight)
    spread = width * np.sqrt(np.average((places - mean) ** 2, axis=0, weights=sample_weight))
    return low + width * mean, np.where(spread > 0, spread, 1.0)
