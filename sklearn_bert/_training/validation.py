"""The validation data that each epoch is judged by."""

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
