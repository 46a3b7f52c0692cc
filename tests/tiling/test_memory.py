"""What libraries keep for later goes back to the system, and settings stay as they were."""

import gc
import sys

import numpy as np
import pytest
import pyvips

from tiling.memory import give_back, nothing_collected


def test_the_cache_is_emptied_and_its_limit_kept():
    before = pyvips.cache_get_max()
    picture = pyvips.Image.new_from_memory(
        np.zeros((64, 64, 3), np.uint8).tobytes(), 64, 64, 3, "uchar"
    )
    for angle in (10, 20, 30):
        picture.rotate(angle).avg()
    assert pyvips.cache_get_size() > 0
    give_back()
    assert pyvips.cache_get_size() == 0
    assert pyvips.cache_get_max() == before


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_freed_memory_is_given_back():
    def resident_mb() -> float:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 1e6

    give_back()
    before = resident_mb()
    parts = [bytearray(60_000) for _ in range(3000)]  # below the size that is mapped alone
    for part in parts:
        part[::4096] = b"x" * len(part[::4096])
    top = bytearray(60_000)  # keeps the end of the heap
    del parts
    give_back()
    assert resident_mb() - before < 60
    assert len(top) == 60_000


def test_nothing_is_collected_inside_and_again_after_the_last():
    assert gc.isenabled()
    with nothing_collected():
        with nothing_collected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_who_collects_nothing_anyway_is_left_so():
    gc.disable()
    try:
        with nothing_collected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
