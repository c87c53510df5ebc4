"""Devices, precisions, random states and memory: all that depends on the hardware.

Here "auto" becomes a device and a floating-point format.
"""

import gc
import os
import threading
from contextlib import contextmanager

import torch

from .user_warnings import warn_user

_MIN_CUDA_BF16 = (8, 0)  # compute capability of the first GPUs with bfloat16 arithmetic
_CPU_BF16 = ("avx512_bf16", "amx_bf16")
_CPU_WITHOUT_BF16 = ("DEFAULT", "AVX2")
_EXPECTED_DEVICE = "Expected 'auto', 'cpu', 'cuda', 'cuda:1', 'mps', ... Pass 'auto' to take CUDA, or else the CPU."
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
# torch has one random state per process, and dropout cannot use another generator. Fits in several threads
# therefore run one after the other; otherwise they would share one stream of random numbers.
_RANDOM_STATE_LOCK = threading.RLock()
_multithreaded_pid = None  # id of the process in which torch has computed with several threads


def _replace_lock():
    global _RANDOM_STATE_LOCK
    _RANDOM_STATE_LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    # A lock held during a fork would stay locked in the child: the thread that holds it does not exist there.
    os.register_at_fork(after_in_child=_replace_lock)


def use_one_thread_after_fork():
    """In a forked process, let torch use one thread.

    The worker threads of the parent process do not exist in the child, and torch would wait for them forever.
    """
    global _multithreaded_pid
    if _multithreaded_pid not in (None, os.getpid()):
        torch.set_num_threads(1)
    elif torch.get_num_threads() > 1:
        _multithreaded_pid = os.getpid()


def resolve_device(device):
    """Resolve and test a device.

    Parameters
    ----------
    device : str or torch.device
        "auto" is CUDA if available, else the CPU. MPS is used only if requested, since it is not tested.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If the device is unknown or not available.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"Got device={device!r}, which names no device. {_EXPECTED_DEVICE} 'cuda' is a GPU of NVIDIA or AMD, 'mps' "
            "one of Apple."
        ) from None
    try:
        torch.empty(1, device=resolved).item()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={str(device)!r} cannot be used here ({str(error).split('. ')[0]}). {_EXPECTED_DEVICE}"
        ) from error
    return resolved


def resolve_precision(precision, device):
    """Resolve the floating-point format for a device.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16", "float64"}
        "auto" is bfloat16 where the hardware supports it, otherwise float32.
    device : torch.device

    Returns
    -------
    precision : {"float32", "bfloat16", "float16", "float64"}

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
    """Resolve device and precision of an estimator that was fitted on another machine.

    What is not available here is replaced, with a warning: first the device by the CPU, then the precision by "auto".

    Parameters
    ----------
    device : str or torch.device
    precision : str

    Returns
    -------
    device : torch.device
    precision : str
    """
    for choice in ((device, precision), ("cpu", precision), ("cpu", "auto")):
        try:
            found = resolve_device(choice[0])
            resolved = found, resolve_precision(choice[1], found)
        except ValueError as error:
            last_error = error
            continue
        if choice != (device, precision):
            warn_user(
                f"Fitted with device={str(device)!r} and precision={precision!r}, which are not available here; "
                f"predicting with device={choice[0]!r} and precision={choice[1]!r}. {last_error}",
            )
        return resolved


def _has_bfloat16(device):
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _MIN_CUDA_BF16
    if device.type == "cpu":
        if torch.backends.cpu.get_cpu_capability() in _CPU_WITHOUT_BF16:
            return False  # at these levels, bfloat16 is a hundred times slower than float32
        if not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.12 has only private functions for it
            return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in _CPU_BF16)
    return False


def seed_torch(seed, device):
    """Seed the generators of the CPU and of `device` only; `torch.manual_seed` would reseed all devices."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def seeded(seed, device):
    """Context in which torch is seeded for one fit on `device`.

    Only one thread at a time can enter it. At the end, the caller's random state is restored.
    """
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
    """Whether an exception means that the device or the machine is out of memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _OUT_OF_MEMORY)


def release_memory(device):
    """Free unused memory: objects in reference cycles, and the blocks that torch caches for `device`."""
    gc.collect()
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()
