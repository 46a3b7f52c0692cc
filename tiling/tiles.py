"""The tiles of a TIFF: which a region touches, which are whole, and grey in place of the others."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tiling.damage import mapped
from tiling.resample import Pixels
from tiling.samples import OUTSIDE_GREY

Box = tuple[int, int, int, int]  # x, y, width, height in pixels


class _Log(logging.Handler):
    """Hears what libvips tells of TIFFs. It is not printed: what matters becomes an error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.heard) < _MOST_MESSAGES:
            self.heard.append(record.getMessage().removeprefix("VIPS: "))


_MOST_MESSAGES = 100
_log, _listening = _Log(), threading.Lock()
logging.getLogger("pyvips").addHandler(_log)
logging.getLogger("pyvips").setLevel(logging.WARNING)  # whatever the level of others is


@contextmanager
def told() -> Iterator[list[str]]:
    """What libvips tells inside the `with` block; one thread at a time, so that it is about one picture."""
    with _listening:
        _log.heard = []
        yield _log.heard


@dataclass
class Tiles:
    """The grid of tiles of one page.

    Attributes:
        path: the file; parts: (offset, bytes) of every tile, row by row, planes one after the other.
        width, height: of the page; tile_width, tile_height: of a tile, pixels.
        is_whole: tells whether the bytes of a tile are sound; None if its compression has no test.
        missing: numbers of tiles known to be damaged, which are painted grey.
    """

    path: Path
    parts: list[tuple[int, int]]
    width: int
    height: int
    tile_width: int
    tile_height: int
    is_whole: Callable[[bytes], bool] | None = None
    missing: frozenset[int] = frozenset()
    _checked: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def columns(self) -> int:
        return math.ceil(self.width / self.tile_width)

    @property
    def count(self) -> int:
        return self.columns * math.ceil(self.height / self.tile_height)

    def box(self, tile: int) -> Box:
        """Where a tile lies in the page."""
        x, y = tile % self.columns * self.tile_width, tile // self.columns * self.tile_height
        return x, y, min(self.tile_width, self.width - x), min(self.tile_height, self.height - y)

    def touched(self, x: int, y: int, w: int, h: int) -> Iterator[int]:
        """Numbers of the tiles that a region inside the page touches."""
        for row in range(y // self.tile_height, (y + h - 1) // self.tile_height + 1):
            for column in range(x // self.tile_width, (x + w - 1) // self.tile_width + 1):
                yield row * self.columns + column

    def damaged(self, tiles: Iterable[int]) -> list[int]:
        """Those of the tiles whose bytes are not sound; each is looked at once."""
        if self.is_whole is None:
            return []
        with self._lock:
            new = [tile for tile in tiles if tile not in self._checked]
            if not new:
                return []
            with mapped(self.path) as data:
                bad = [tile for tile in new if not all(map(self.is_whole, self._bytes(data, tile)))]
            self._checked.update(set(new) - set(bad))
            return bad

    def _bytes(self, data: object, tile: int) -> Iterator[bytes]:
        """The bytes of a tile in each plane; one without bytes is left out on purpose (GDAL's sparse files)."""
        for offset, size in self.parts[tile :: self.count]:
            if size:
                yield data[offset : offset + size]  # type: ignore[index]

    def paint(self, pixels: Pixels, x: int, y: int) -> Pixels:
        """Pixels read at (x, y), with grey in place of missing tiles."""
        height, width = pixels.shape[:2]
        bad = self.missing.intersection(self.touched(x, y, width, height)) if self.missing else ()
        if not bad:
            return pixels
        pixels = pixels.copy()
        for tile in bad:
            left, top, w, h = self.box(tile)
            pixels[
                max(top - y, 0) : max(top + h - y, 0), max(left - x, 0) : max(left + w - x, 0)
            ] = OUTSIDE_GREY
        return pixels
