"""A copy of a module whose linear layers hold their parameters in the dtype to which autocast casts them.

For each prediction, autocast casts the weights again. For one text, this takes as long as the rest of the prediction.
The copy gives the same results, to the bit. Only linear layers and the modules that contain them are copied, and of
these only the cast parameters; all other objects are shared. A module with forward hooks of others is shared as a
whole.

The module may change at any time. So `is_current` compares before each use: the modules, their attributes and hooks,
the identity of the parameters, the number of writes to each, and a sample of their values. The sample detects writes
that torch does not count (through ``weight.data`` or NumPy), unless they change only a few values. This file imports
torch and numpy only.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module as torch_modules

from .layer_inputs import keep_input

_N_SAMPLES = 16  # values of each parameter: comparing all would take as long as casting them


class AutocastCopy:
    """A copy for predictions on a CPU.

    Parameters
    ----------
    original : torch.nn.Module
        In evaluation mode. It is not changed.
    dtype : torch.dtype
        The dtype of autocast.

    Attributes
    ----------
    module : torch.nn.Module
        The copy; the original if nothing in it is cast.
    """

    def __init__(self, original, dtype):
        self.original, self.dtype = original, dtype
        self._copies, self._casts = {}, {}  # by the id of what is copied
        self._as_copied, self._as_cast = [], []  # the copied modules and the cast parameters, as they were
        self.module = original if torch_modules._has_any_global_hook() else self._copy(original)
        self._samples = [np.empty(0, np.float32), *(_sample(p) for _, _, p, _ in self._as_cast if p is not None)]
        self._sampled = np.concatenate(self._samples).tobytes()

    def is_current(self, original, dtype):
        """Whether the copy computes what the original computes now under autocast to this dtype."""
        if original is not self.original or dtype is not self.dtype or torch_modules._has_any_global_hook():
            return False
        try:
            same_modules = all(
                vars(module) == attributes
                and (module._modules, module._forward_hooks, module._forward_pre_hooks) == parts
                for module, attributes, parts in self._as_copied
            )
        except (RuntimeError, ValueError):  # comparing two tensors or arrays: an attribute was replaced
            return False
        same_parameters = all(
            parameters.get(name) is p and (p is None or (p._version, p.data_ptr()) == state)
            for parameters, name, p, state in self._as_cast
        )
        return same_modules and same_parameters and np.concatenate(self._samples).tobytes() == self._sampled

    def _copy(self, module):
        """The copy of a module, or the module itself if nothing in it is cast."""
        if id(module) not in self._copies:
            self._copies[id(module)] = self._new_copy(module)
        return self._copies[id(module)]

    def _new_copy(self, module):
        hooks = (module._forward_hooks, module._forward_pre_hooks)
        if any(hook is not keep_input for of_kind in hooks for hook in of_kind.values()):
            return module
        children = dict(module._modules)
        copies = {name: None if child is None else self._copy(child) for name, child in children.items()}
        castable = _is_castable(module)
        if not castable and all(copies[name] is child for name, child in children.items()):
            return module
        self._as_copied.append((module, dict(vars(module)), (children, *map(dict, hooks))))
        copy = module.__new__(type(module))
        vars(copy).update(vars(module))
        vars(copy)["_modules"] = copies
        if castable:
            vars(copy)["_parameters"] = {name: self._cast(module, name) for name in module._parameters}
        return copy

    def _cast(self, module, name):
        """A parameter in the lower precision; one cast for all layers that share it."""
        p = module._parameters[name]
        self._as_cast.append((module._parameters, name, p, None if p is None else (p._version, p.data_ptr())))
        if id(p) not in self._casts:
            self._casts[id(p)] = p if p is None else p.detach().to(self.dtype)
        return self._casts[id(p)]


def _is_castable(module):
    """Whether the module is exactly a `torch.nn.Linear` with ordinary float32 parameters."""
    return type(module) is nn.Linear and all(
        type(p) is nn.Parameter and p.dtype == torch.float32 and p.is_contiguous() and not p.is_inference()
        for p in module._parameters.values()
        if p is not None
    )


def _sample(p):
    """About 16 values, evenly spread over a parameter: a view, which changes with it."""
    return p.detach().view(-1).numpy()[:: p.numel() // _N_SAMPLES | 1]
