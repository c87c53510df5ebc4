"""The validation data that each epoch is judged by, and the best epoch so far."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch


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


def make_validation(rows, target, text_encoder):
    """Checked rows as what each epoch is judged by.

    Parameters
    ----------
    rows : Rows
    target : Target
    text_encoder : TextEncoder

    Returns
    -------
    validation : Validation

    Raises
    ------
    ValueError
        If there are fewer than two rows.
    """
    if len(rows.y) < 2:
        raise ValueError(
            f"Validation needs at least two rows, but has {len(rows.y)}. Pass more rows, or raise validation_fraction."
        )
    targets = {"y": target.encode(rows.y), "w": rows.weights_for(target)}
    return Validation(
        text_encoder.encode(rows.columns),
        {name: torch.as_tensor(values) for name, values in targets.items()},
        partial(target.score, y=rows.y, sample_weight=rows.weights),
    )


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
