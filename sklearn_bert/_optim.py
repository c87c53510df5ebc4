"""What AdamW updates and how fast: parameter groups and the learning rate's factor.

A leaf. Both are plain functions of plain arguments, so that a schedule can be pickled.
"""


def param_groups(module, learning_rate, head_learning_rate, weight_decay):
    """The trainable parameters in four groups: encoder and head, each with and without weight decay.

    Matrices decay, biases and normalisation weights do not. Matrices are told by having two dimensions:
    in a BERT all else is a bias or belongs to a LayerNorm.
    """
    head = {id(p) for layers in (module.hidden, module.classifier) for p in layers.parameters()}
    groups = []
    for in_head, rate in ((False, learning_rate), (True, head_learning_rate)):
        parameters = [p for p in module.parameters() if p.requires_grad and (id(p) in head) == in_head]
        groups += [
            {"params": [p for p in parameters if p.ndim > 1], "lr": rate, "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "lr": rate, "weight_decay": 0.0},
        ]
    return groups


def linear_warmup_decay(step, n_steps, warmup_fraction):
    """Factor of the learning rate at `step` (from 0): up to 1 over the warm-up, then down towards 0.

    Neither the first step nor the last has the factor 0, so no step is wasted, however few there are.
    """
    warmup = max(1.0, warmup_fraction * n_steps)
    decay = max(1.0, n_steps - warmup)
    return max(0.0, min((step + 1) / warmup, (n_steps - step) / decay, 1.0))
