"""The parameter groups of AdamW, and the factor of the learning rate at each step.

This file imports nothing of the package. The factor holds two numbers and no net: so a schedule can be pickled, and
the memory of a net is freed after the fit.
"""

from dataclasses import dataclass
from itertools import groupby


def param_groups(module, learning_rate, head_learning_rate, weight_decay, factors):
    """Group the trainable parameters by learning rate and weight decay.

    Only matrices have weight decay. They are recognised by their two dimensions: in BERT, all other parameters
    are biases or belong to a LayerNorm.

    Parameters
    ----------
    module : BertModule
    learning_rate : float
        The encoder's learning rate.
    head_learning_rate : float
    weight_decay : float
        The weight decay of matrices.
    factors : dict
        Factors of `learning_rate`, by the `id` of the encoder's parameters; 1 for those that are left out.

    Returns
    -------
    groups : list of dict
        As torch's optimizers take them.
    """
    head = {id(p) for layers in (module.hidden, module.classifier) for p in layers.parameters()}

    def settings(p):
        rate = head_learning_rate if id(p) in head else learning_rate * factors.get(id(p), 1.0)
        return rate, weight_decay if p.ndim > 1 else 0.0

    parameters = sorted((p for p in module.parameters() if p.requires_grad), key=settings)  # stable within a group
    return [
        {"params": list(members), "lr": rate, "weight_decay": decay}
        for (rate, decay), members in groupby(parameters, settings)
    ]


def linear_warmup_decay(step, n_steps, warmup_fraction):
    """Factor of the learning rate at `step` (from 0): it rises to 1 in the warm-up, then falls towards 0.

    It is not 0 at the first or the last step, so no step is wasted, even if there are only a few.
    """
    warmup = max(1.0, warmup_fraction * n_steps)
    decay = max(1.0, n_steps - warmup)
    return max(0.0, min((step + 1) / warmup, (n_steps - step) / decay, 1.0))


@dataclass
class WarmupDecayFactor:
    """`linear_warmup_decay` as a function of the step; `n_steps` may change during the training."""

    n_steps: int
    warmup_fraction: float

    def __call__(self, step):
        """The factor at this step (from 0)."""
        return linear_warmup_decay(step, self.n_steps, self.warmup_fraction)
