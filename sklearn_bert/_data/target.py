"""What every target knows and does: the base class of the three modes.

Think twice before adding to it: a rule of one mode belongs to that mode's class.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from .sampling import holdout_rows, sample_rows


class Role(NamedTuple):
    """What a y is that must agree with something earlier, for error messages.

    Attributes
    ----------
    name : str
        What the user calls it.
    earlier : str
        What it must agree with.
    cure : str
        What to do with a y of other classes or of another mode.
    """

    name: str
    earlier: str
    cure: str


FIRST = Role("y", "classes", "pass all classes as classes=")
VALIDATION = Role("y_val", "y", "pass X and y that have them too")
WARM_START = Role("y", "the earlier fit", "fit anew with warm_start=False")
PARTIAL_FIT = Role(
    "y", "the first call", "start anew with sklearn.base.clone(estimator) and all classes as classes= in its first call"
)


class Target(ABC):
    """What y means in one mode. It is fitted on a checked y and its sample weights.

    The defaults are those of a mode in which logits are final and weights stay as they are.

    Attributes
    ----------
    problem_type : str
        Hugging Face's name of the mode, which names the loss as well.
    output_kind : {"class", "label", "output"}
        What a logit stands for.
    num_labels : int
        The number of logits.
    loss_params : dict
        Further arguments of the loss.
    """

    problem_type: str
    output_kind: str
    num_labels: int
    loss_params: dict = {}

    @property
    def outputs(self):
        """How many outputs and of which kind, for `summary_`: "5 classes"."""
        plural = "" if self.num_labels == 1 else "es" if self.output_kind.endswith("s") else "s"
        return f"{self.num_labels} {self.output_kind}{plural}"

    @abstractmethod
    def refit_keeping_classes(self, y, sample_weight, classes, role=FIRST, **params):
        """A target with these classes, labels or scale, and other parameters: for a training that is resumed."""

    @abstractmethod
    def encode(self, y, role=FIRST):
        """What the loss takes: (n,) int64, or (n, num_labels) float64.

        Raises
        ------
        ValueError
            If y has other classes, or another number of columns; it says what `role` says.
        """

    @abstractmethod
    def predict(self, logits):
        """(n, num_labels) logits to labels or numbers, as the user wrote them."""

    @abstractmethod
    def score(self, logits, y, sample_weight):
        """How well the logits predict y: a float, 1 is perfect."""

    def apply_class_weight(self, y, sample_weight):
        """Weights of the rows in the loss, (n,)."""
        return sample_weight

    def unscale_head(self, weight, bias):
        """(num_labels, H) weights and (num_labels,) biases of a last layer whose logits are in y's units."""
        return weight, bias

    def most_likely(self, logits):
        """Position of the output to explain in each row if none is named, (n,)."""
        return logits.argmax(axis=1)

    def score_direction(self, k):
        """Weights (num_labels,) and offset of the score of output k: ``logits @ weights + offset``."""
        return np.eye(self.num_labels)[k], 0.0

    @staticmethod
    @abstractmethod
    def validation_strata(y):
        """A number for each row, equal for rows that can replace one another; -1: must stay in training."""

    @staticmethod
    @abstractmethod
    def probe_strata(y):
        """A number for each row of an encoded y, equal for rows of one stratum of the linear probe's sample."""

    @classmethod
    def choose_validation_rows(cls, y, fraction, seed):
        """Mask of about `fraction` of the rows, stratified, (n,) bool; see `holdout_rows`."""
        return holdout_rows(cls.validation_strata(y), fraction, seed)

    @classmethod
    def choose_probe_rows(cls, y, sample_weight, seed):
        """Positions and weights of the rows that the linear probe is solved on; see `sample_rows`."""
        return sample_rows(cls.probe_strata(y), y, sample_weight, seed)

    @classmethod
    @abstractmethod
    def from_output_names(cls, names):
        """The target of a model that was not trained here.

        Parameters
        ----------
        names : list of num_labels str
            What the model's config calls its outputs.

        Returns
        -------
        target : Target
        order : ndarray of shape (num_labels,)
            The position in the model of each output of the target.
        label_names : ndarray of object or None
        """
