"""What AdamW updates and how fast: parameter groups and the learning rate's factor.

A leaf. The factor knows two numbers and no net, so that a schedule can be pickled, and a net is freed with its fit.
"""

from dataclasses import dataclass
from itertools import groupby


def param_groups(module, learning_rate, head_learning_rate, weight_decay, factors):
    """The trainable parameters in groups of one learning rate and one weight decay.

    Matrices decay, biases and normalisation weights do not. Matrices are recognised by their two dimensions:
    in a BERT all else is a bias or belongs to a LayerNorm. `factors` holds the factor of `learning_rate` of
    the encoder's parameters, by their ids.
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
    """Factor of the learning rate at `step` (from 0): up to 1 over the warm-up, then down towards 0.

    Neither the first step nor the last has the factor 0, so no step is wasted, however few there are.
    """
    warmup = max(1.0, warmup_fraction * n_steps)
    decay = max(1.0, n_steps - warmup)
    return max(0.0, min((step + 1) / warmup, (n_steps - step) / decay, 1.0))


@dataclass
class WarmupDecayFactor:
    """`linear_warmup_decay` by step, for a number of steps that may change on the way."""

    n_steps: int
    warmup_fraction: float

    def __call__(self, step):
        """The factor at this step, from 0."""
        return linear_warmup_decay(step, self.n_steps, self.warmup_fraction)
