"""Freed memory, given back to the system between the stages of a training."""

from __future__ import annotations

import ctypes
import sys


def release_memory() -> None:
    """Hand freed heap pages back, where the C library is glibc; elsewhere nothing is done.

    A stage frees hundreds of small blocks of several hundred KB, which the next stage's large ones do not fit
    between, so without this every stage adds its peak to those before it (glibc manual, malloc_trim).
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
