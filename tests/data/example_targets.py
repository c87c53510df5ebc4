"""Values of y that several test modules of this folder use, and functions that fit a target on them."""

import numpy as np

INTS, BOOLS, NAMES = [3, 1, 3, 2], [True, False, True, True], ["no", "yes", "no", "maybe"]
MATRIX = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 1]], dtype=np.int64)  # of three labels
LABELS = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])  # one that no row has, one that all have
PRICES = np.array([250_000.0, 1_200_000.0, 310_500.0, 99_000.0])
TABLE = np.column_stack([PRICES, INTS])
UNEVEN = np.array(["a", "b", "b", "c", "c", "c", "b", "c"])
WEIGHTS = np.array([2.0, 1, 3, 1, 2, 1, 1, 2])  # of the rows of UNEVEN


def fit_target(check, y, sample_weight=None, **params):
    """The checked y and the target fitted on it."""
    values, target_class = check(y)
    weights = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    return values, target_class(values, weights, **params)


def random_logits(n_rows, n_columns, scale=3.0):
    """Normally distributed logits, the same in every call."""
    return np.random.default_rng(0).normal(size=(n_rows, n_columns), scale=scale)
