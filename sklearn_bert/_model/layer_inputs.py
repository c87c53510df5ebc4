"""The inputs of an encoder's last layers: the outputs of the layers below them.

transformers gives them with `output_hidden_states`, which keeps the outputs of all layers, and in its older releases
replaces methods during the call, so that predictions of several threads would mix. Hooks on a few layers do neither.
"""

import threading
from contextlib import contextmanager

from .layers import split_into_layers

_thread = threading.local()


def watch_last_layers(encoder, n_layers):
    """Let `layer_inputs` see so many of the encoder's last layers, or more.

    Raises
    ------
    ValueError
        If the encoder has no list of its layers, see `split_into_layers`.
    """
    for layer in split_into_layers(encoder)[1][-n_layers:]:
        if keep_input not in layer._forward_pre_hooks.values():
            layer.register_forward_pre_hook(keep_input, with_kwargs=True)


def keep_input(layer, args, kwargs):
    """The hook: within `layer_inputs` it keeps the hidden states that the layer is called with."""
    inputs = getattr(_thread, "inputs", None)
    if inputs is not None:
        inputs.append(args[0] if args else kwargs["hidden_states"])


@contextmanager
def layer_inputs():
    """A context that gives a list: of each call of a watched layer by this thread, its input (B, T, H)."""
    _thread.inputs = []
    try:
        yield _thread.inputs
    finally:
        _thread.inputs = None
