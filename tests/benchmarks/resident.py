"""What a process holds in memory (Linux only)."""

import ctypes
import gc
import os
from pathlib import Path

MIB = 2**20


def resident():
    """MiB that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def resident_after_collection():
    """As `resident`, without what the C library keeps for later: it moves from fit to fit and would hide a leak."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    return resident()
