"""Memory and libvips: giving back what is free, and not freeing pictures while libvips is at work."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyvips

_lock = threading.Lock()
_inside = 0  # threads in `nothing_collected`
_was_on = False


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


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Python collects no garbage meanwhile; for calls of libvips that decode.

    libvips tells its warnings by calling Python from inside a decoder. If Python then frees an old picture,
    libvips closes it while it holds its own locks, and ends the process.
    """
    global _inside, _was_on
    with _lock:
        if not _inside:
            _was_on = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and _was_on:
                gc.enable()
