"""Running out of memory: how torch says so, and what can be given back before another try.

A leaf: torch only.
"""

import gc

import torch

_PHRASES = ("out of memory", "can't allocate memory", "not enough memory")


def is_out_of_memory(error):
    """Whether an error says that a device, or the machine, has no memory left."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)


def release_memory(device):
    """Give back what nobody uses: reference circles, and the free blocks that torch keeps for later."""
    gc.collect()
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()
