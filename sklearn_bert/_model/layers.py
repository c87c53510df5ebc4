"""An encoder as a stack: embeddings, then layers, then what is on top; which of it learns, and how fast.

The lower a layer, the more general what it knows, and the less it need change
(Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018).
A leaf: torch only.
"""

from contextlib import contextmanager, nullcontext
from functools import partial
from numbers import Integral

from torch import nn
from torch.utils.checkpoint import checkpoint


def split_into_layers(encoder):
    """The encoder's parts from the bottom up.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel

    Returns
    -------
    embeddings : list of torch.nn.Module
        All that comes before the layers.
    layers : list of torch.nn.Module
        One per layer, the lowest first.

    Raises
    ------
    ValueError
        If the encoder keeps no list of its layers (ALBERT shares one among all, XLM has one for each of their parts).
    """
    n_layers = encoder.config.num_hidden_layers
    lists = {name: m for name, m in encoder.named_modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers}
    for name, module in lists.items():
        parent = name.rpartition(".")[0]
        if sum(other.rpartition(".")[0] == parent for other in lists) == 1:  # else a list of parts of layers
            first = name.split(".")[0]
            children = dict(encoder.named_children())
            before = list(children)[: list(children).index(first)]
            if before:
                return [children[child] for child in before], list(module)
    raise ValueError(
        f"An encoder of type {encoder.config.model_type!r} has no layers one by one. Pass freeze=None or 'encoder', "
        "layer_decay=1.0 and gradient_checkpointing=False."
    )


def frozen_parts(encoder, freeze):
    """The modules of the encoder that `freeze` names.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel
    freeze : {None, "embeddings", "encoder"} or int
        An int is the embeddings and that many of the lowest layers.

    Returns
    -------
    parts : list of torch.nn.Module

    Raises
    ------
    ValueError
        If the encoder has fewer layers.
    """
    if freeze is None:
        return []
    if freeze == "encoder":
        return [encoder]
    embeddings, layers = split_into_layers(encoder)
    n_frozen = freeze if isinstance(freeze, Integral) else 0
    if n_frozen > len(layers):
        raise ValueError(
            f"freeze={freeze} is more than the encoder's {len(layers)} layers. Expected at most {len(layers)}; "
            "freeze='encoder' freezes all of it."
        )
    return [*embeddings, *layers[:n_frozen]]


def layerwise_lr_multipliers(encoder, layer_decay):
    """Factor of the learning rate of each parameter of the encoder, by its id.

    The last layer and what is on top have 1; each layer below has `layer_decay` times the factor of the layer above
    it, and the embeddings that of one layer more.
    """
    factors = {id(p): 1.0 for p in encoder.parameters()}
    if layer_decay != 1.0 and any(p.requires_grad for p in encoder.parameters()):
        embeddings, layers = split_into_layers(encoder)
        for depth, parts in enumerate([*([layer] for layer in reversed(layers)), embeddings]):
            factors |= {id(p): layer_decay**depth for part in parts for p in part.parameters()}
    return factors


@contextmanager
def gradient_checkpointing(encoder, mode):
    """Within the context each layer keeps its input only, and computes the rest again on the way back.

    That is gradient checkpointing (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). `mode` makes
    the context in which layers are computed on their way forward, and so must be on the way back.
    """
    layers = split_into_layers(encoder)[1]
    for layer in layers:
        layer.forward = partial(
            checkpoint, layer.forward, use_reentrant=False, context_fn=lambda: (nullcontext(), mode())
        )
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own is there again
