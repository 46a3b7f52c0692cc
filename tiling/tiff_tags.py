"""Reads the few tags of a TIFF that libvips does not tell: extra bands, places of tiles, previews.

Layout after TIFF 6.0, BigTIFF and Adobe's DNG 1.7. Nothing is decoded, and no number of the file is trusted:
whatever points outside of it is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.uint64]

SUBFILE, WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 259, 262
STRIP_OFFSETS, ORIENTATION, BANDS, STRIP_BYTES, MAX_SAMPLE = 273, 274, 277, 279, 281
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUB_IFDS = 322, 323, 324, 325, 330
EXTRA_SAMPLES, JPEG_TABLES, JPEG_OFFSET, JPEG_BYTES, DNG_VERSION = 338, 347, 513, 514, 50706
_WANTED = {SUBFILE, WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION, BANDS} | {
    *(STRIP_BYTES, MAX_SAMPLE, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUB_IFDS),
    *(EXTRA_SAMPLES, JPEG_TABLES, JPEG_OFFSET, JPEG_BYTES, DNG_VERSION),
}
_TYPES = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8", 18: "u8"}  # TIFF type -> numpy
_MOST_DIRECTORIES = 200  # a raw picture has about six, a pyramid about fifteen
_MOST_ENTRIES = 4096


@dataclass(frozen=True)
class Directory:
    """One picture of a TIFF.

    Attributes:
        tags: tag -> its values; tags that are not needed here are absent.
        is_below: whether it belongs to the main picture before it, a smaller copy or a raw picture's full one.
    """

    tags: dict[int, Values] = field(default_factory=dict)
    is_below: bool = False

    def first(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        values = self.tags.get(tag)
        return int(values[0]) if values is not None and len(values) else default

    @property
    def parts(self) -> list[tuple[int, int]]:
        """(offset, bytes) of every tile or strip; of the one old-style JPEG, if it is stored as such."""
        for offsets, sizes in (
            (TILE_OFFSETS, TILE_BYTES),
            (JPEG_OFFSET, JPEG_BYTES),
            (STRIP_OFFSETS, STRIP_BYTES),
        ):
            if offsets in self.tags and sizes in self.tags:
                pairs = zip(self.tags[offsets].tolist(), self.tags[sizes].tolist(), strict=False)
                return list(pairs)
        return []


def directories(path: Path) -> list[Directory]:
    """All pictures of a TIFF, main ones and those below them, in the order of the file; [] if it is none."""
    with open(path, "rb") as stream:
        head = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 16:
            return []
        is_big = head[2:4] in (b"+\0", b"\0+")
        start = struct.unpack_from(order + ("Q" if is_big else "I"), head, 8 if is_big else 4)[0]
        return list(_walk(_Reader(stream, path.stat().st_size, order, is_big), start))


@dataclass(frozen=True)
class _Reader:
    stream: BinaryIO
    size: int
    order: str
    is_big: bool

    def at(self, offset: int, n_bytes: int) -> bytes:
        """So many bytes, or fewer where the file ends."""
        if not 0 <= offset < self.size:
            return b""
        self.stream.seek(offset)
        return self.stream.read(min(n_bytes, self.size - offset))


def _walk(file: _Reader, start: int) -> Iterator[Directory]:
    seen: set[int] = set()
    waiting = [(start, False)]
    while waiting and len(seen) < _MOST_DIRECTORIES:
        offset, is_below = waiting.pop(0)
        if offset in seen or not offset:
            continue
        seen.add(offset)
        tags, following = _tags(file, offset)
        yield Directory(tags, is_below)
        below = tags.get(SUB_IFDS, np.empty(0, np.uint64)).tolist()[:_MOST_DIRECTORIES]
        waiting = [*((at, True) for at in below), (following, is_below), *waiting]


def _tags(file: _Reader, offset: int) -> tuple[dict[int, Values], int]:
    """A directory's tags, and the offset of the next one, 0 if there is none."""
    count_of, entry_of, step = ("Q", "HHQ8s", 20) if file.is_big else ("H", "HHI4s", 12)
    head = struct.calcsize("<" + count_of)
    raw = file.at(offset, head)
    if len(raw) < head:
        return {}, 0
    count = min(struct.unpack(file.order + count_of, raw)[0], _MOST_ENTRIES)
    link = 8 if file.is_big else 4
    body = file.at(offset + head, count * step + link)
    tags = {}
    for k in range(min(count, len(body) // step)):
        tag, kind, n, inline = struct.unpack_from(file.order + entry_of, body, k * step)
        if tag in _WANTED and kind in _TYPES:
            tags[tag] = _values(file, np.dtype(file.order + _TYPES[kind]), n, inline)
    end = body[count * step : count * step + link]
    following = (
        struct.unpack(file.order + ("Q" if file.is_big else "I"), end)[0] if len(end) == link else 0
    )
    return tags, int(following)


def _values(file: _Reader, kind: np.dtype[np.unsignedinteger], n: int, inline: bytes) -> Values:
    n_bytes = n * kind.itemsize
    if n_bytes > len(inline):
        offset = struct.unpack(file.order + ("Q" if file.is_big else "I"), inline)[0]
        inline = file.at(offset, n_bytes)
    whole = min(n_bytes, len(inline)) // kind.itemsize
    return np.frombuffer(inline, kind, whole).astype(np.uint64)
