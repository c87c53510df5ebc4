"""Choose rows for validation and for the linear probe, stratified.

The target of each mode defines the strata: `Target.validation_strata` and `Target.probe_strata`. This file imports
numpy only.
"""

import numpy as np

MAX_PROBE_ROWS = 4000  # a linear model of some hundred features gains little from more rows
_MIN_ROWS_OF_A_STRATUM = 5
_N_QUANTILES = 10  # strata of numbers; fewer if a stratum would have a single row


def holdout_rows(stratum, fraction, seed):
    """Choose about `fraction` of the rows of each stratum for validation.

    Rows are sorted by stratum, in random order within a stratum. Then rows at equal distances are chosen. So a stratum
    of several rows never loses all of them if `fraction` is at most one half.

    Parameters
    ----------
    stratum : ndarray of shape (n,), int
        Rows of a negative stratum stay in training.
    fraction : float in (0, 0.5]
    seed : int

    Returns
    -------
    mask : ndarray of shape (n,), bool
        True for the rows to validate on.
    """
    shuffled = np.random.default_rng(seed).permutation(len(stratum))
    order = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    order = order[stratum[order] >= 0]
    n_picks = min(max(1, round(fraction * len(stratum))), len(order) // 2)
    places = ((np.arange(n_picks) + 0.5) * len(order) / max(1, n_picks)).astype(int)
    mask = np.zeros(len(stratum), dtype=bool)
    mask[order[places]] = True
    return mask


def leave_a_row_of_each_label(mask, y):
    """Unset the mask for one row of each label of which it selects all rows; y is (n, num_labels) of 0 and 1."""
    mask = mask.copy()
    for rows in map(np.flatnonzero, y.T):
        if mask[rows].all():
            mask[rows[:1]] = False
    return mask


def quantile_strata(y):
    """The number of the decile that each row is in, (n,); with several outputs, the decile of their mean."""
    ranks = y.reshape(len(y), -1).mean(axis=1).argsort(kind="stable").argsort(kind="stable")
    return ranks * min(_N_QUANTILES, len(y) // 2) // len(y)


def label_pattern_strata(y):
    """The stratum of each row, (n,): its combination of labels, or its rarest label if no other row has it.

    With many labels, most combinations occur only once.
    """
    _, pattern, size = np.unique(y, axis=0, return_inverse=True, return_counts=True)
    pattern = pattern.ravel()
    rarest = np.where(y == 1, np.count_nonzero(y, axis=0), len(y) + 1).argmin(axis=1)
    return np.unique(np.where(size[pattern] > 1, pattern, -1 - rarest), return_inverse=True)[1]


def rarest_label(y):
    """The rarest of each row's labels, (n,); -1 for a row without any label."""
    frequency = np.where(y == 1, y.sum(axis=0), np.inf)
    return np.where(y.any(axis=1), frequency.argmin(axis=1), -1)


def merge_copies(keys, sample_weight):
    """Merge equal rows: the position of the first copy, and the sum of the weights.

    The prior of the linear probe counts rows: k copies must count as one row of weight k.

    Parameters
    ----------
    keys : sequence of n hashable
        Equal for copies.
    sample_weight : ndarray of shape (n,)

    Returns
    -------
    rows, weight : ndarray of shape (n_distinct,)
    """
    numbers = {}
    group = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    return np.unique(group, return_index=True)[1], np.bincount(group, sample_weight)


def sample_rows(stratum, y, sample_weight, seed):
    """Sample about 4,000 rows that represent all rows, at least a few of every stratum, with their weights.

    The number of rows of a stratum (a class; with several labels, the rows with the same rarest label) is proportional
    to its weight. They are sorted by target, and taken at equal distances of cumulative weight. Their weights add up
    to the weight of the stratum.

    Parameters
    ----------
    stratum : ndarray of shape (n,)
    y : ndarray of shape (n,) or (n, num_labels)
        Encoded targets.
    sample_weight : ndarray of shape (n,)
    seed : int

    Returns
    -------
    rows, weight : ndarray of shape (n_sampled,)
    """
    if len(y) <= MAX_PROBE_ROWS:
        return np.arange(len(y)), sample_weight
    shuffled = np.random.default_rng(seed).permutation(len(y))
    columns = y.reshape(len(y), -1).T
    order = shuffled[np.lexsort([*columns[:, shuffled], stratum[shuffled]])]
    rows, weights = [], []
    for members in np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1):
        upto = np.cumsum(sample_weight[members])
        n_picks = max(round(MAX_PROBE_ROWS * upto[-1] / sample_weight.sum()), min(_MIN_ROWS_OF_A_STRATUM, len(members)))
        step = upto[-1] / n_picks
        picked, count = np.unique(np.searchsorted(upto, (np.arange(n_picks) + 0.5) * step), return_counts=True)
        rows.append(members[picked])
        weights.append(count * step)
    return np.concatenate(rows), np.concatenate(weights)
