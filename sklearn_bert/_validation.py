"""Rows set apart to judge each epoch by, and the best epoch so far.

A leaf: arrays, and a module's parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

_N_STRATA = 10  # of numbers, by size; fewer where these would be of single rows


def holdout_rows(problem_type, y, fraction, seed):
    """Which rows to set apart: about `fraction` of each class, of each pattern of labels, of each range of numbers.

    Rows are taken at equal distances from all rows, sorted by stratum and at random within one. So no stratum of
    several rows gives all of them as long as `fraction` is at most one half. A class of one row stays in training,
    and of each label a row with it does.

    Parameters
    ----------
    problem_type : str
    y : ndarray of shape (n,) or (n, num_labels)
    fraction : float in (0, 0.5]
    seed : int

    Returns
    -------
    mask : ndarray of shape (n,), bool
    """
    stratum, size = np.unique(_strata(problem_type, y), return_inverse=True, return_counts=True)[1:]
    shuffled = np.random.default_rng(seed).permutation(len(y))
    order = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    if problem_type == "single_label_classification":
        order = order[size[stratum[order]] > 1]
    n_picks = min(max(1, round(fraction * len(y))), len(order) // 2)
    places = ((np.arange(n_picks) + 0.5) * len(order) / max(1, n_picks)).astype(int)
    mask = np.zeros(len(y), dtype=bool)
    mask[order[places]] = True
    if problem_type == "multi_label_classification":
        _give_back_last_rows(mask, y)
    return mask


def _strata(problem_type, y):
    """A number per row, equal for rows that stand for one another."""
    if problem_type == "regression":
        ranks = y.reshape(len(y), -1).mean(axis=1).argsort(kind="stable").argsort(kind="stable")
        return ranks * min(_N_STRATA, len(y) // 2) // len(y)
    pattern, size = np.unique(y, axis=0 if y.ndim > 1 else None, return_inverse=True, return_counts=True)[1:]
    pattern = pattern.ravel()
    if y.ndim == 1:
        return pattern
    # With many labels most patterns occur once. Such rows stand for one another if their rarest label is the same.
    rarest = np.where(y == 1, np.count_nonzero(y, axis=0), len(y) + 1).argmin(axis=1)
    return np.where(size[pattern] > 1, pattern, -1 - rarest)


def _give_back_last_rows(mask, y):
    """Take one row out of the mask for each label that training would have no row of."""
    for rows in map(np.flatnonzero, y.T):
        if mask[rows].all():
            mask[rows[:1]] = False


@dataclass(frozen=True)
class Validation:
    """Texts set apart.

    Attributes
    ----------
    dataset : EncodedDataset or FeatureDataset
        The texts, without targets.
    targets : dict of torch.Tensor
        ``y`` and ``w`` of each whole text, for the loss.
    score : callable
        Logits to a number; higher is better.
    """

    dataset: object
    targets: dict[str, torch.Tensor]
    score: Callable[[np.ndarray], float]


class BestEpoch:
    """The best epoch's number, score and weights; of equal scores the lower loss is better.

    Parameters
    ----------
    patience : int or None
        Epochs without a better one after which it is enough. None: never.
    """

    def __init__(self, patience):
        self.patience = patience
        self.epoch, self.score, self.loss = 0, -np.inf, np.inf
        self.latest = None
        self.weights = {}

    def update(self, epoch, score, loss, parameters):
        """Take note of an epoch, and of its weights if it is the best so far."""
        self.latest = score
        if (score, -loss) > (self.score, -self.loss):
            self.epoch, self.score, self.loss = epoch, score, loss
            self.weights = {name: p.detach().to("cpu", copy=True) for name, p in parameters.items()}

    def is_enough(self, epoch):
        """Whether the best is so long ago that training may stop after `epoch`."""
        return self.patience is not None and epoch - self.epoch >= self.patience

    def restore(self, parameters):
        """Give the parameters the best epoch's values."""
        with torch.no_grad():
            for name, value in self.weights.items():
                parameters[name].copy_(value)
