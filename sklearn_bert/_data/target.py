"""The base class of the targets of the three modes.

Think twice before adding to it: a rule of one mode belongs to that mode's class.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from .sampling import holdout_rows, sample_rows


class Role(NamedTuple):
    """Words for error messages about a y, which must agree with an earlier one.

    Attributes
    ----------
    name : str
        The name of the argument.
    earlier : str
        What it must agree with.
    cure : str
        What to do if y has other classes or another mode.
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
    """The meaning of y in one mode, fitted on a checked y and its sample weights.

    By default, logits need no rescaling and the weights of the rows do not change.

    Attributes
    ----------
    problem_type : str
        Hugging Face's name of the mode; it also chooses the loss.
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
        """The number and kind of the outputs for `summary_`, such as "5 classes"."""
        plural = "" if self.num_labels == 1 else "es" if self.output_kind.endswith("s") else "s"
        return f"{self.num_labels} {self.output_kind}{plural}"

    @abstractmethod
    def refit_keeping_classes(self, y, sample_weight, classes, role=FIRST, **params):
        """Return a target with the same classes, labels or scale, and other parameters: for resumed training."""

    @abstractmethod
    def encode(self, y, role=FIRST):
        """Encode y as the loss takes it: (n,) int64, or (n, num_labels) float64.

        Raises
        ------
        ValueError
            If y has other classes or another number of columns. `role` gives the words of the message.
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
        """Weights (num_labels,) and offset of the score of output k, which is ``logits @ weights + offset``."""
        return np.eye(self.num_labels)[k], 0.0

    @staticmethod
    @abstractmethod
    def validation_strata(y):
        """The stratum of each row, (n,) int; -1 for a row that must stay in training."""

    @staticmethod
    @abstractmethod
    def probe_strata(y):
        """The stratum of each row of an encoded y, (n,) int, for the sample of the linear probe."""

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
        """Return the target of a model that another package trained.

        Parameters
        ----------
        names : list of num_labels str
            The names of the outputs in the model's config.

        Returns
        -------
        target : Target
        order : ndarray of shape (num_labels,)
            The position in the model of each output of the target.
        label_names : ndarray of object or None
            None if the outputs are no labels.

        Raises
        ------
        ValueError
            If the names cannot be those of such outputs; the message continues "The config.json of FOLDER ".
        """
