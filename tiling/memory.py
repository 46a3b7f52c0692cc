"""Giving memory back to the system that is free, but kept by libraries for later."""

from __future__ import annotations

import ctypes
import sys

import pyvips


def give_back() -> None:
    """Empty the cache of libvips, and let the allocator return what is free in it.

    After a large picture was decoded, that is 180 MB which nobody would use again.
    """
    kept = pyvips.cache_get_max()
    pyvips.cache_set_max(0)
    pyvips.cache_set_max(kept)
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library
        if trim is not None:
            trim(0)
