"""Split an encoder into embeddings and layers, to freeze some and to give each its learning rate.

Lower layers are more general and need less change (Howard and Ruder, "Universal Language Model Fine-tuning for Text
Classification", ACL 2018). This file imports torch only.
"""

from contextlib import contextmanager, nullcontext
from functools import partial
from numbers import Integral

from torch import nn
from torch.utils.checkpoint import checkpoint


def split_into_layers(encoder):
    """Split an encoder into its embeddings and its layers.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel

    Returns
    -------
    embeddings : list of torch.nn.Module
        All modules before the layers.
    layers : list of torch.nn.Module
        One per layer, from the lowest to the highest.

    Raises
    ------
    ValueError
        If the encoder has no list of its layers: ALBERT shares one layer, XLM has a list for each part of a layer.
    """
    n_layers = encoder.config.num_hidden_layers
    lists = {name: m for name, m in encoder.named_modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers}
    for name, module in lists.items():
        parent = name.rpartition(".")[0]
        if sum(other.rpartition(".")[0] == parent for other in lists) == 1:  # else lists of parts of layers
            first = name.split(".")[0]
            children = dict(encoder.named_children())
            before = list(children)[: list(children).index(first)]
            if before:
                return [children[child] for child in before], list(module)
    raise ValueError(
        f"An encoder of type {encoder.config.model_type!r} has no list of separate layers. Pass freeze=None or "
        "'encoder', layer_decay=1.0, gradient_checkpointing=False and pooling='auto'."
    )


def frozen_parts(encoder, freeze):
    """The modules of the encoder that are not trained.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel
    freeze : {None, "embeddings", "encoder"} or int
        An int means the embeddings and that many of the lowest layers.

    Returns
    -------
    parts : list of torch.nn.Module

    Raises
    ------
    ValueError
        If `freeze` is larger than the number of layers.
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
    """Factors of the learning rate, which decrease from the highest layer to the embeddings.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel
    layer_decay : float
        The factor of a layer divided by that of the layer above it. The highest layer and the pooler have factor 1;
        the embeddings count as one layer more.

    Returns
    -------
    factors : dict
        The factor of each parameter by its `id`.

    Raises
    ------
    ValueError
        If the encoder has no list of its layers, see `split_into_layers`.
    """
    factors = {id(p): 1.0 for p in encoder.parameters()}
    if layer_decay != 1.0 and any(p.requires_grad for p in encoder.parameters()):
        embeddings, layers = split_into_layers(encoder)
        for depth, parts in enumerate([*([layer] for layer in reversed(layers)), embeddings]):
            factors |= {id(p): layer_decay**depth for part in parts for p in part.parameters()}
    return factors


@contextmanager
def gradient_checkpointing(encoder, mode):
    """A context in which each layer stores only its input, and is recomputed in the backward pass.

    See Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel
    mode : callable
        Returns the context manager in which the layers are recomputed: the same as in the forward pass.

    Raises
    ------
    ValueError
        If the encoder has no list of its layers, see `split_into_layers`.
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
            del layer.forward  # so that the method of the class is found again
