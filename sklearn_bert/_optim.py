"""What AdamW updates and how fast: parameter groups and the learning rate's factor.

A leaf. Both are plain functions of plain arguments, so that a schedule can be pickled.
"""


def param_groups(module, weight_decay):
    """Two groups of the trainable parameters: matrices decay, biases and normalisation weights do not.

    Matrices are told by having two dimensions: in a BERT all else is a bias or belongs to a LayerNorm.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


def linear_warmup_decay(step, n_steps, warmup_fraction):
    """Factor of the learning rate at `step` (from 0): up to 1 over the warm-up, then down towards 0.

    Neither the first step nor the last has the factor 0, so no step is wasted, however few there are.
    """
    warmup = max(1.0, warmup_fraction * n_steps)
    decay = max(1.0, n_steps - warmup)
    return max(0.0, min((step + 1) / warmup, (n_steps - step) / decay, 1.0))
