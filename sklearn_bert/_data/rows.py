"""Checked rows of a fit: texts, y and weights side by side, whole or in part.

What of them a fit, its validation and its state file need.
"""

from itertools import compress
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from .fingerprint import fingerprint
from .target import FIRST, Role


class Rows(NamedTuple):
    """n rows of positive weight.

    Attributes
    ----------
    columns : tuple of one or two lists of n str
    y : ndarray of shape (n,) or (n, k)
        As the user wrote it.
    weights : ndarray of shape (n,)
    target_class : type
        Of the target that handles such a y.
    role : Role
        What the y must agree with.
    """

    columns: tuple
    y: np.ndarray
    weights: np.ndarray
    target_class: type
    role: Role = FIRST

    @classmethod
    def of_positive_weight(cls, columns, y, sample_weight, target_class, role=FIRST):
        """Checked texts and y with a weight for each row; a row that weighs nothing counts as absent."""
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
        """What the rows weigh in the loss of a target: one on average."""
        weights = target.apply_class_weight(self.y, self.weights)
        if not weights.any():
            raise ValueError("class_weight leaves no row any weight. Give the classes in y positive ones or pass None.")
        weights = weights / weights.max()  # so that their sum is finite and no reciprocal overflows
        return weights * (len(weights) / weights.sum())

    def fingerprints(self):
        """Fingerprints of texts, y and weights, in a dict of str."""
        y = self.y if self.y.dtype != object else self.y.astype(str)
        return {"X": fingerprint(*self.columns), "y": fingerprint(y), "sample_weight": fingerprint(self.weights)}
