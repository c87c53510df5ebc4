"""Build a module with given weights, without random first weights and without a second copy in memory.

This file imports NumPy and torch only.
"""

import threading
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook


def build_with_weights(make, weights):
    """Build the module that `make` returns, with these weights instead of random ones.

    Parameters
    ----------
    make : callable
        Called without arguments, returns a module.
    weights : dict of torch.Tensor or ndarray
        All weights, by name. A tensor becomes a part of the module. The memory of an array is used, too, unless it
        is read-only or belongs to another object (a tensor, a memory map): then it is copied.

    Returns
    -------
    module : torch.nn.Module

    Raises
    ------
    RuntimeError
        If the names or shapes are not those of the module.
    """
    with _parameters_without_memory():
        module = make()
    dtypes = {name: tensor.dtype for name, tensor in module.state_dict().items()}
    tensors = {name: _as_tensor(value) for name, value in weights.items()}
    tensors = {name: tensor.to(dtypes.get(name, tensor.dtype)) for name, tensor in tensors.items()}
    module.load_state_dict(tensors, assign=True)
    return module


@contextmanager
def _parameters_without_memory():
    """A context in which the parameters that this thread creates are on the meta device; buffers are not affected."""
    thread = threading.get_ident()

    def to_meta(module, name, parameter):
        if threading.get_ident() == thread:
            return nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(to_meta)
    try:
        yield
    finally:
        handle.remove()


def _as_tensor(value):
    if isinstance(value, torch.Tensor):
        return value
    return torch.from_numpy(value if _owns_memory(value) else value.copy()).contiguous()


def _owns_memory(array):
    """Whether the array's memory was made for it, by NumPy or by unpickling, and may be written to."""
    owner = array
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    if isinstance(owner, memoryview):  # from pickle protocol 5; a buffer that is no bytearray belongs to its provider
        return array.flags.writeable and isinstance(owner.obj, bytearray)
    return array.flags.writeable and isinstance(owner, (np.ndarray, bytes))
