"""Where and how precisely to compute, and whose random numbers: "auto" becomes a device and a precision.

Everything that this package asks of the hardware is asked here.
"""

import gc
import os
import threading
import warnings
from contextlib import contextmanager

import torch

_MIN_CUDA_BF16 = (8, 0)  # compute capability of the first GPUs with bfloat16 arithmetic
_CPU_BF16 = ("avx512_bf16", "amx_bf16")
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
# torch's random state exists once per process, and dropout takes no generator of its own: fits in
# several threads must take turns, or they would draw from each other's streams.
_RANDOM_STATE_LOCK = threading.RLock()
_process_of_threads = None  # in which torch has computed here with several threads


def _new_lock():
    global _RANDOM_STATE_LOCK
    _RANDOM_STATE_LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    # The thread that holds the lock during a fork does not exist in the child, and would never give it back.
    os.register_at_fork(after_in_child=_new_lock)


def use_one_thread_after_fork():
    """Compute with one thread in a forked process: torch's others do not survive a fork, and would be waited for."""
    global _process_of_threads
    if _process_of_threads not in (None, os.getpid()):
        torch.set_num_threads(1)
    elif torch.get_num_threads() > 1:
        _process_of_threads = os.getpid()


def resolve_device(device):
    """`device` as a torch.device; "auto" takes CUDA, then MPS, then the CPU.

    Raises
    ------
    ValueError
        If the device is unknown or not there.
    """
    if device == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        resolved = torch.device(device)
        torch.empty(1, device=resolved).item()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={str(device)!r} cannot be used here ({str(error).split('. ')[0]}). "
            "Expected 'auto', 'cpu', 'cuda', 'cuda:1', 'mps', ... Pass 'auto' to take the best device there is."
        ) from error
    return resolved


def resolve_precision(precision, device):
    """The name of the floating point format for `device`; "auto" takes bfloat16 where the hardware has it.

    Raises
    ------
    ValueError
        If the device cannot compute in this precision.
    """
    if precision == "auto":
        return "bfloat16" if _has_bfloat16(device) else "float32"
    if precision == "float16" and device.type != "cuda":
        raise ValueError(
            f"precision='float16' needs a CUDA device, got device='{device}'. "
            "Pass precision='auto', 'bfloat16' or 'float32'."
        )
    if precision == "float64" and device.type == "mps":
        raise ValueError(f"precision='float64' needs a CPU or CUDA device, got device='{device}'. Pass device='cpu'.")
    return precision


def resolve_available(device, precision):
    """As `resolve_device` and `resolve_precision`; what this machine lacks becomes the CPU, with a warning.

    For what was fitted on another machine and has to predict on this one.
    """
    for choice in ((device, precision), ("cpu", precision), ("cpu", "auto")):
        try:
            found = resolve_device(choice[0])
            resolved = found, resolve_precision(choice[1], found)
        except ValueError as error:
            reason = error
            continue
        if choice != (device, precision):
            warnings.warn(
                f"Fitted with device={str(device)!r} and precision={precision!r}, which cannot be had here; predicting "
                f"with device={choice[0]!r} and precision={choice[1]!r}. {reason}",
                UserWarning,
                stacklevel=2,
            )
        return resolved


def _has_bfloat16(device):
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _MIN_CUDA_BF16
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in _CPU_BF16)
    return False


def seed_torch(seed, device):
    """Seed what draws on `device`; torch.manual_seed would reseed all of the caller's devices."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def seeded(seed, device):
    """Seed torch for one fit on `device`, one fit at a time, and give the caller's random state back."""
    use_one_thread_after_fork()
    cuda = [device] if device.type == "cuda" else []
    with _RANDOM_STATE_LOCK, torch.random.fork_rng(devices=cuda):
        mps_state = torch.mps.get_rng_state() if device.type == "mps" else None
        seed_torch(seed, device)
        try:
            yield
        finally:
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)


def is_out_of_memory(error):
    """Whether an error says that a device, or the machine, has no memory left."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _OUT_OF_MEMORY)


def release_memory(device):
    """Give back what nobody uses: reference circles, and the free blocks that torch keeps for later."""
    gc.collect()
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()
