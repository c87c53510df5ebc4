"""The validation data on which each epoch is scored."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.base import clone
from sklearn.metrics import check_scoring


@dataclass(frozen=True)
class Validation:
    """The validation rows: encoded texts, their targets, and the score of an epoch.

    Attributes
    ----------
    dataset : EncodedDataset or FeatureDataset
        The texts, without targets.
    targets : dict of torch.Tensor
        ``y`` and ``w`` of each whole text, for the loss.
    score : callable or None
        Takes logits and returns a number; higher is better. None: the negative loss is the score.
    """

    dataset: object
    targets: dict[str, torch.Tensor]
    score: Callable[[np.ndarray], float] | None


def make_validation(rows, target, text_encoder, scoring=None, estimator=None):
    """Encode checked rows for validation.

    Parameters
    ----------
    rows : Rows
    target : Target
    text_encoder : TextEncoder
    scoring : str, callable or None
        A scorer of scikit-learn, its name, or "loss". None: the target's own score.
    estimator : BaseBertEstimator, optional
        The estimator whose predictions a scorer evaluates.

    Returns
    -------
    validation : Validation

    Raises
    ------
    ValueError
        If there are fewer than two rows, or `scoring` is not a scorer of scikit-learn.
    """
    if len(rows.y) < 2:
        raise ValueError(
            f"Validation needs at least two rows, but has {len(rows.y)}. Pass more rows, or raise validation_fraction."
        )
    targets = {"y": target.encode(rows.y), "w": rows.weights_for(target)}
    if scoring is None:
        score = partial(target.score, y=rows.y, sample_weight=rows.weights)
    else:
        score = None if scoring == "loss" else _scorer(scoring, estimator, target, rows)
    return Validation(
        text_encoder.encode(rows.columns), {name: torch.as_tensor(values) for name, values in targets.items()}, score
    )


def _scorer(scoring, estimator, target, rows):
    """A function that returns the score of the estimator's predictions for given logits."""
    # The clone takes logits as X, and predicts from them as the estimator does.
    judge = clone(estimator)
    vars(judge).update(_target=target, net_=None, _logits=lambda logits: logits)
    scorer = check_scoring(judge, scoring)
    weights = {} if np.ptp(rows.weights) == 0 else {"sample_weight": rows.weights}  # many callables take none

    def score(logits):
        value = float(scorer(judge, logits, rows.y, **weights))
        if not np.isfinite(value):
            raise ValueError(
                f"scoring={scoring!r} gave {value} on the {len(rows.y)} validation rows, expected a number. Choose "
                "another metric, or more validation rows."
            )
        return value

    return score
