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


def peak_above_start(work):
    """What `work` returns, and the most MiB that the process held during it above what it held before."""
    before = resident_after_collection()
    Path("/proc/self/clear_refs").write_text("5")  # from here on VmHWM counts anew
    result = work()
    held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return result, int(held.split()[1]) / 1024 - before
