"""A picture and its halvings, readable at random, in memory or in an unnamed temporary file."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyvips

from tiling.errors import ImageError, ResourceError
from tiling.memory import give_back, nothing_collected
from tiling.resample import Pixels
from tiling.tiles import Tiles, told

MEMORY_BYTES = 128 * 2**20  # a 32-megapixel picture with all its halvings stays in memory
_RESIDENT_BYTES = 32 * 2**20  # of a mapped file, pages touched before they are let go
_FAULT_BYTES = 1 << 16  # Linux maps so much around each address that is read
_STRIP_ROWS = 32  # small enough for the halving to stay in the cache
_COARSEST_SIDE_PX = 256

Failed = Callable[[Exception | str], ImageError]  # makes the named error of a decoding failure


class Store(Protocol):
    """Pixels of one level, (height, width, 3) uint8."""

    height: int
    width: int

    def fetch(self, x: int, y: int, w: int, h: int) -> Pixels:
        """(h, w, 3) of a region inside the level. Thread-safe."""


@dataclass(frozen=True)
class Level:
    """One resolution of a picture: `scale` is picture pixels per level pixel."""

    scale: float
    store: Store


class ArrayStore:
    """A level held in memory, or mapped from a temporary file that vanishes with the process."""

    def __init__(self, width: int, height: int, *, on_disk: bool) -> None:
        self.width, self.height = width, height
        self._map: mmap.mmap | None = None
        self._touched_bytes = 0
        if not on_disk:
            self.pixels: Pixels = np.empty((height, width, 3), dtype=np.uint8)
            return
        self._map = _mapped_file(width * height * 3)
        self.pixels = np.frombuffer(self._map, dtype=np.uint8).reshape(height, width, 3)

    def fetch(self, x: int, y: int, w: int, h: int) -> Pixels:
        region = np.array(self.pixels[y : y + h, x : x + w])
        self._release(max(region.nbytes, h * _FAULT_BYTES))
        return region

    def write_rows(self, y: int, rows: Pixels) -> None:
        self.pixels[y : y + len(rows)] = rows
        self._release(rows.nbytes)

    def _release(self, n_bytes: int) -> None:
        """Gives mapped pages back to the system's file cache: they are not lost, only not ours."""
        self._touched_bytes += n_bytes
        if self._map is None or self._touched_bytes < _RESIDENT_BYTES:
            return
        self._touched_bytes = 0
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


class RegionStore:
    """A level that libvips itself reads at random: one page of a tiled TIFF.

    Args:
        tiles: of the page; a damaged one that is not known to be missing is an error.
    """

    def __init__(self, image: Any, failed: Failed, tiles: Tiles) -> None:
        self.width, self.height = int(image.width), int(image.height)
        self._region = pyvips.Region.new(image)
        self._failed = failed
        self._tiles = tiles

    def fetch(self, x: int, y: int, w: int, h: int) -> Pixels:
        touched = self._tiles.touched(x, y, w, h)
        if bad := self._tiles.damaged(tile for tile in touched if tile not in self._tiles.missing):
            raise self._failed("its tile at {} x {} px".format(*self._tiles.box(bad[0])))
        with nothing_collected(), told() as heard:
            try:
                buffer = self._region.fetch(x, y, w, h)
            except pyvips.Error as error:
                where = f"a tile between {x} x {y} and {x + w} x {y + h} px"
                raise self._failed(heard[0] if heard else where) from error
        return self._tiles.paint(np.frombuffer(buffer, dtype=np.uint8).reshape(h, w, 3), x, y)


class SequentialStore:
    """A picture that libvips decodes once, from top to bottom, in whole rows.

    Args:
        image: opened for sequential access.
    """

    def __init__(self, image: Any, failed: Failed) -> None:
        self.width, self.height = int(image.width), int(image.height)
        self._region = pyvips.Region.new(image)
        self._failed = failed

    def fetch(self, x: int, y: int, w: int, h: int) -> Pixels:
        try:
            with nothing_collected():
                buffer = self._region.fetch(x, y, w, h)
        except pyvips.Error as error:
            raise self._failed(error) from error
        return np.frombuffer(buffer, dtype=np.uint8).reshape(h, w, -1)


def _mapped_file(n_bytes: int) -> mmap.mmap:
    """A private file mapping; its space is reserved, since a full disk kills a mapped writer."""
    with tempfile.TemporaryFile(prefix="tiling-") as stream:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, n_bytes)
            else:
                stream.truncate(n_bytes)
        except OSError as error:
            raise ResourceError(
                f"{n_bytes / 2**30:.1f} GiB of temporary space for the decoded picture are not "
                f"free in {tempfile.gettempdir()} ({error.strerror}); set TMPDIR to a larger disk"
            ) from error
        return mmap.mmap(stream.fileno(), n_bytes)


class Halver:
    """Halves a picture that arrives in strips, with the filter 1 3 3 1 along both axes.

    That is the triangle of `resample` at a scale of exactly two; it lets a quarter of the aliasing
    of 2 x 2 means through, or less. Beyond the border the nearest pixel is repeated.
    """

    def __init__(self) -> None:
        self._rows: Pixels | None = None  # one row above the next output row's pair, and later ones

    def feed(self, rows: Pixels) -> Pixels:
        """Takes the next rows, gives the output rows that are complete; possibly none."""
        held = rows[:1] if self._rows is None else self._rows
        held = np.concatenate([held, rows])
        n_out = (len(held) - 2) // 2
        self._rows = held[2 * n_out :]
        return _halve(held[: 2 * n_out + 2]) if n_out > 0 else held[:0, : (held.shape[1] + 1) // 2]

    def finish(self) -> Pixels:
        """The last output row, if one is due."""
        held = self._rows
        if held is None or len(held) < 2:
            return np.empty((0, 0, 3), dtype=np.uint8)
        last = held[-1:]
        return _halve(np.concatenate([held, *[last] * (4 - len(held))]))


def _halve(rows: Pixels) -> Pixels:
    """(2 n + 2, width, 3) -> (n, ceil(width / 2), 3), rounded half to even."""
    tall = _weighted(rows.astype(np.uint16))
    edges = 1, 1 + rows.shape[1] % 2
    wide = np.pad(tall.swapaxes(0, 1), (edges, (0, 0), (0, 0)), mode="edge")
    total = _weighted(wide).swapaxes(0, 1)
    total += 31 + ((total >> 6) & 1)
    return (total >> 6).astype(np.uint8)


def _weighted(values: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """1 3 3 1 of each pair along the first axis and its neighbours; two values fewer, halved."""
    inner = values[1:-2:2] + values[2:-1:2]
    inner *= 3
    inner += values[:-3:2]
    inner += values[3::2]
    return inner


def strips(source: Store) -> Iterator[Pixels]:
    """A picture, top to bottom, in strips; the next one is decoded while the caller works on the last."""
    tops = range(0, source.height, _STRIP_ROWS)

    def decoded(y: int) -> Pixels:
        return source.fetch(0, y, source.width, min(_STRIP_ROWS, source.height - y))

    with ThreadPoolExecutor(1) as decoder:
        coming = decoder.submit(decoded, 0)
        for y in tops:
            strip = coming.result()
            if y != tops[-1]:
                coming = decoder.submit(decoded, y + _STRIP_ROWS)
            yield strip


def build_levels(source: Store, *, is_stored: bool = False) -> list[Level]:
    """Decodes a picture once and stores it with its halvings.

    Args:
        source: is read once, from top to bottom.
        is_stored: whether it is readable at random already; it is then not stored again.

    Returns:
        Levels from fine to coarse, scales 1, 2, 4, ...
    """
    on_disk = source.width * source.height * 4 > MEMORY_BYTES
    widths, heights = [source.width], [source.height]
    while max(widths[-1], heights[-1]) > _COARSEST_SIDE_PX:
        widths.append((widths[-1] + 1) // 2)
        heights.append((heights[-1] + 1) // 2)
    stores: list[ArrayStore | None] = [
        None if is_stored and k == 0 else ArrayStore(w, h, on_disk=on_disk)
        for k, (w, h) in enumerate(zip(widths, heights, strict=True))
    ]
    writers = [_Writer(store) for store in stores]
    for rows in strips(source):
        _pass_down(writers, rows)
    for k, writer in enumerate(writers[:-1]):
        _pass_down(writers[k + 1 :], writer.halver.finish())
    give_back()
    return [Level(2.0**k, source if store is None else store) for k, store in enumerate(stores)]


class _Writer:
    """Fills one level from top to bottom."""

    def __init__(self, store: ArrayStore | None) -> None:
        self.halver = Halver()
        self._store = store
        self._n_rows = 0

    def write(self, rows: Pixels) -> None:
        if self._store is not None:
            self._store.write_rows(self._n_rows, rows)
        self._n_rows += len(rows)


def _pass_down(writers: list[_Writer], rows: Pixels) -> None:
    """Writes rows of the first level and everything coarser that they complete."""
    for writer in writers:
        if not len(rows):
            return
        writer.write(rows)
        if writer is not writers[-1]:
            rows = writer.halver.feed(rows)
