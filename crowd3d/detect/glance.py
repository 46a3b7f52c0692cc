"""A glance at the whole picture: where somebody of which height could be, at a thirtieth of the cost of a look.

The small network glance-s is shown the picture and its halvings. It only says where nobody can be: sky, walls,
empty ground, black borders. Who is really there is told by the network that finds people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from torch.nn import functional as F

from crowd3d.models.engine import Arrays, Engine, Runner
from crowd3d.models.glance_s import POSSIBLE, STRIDE
from crowd3d.picture.reading import Pass, Reading
from crowd3d.picture.windows import FLAT, Pixels
from tiling import Band, Tile

_SHORTEST_PX = 25.0  # height, in the network's input, of the shortest person of a band
_CELL_PX = 16  # side of a cell of a band's map, in the network's input
_BLOCK_PX = 1024  # side of the part that one pass answers for
_MARGIN_PX = 96  # seen around it: as far as the network's answer depends on
_FLAT_LEVELS = 6  # nobody could be found in a block in which no channel spans more


def glance(
    reading: Reading,
    bands: Sequence[Band],
    engine: Engine,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Write into every band how likely somebody of its heights is in each cell (`Band.chance`).

    Args:
        is_over: is asked before each window; what is left when it says so stays as it was.

    Raises:
        tiling.ImageError, tiling.JournalError.
    """
    network = engine.load("glance-s")
    work = Pass.through(engine, network, "glance", 1, {}, _Glancing(reading.size_px))
    blocks = [(band, block) for band in bands for block in _blocks(band)]
    answers = reading.each(work, [block for _, block in blocks], FLAT)
    for (band, block), found in zip(blocks, answers, strict=True):
        if is_over():
            break
        rows, columns = band.chance.shape
        margin_px = _MARGIN_PX / block.scale
        row, column = (round((edge + margin_px) / band.cell_px) for edge in (block.y, block.x))
        chance = found["chance"][: rows - row, : columns - column]
        band.chance[row : row + chance.shape[0], column : column + chance.shape[1]] = chance


@dataclass(frozen=True)
class _Glancing:
    """From one block to `Band.chance` in it."""

    size_px: tuple[int, int]

    def __call__(self, network: Runner, pixels: Pixels, block: Sequence[Tile]) -> Arrays:
        return {"chance": _chances(network, _border_repeated(pixels[0], block[0], self.size_px))}


def _blocks(band: Band) -> list[Tile]:
    """The windows that together show the picture at the scale of a band, each with a margin around it."""
    scale = min(1.0, _SHORTEST_PX / band.low_px)
    width, height = (math.ceil(side * scale) for side in band.size_px)
    size = [
        min(_BLOCK_PX, math.ceil(length / _CELL_PX) * _CELL_PX) + 2 * _MARGIN_PX
        for length in (width, height)
    ]
    corners = [
        (x - _MARGIN_PX, y - _MARGIN_PX)
        for y in range(0, height, _BLOCK_PX)
        for x in range(0, width, _BLOCK_PX)
    ]
    heights = (band.low_px, band.high_px)
    wide, tall = size
    return [
        Tile(x / scale, y / scale, wide / scale, tall / scale, wide, tall, 0, i, heights)
        for i, (x, y) in enumerate(corners)
    ]


def _chances(network: Runner, pixels: Pixels) -> npt.NDArray[np.float16]:
    """(rows, columns) highest logit in each cell of a block; -inf where nobody can be."""
    rows, columns = ((side - 2 * _MARGIN_PX) // _CELL_PX for side in pixels.shape[:2])
    if _is_flat(pixels):
        return np.full((rows, columns), -np.inf, np.float16)
    (maps,) = network.run(pixels[None])
    logits = F.max_pool2d(maps, _CELL_PX // STRIDE)[0, 0].cpu().numpy()
    edge = _MARGIN_PX // _CELL_PX
    inner = logits[edge : edge + rows, edge : edge + columns]
    return np.where(inner >= POSSIBLE, inner, -np.inf).astype(np.float16)


def _is_flat(pixels: Pixels) -> bool:
    """Whether no channel spans more than a few grey levels, as in a black border."""
    ranges = (cv2.minMaxLoc(np.ascontiguousarray(pixels[..., c]))[:2] for c in range(3))
    return all(high - low <= _FLAT_LEVELS for low, high in ranges)


def _border_repeated(pixels: Pixels, block: Tile, size_px: tuple[int, int]) -> Pixels:
    """The pixels of a block, with those beyond the picture like the nearest inside: a border is no edge."""
    nearest = []
    for start, count, length in zip(
        (block.y, block.x), pixels.shape[:2], reversed(size_px), strict=True
    ):
        centers = start + (np.arange(count) + 0.5) / block.scale
        inside = np.flatnonzero((centers > 0) & (centers < length))
        nearest.append(np.clip(np.arange(count), inside[0], inside[-1]))
    if all(index[0] == 0 and index[-1] == len(index) - 1 for index in nearest):
        return pixels
    return np.asarray(pixels[np.ix_(*nearest)])
