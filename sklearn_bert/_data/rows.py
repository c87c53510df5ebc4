"""The checked rows of a fit: texts, y and weights together."""

from itertools import compress
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from .fingerprint import fingerprint
from .target import FIRST, Role


class Rows(NamedTuple):
    """n rows with positive weights.

    Attributes
    ----------
    columns : tuple of one or two lists of n str
    y : ndarray of shape (n,) or (n, k)
        As the user passed it.
    weights : ndarray of shape (n,)
    target_class : type
        The class of the target for such a y.
    role : Role
        What y must agree with.
    """

    columns: tuple
    y: np.ndarray
    weights: np.ndarray
    target_class: type
    role: Role = FIRST

    @classmethod
    def of_positive_weight(cls, columns, y, sample_weight, target_class, role=FIRST):
        """Make rows of checked texts and y, without those of weight 0.

        Raises
        ------
        ValueError
            If the numbers of rows differ, or a weight is negative or not finite, or all weights are 0.
        """
        if len(columns[0]) != len(y):
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: [{len(columns[0])}, {len(y)}]. "
                "Pass one value, or one row of values, of y per row of X."
            )
        weights = _check_sample_weight(sample_weight, columns[0], dtype=np.float64, ensure_non_negative=True)
        if not weights.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        return cls(columns, y, weights / weights.max(), target_class, role).take(weights > 0)

    def take(self, mask):
        """The rows where the mask is true."""
        columns = tuple(list(compress(column, mask)) for column in self.columns)
        return self._replace(columns=columns, y=self.y[mask], weights=self.weights[mask])

    def weights_for(self, target):
        """The weights of the rows in the loss of a target, (n,), with mean one.

        Raises
        ------
        ValueError
            If `class_weight` gives all rows the weight 0.
        """
        weights = target.apply_class_weight(self.y, self.weights)
        if not weights.any():
            raise ValueError("class_weight gives every row weight 0. Give the classes in y positive ones or pass None.")
        weights = weights / weights.max()  # so that the sum is finite and the quotient does not overflow
        return weights * (len(weights) / weights.sum())

    def fingerprints(self):
        """Fingerprints of texts, y and weights, in a dict of str."""
        y = self.y if self.y.dtype != object else self.y.astype(str)
        return {"X": fingerprint(*self.columns), "y": fingerprint(y), "sample_weight": fingerprint(self.weights)}
