"""Rows set apart to judge each epoch by, and the best epoch so far.

A leaf: arrays, and a module's parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

_N_STRATA = 10  # of numbers, by size


def holdout_rows(problem_type, y, fraction, seed):
    """Which rows to set apart: about `fraction` of each class, of each pattern of labels, of each range of numbers.

    Rows are taken at equal distances from all rows, sorted by stratum and at random within one. So no stratum
    gives all its rows as long as `fraction` is at most one half; one of a single row gives none.

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
    order = order[size[stratum[order]] > 1]
    n_picks = min(max(1, round(fraction * len(y))), len(order) // 2)
    places = ((np.arange(n_picks) + 0.5) * len(order) / max(1, n_picks)).astype(int)
    mask = np.zeros(len(y), dtype=bool)
    mask[order[places]] = True
    return mask


def _strata(problem_type, y):
    """A number per row, equal for rows that stand for one another."""
    if problem_type == "regression":
        ranks = y.reshape(len(y), -1).mean(axis=1).argsort(kind="stable").argsort(kind="stable")
        return ranks * _N_STRATA // len(y)
    return np.unique(y, axis=0 if y.ndim > 1 else None, return_inverse=True)[1].ravel()


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
