"""Rows of numbers as texts, so that all checks of scikit-learn's `check_estimator` can run on text estimators.

For an estimator that does not accept 2-D arrays, `check_estimator` runs one check and skips the rest.
The mixin overrides the private method `_check_X` and the input tags only: fit, predict, weights,
targets, clone and pickle are the production code.
"""

import numpy as np
from sklearn.utils.validation import validate_data

from sklearn_bert import BertClassifier, BertRegressor, BertVectorizer, TextTargetEncoder

N_FEATURES, N_BINS, STEP = 32, 12, 0.25


def word(feature, value):
    """The word for a value of a feature, in bins of 0.25, clipped to +-3: ``f3p07``."""
    size = int(np.clip(np.rint(value / STEP), -N_BINS, N_BINS))
    return f"f{feature % N_FEATURES}{'m' if size < 0 else 'p'}{abs(size):02d}"


def vocabulary():
    """All words that `word` can return."""
    return [word(j, b * STEP) for j in range(N_FEATURES) for b in range(-N_BINS, N_BINS + 1)]


class NumericRowsAsText:
    """Mixin, first in the MRO."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = False
        tags.input_tags.string = False
        return tags

    def _check_X(self, X, *, reset):
        X = validate_data(self, X, reset=reset, dtype="numeric")
        return ([" ".join(word(j, value) for j, value in enumerate(row)) for row in X],)


class NumericClassifier(NumericRowsAsText, BertClassifier):
    """`BertClassifier` on rows of numbers."""


class NumericRegressor(NumericRowsAsText, BertRegressor):
    """`BertRegressor` on rows of numbers."""


class NumericVectorizer(NumericRowsAsText, BertVectorizer):
    """`BertVectorizer` on rows of numbers."""


class NumericTargetEncoder(NumericRowsAsText, TextTargetEncoder):
    """`TextTargetEncoder` on rows of numbers."""
