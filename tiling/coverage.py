"""Where a picture has been looked at, and for people of which height: one map for each octave of heights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tiling.planner import BoolArray, FloatArray, Tile, cover, inside

# Heights in network pixels of people who are seen reliably. Photographs were shown smaller and smaller: of the
# people who are found when they are large, 97 % still raise a keypoint's heat at 45 px, and 75 % at 25 px.
SEEN_PX = (60.0, 240.0)
_LEAST_PX = (
    64.0  # height of a band's shortest person in the input of the tiles that are made for it
)
_CELLS = 1.5625  # cells of a map along the height of the shortest person: 16 px for one of 25 px
_OVERLAP = (0.75, 1.1)  # of neighbouring tiles, in heights of the tallest person
# In heights of a band's shortest: somebody that small explains what a glance saw of the band.
_FOUND = 0.5
_SURE = 5.0  # log-odds; more say no more
# Share of the height, and of the width taken as half of it, that may lie outside a tile.
_OUTSIDE = 0.1


@dataclass
class Band:
    """People whose height lies in one octave, and where in the picture they have been looked for.

    Attributes:
        low_px, high_px: shortest and tallest person, picture pixels.
        size_px: width and height of the picture.
        max_upscale: network pixels per picture pixel are never more than this.
        chance: (rows, columns) log-odds that somebody of this height is in a cell, up to a constant; -inf where
            nobody can be.
        looked: (rows, columns) whether a tile of the right scale shows whoever has the middle in that cell.
    """

    low_px: float
    high_px: float
    size_px: tuple[int, int]
    max_upscale: float
    chance: npt.NDArray[np.float32] = field(init=False)
    looked: BoolArray = field(init=False)

    def __post_init__(self) -> None:
        # The last cell of a row or column is longer or shorter, so that its centre is in the picture.
        shape = tuple(max(1, round(side / self.cell_px)) for side in reversed(self.size_px))
        self.chance = np.zeros(shape, np.float32)
        self.looked = np.zeros(shape, bool)

    @property
    def cell_px(self) -> float:
        """Side of a cell of the maps, picture pixels."""
        return self.low_px / _CELLS

    @property
    def is_possible(self) -> BoolArray:
        """(rows, columns) whether somebody of this height could be in a cell."""
        return np.isfinite(self.chance)

    def is_shown(self, tile: Tile) -> bool:
        """Whether everybody of this height is seen at the scale of a tile as well as can be."""
        low = self.low_px * tile.scale >= min(SEEN_PX[0], self.low_px * self.max_upscale) - 1e-6
        return low and self.high_px * tile.scale <= SEEN_PX[1]

    def meets(self, tile: Tile) -> bool:
        """Whether a tile answers for somebody of this height."""
        return tile.height_range_px[0] < self.high_px and tile.height_range_px[1] > self.low_px

    def mark(self, tiles: Sequence[Tile]) -> None:
        """Note that these tiles were looked at."""
        width, height = self.size_px
        for tile in tiles:
            if not self.is_shown(tile):
                continue
            # Nobody hangs out of the picture unseen: at its border people are cut for everybody.
            tall, wide = (0.5 - _OUTSIDE) * self.high_px, (0.25 - _OUTSIDE / 2) * self.high_px
            left = tile.x + wide if tile.x > 0 else 0.0
            top = tile.y + tall if tile.y > 0 else 0.0
            right, bottom = tile.x + tile.side_w, tile.y + tile.side_h
            right = right - wide if right < width else width
            bottom = bottom - tall if bottom < height else height
            self.looked[self._cells(left, top, right, bottom)] = True

    def left(self, people_px: FloatArray) -> BoolArray:
        """(rows, columns) where somebody could be, and nobody has looked.

        Args:
            people_px: (N, 4) boxes of people who were found. Where they are, nobody of their size is left, and
                of smaller size nobody is seen.
        """
        height = people_px[:, 3] - people_px[:, 1]
        found = self.within(people_px[height > _FOUND * self.low_px])
        return self.is_possible & ~self.looked & ~found

    def within(self, boxes_px: FloatArray) -> BoolArray:
        """(rows, columns) the cells whose centre lies in one of the boxes (N, 4)."""
        found = np.zeros_like(self.looked)
        for box in boxes_px:
            found[self._cells(*box)] = True
        return found

    def tiles(self, needed: BoolArray, tile_px: int, level: int) -> list[Tile]:
        """Tiles of the right scale that show whoever has the middle in one of the needed cells.

        Args:
            needed: (rows, columns); level: `Tile.level` of the tiles; their index is -1.
        """
        scale = min(self.max_upscale, _LEAST_PX / self.low_px)
        side = tile_px / scale
        core = side - _OVERLAP[0] * self.high_px, side - _OVERLAP[1] * self.high_px
        y_edges, x_edges = (
            np.append(self.cell_px * np.arange(n), length)
            for n, length in zip(needed.shape, reversed(self.size_px), strict=True)
        )
        return [
            Tile(
                inside(x - side / 2, side, self.size_px[0]),
                inside(y - side / 2, side, self.size_px[1]),
                *(side, side, tile_px, tile_px, level, -1, (self.low_px, self.high_px)),
            )
            for x, y in cover(needed, x_edges, y_edges, core)
        ]

    def chances(self, tiles: Sequence[Tile], needed: BoolArray) -> FloatArray:
        """(N,) how many people to expect in each tile, up to a factor: the odds of its needed cells."""
        weight = np.zeros((needed.shape[0] + 1, needed.shape[1] + 1))
        likely = np.where(needed, np.exp(np.minimum(self.chance, _SURE)), 0.0)
        weight[1:, 1:] = likely.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
        cells = [self._cells(t.x, t.y, t.x + t.side_w, t.y + t.side_h) for t in tiles]
        return np.array(
            [
                weight[v.stop, u.stop]
                - weight[v.start, u.stop]
                - weight[v.stop, u.start]
                + weight[v.start, u.start]
                for v, u in cells
            ]
        )

    def _cells(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """The cells whose centre lies in a rectangle of the picture."""
        rows, columns = self.looked.shape
        u0, v0, u1, v1 = (round(side / self.cell_px) for side in (left, top, right, bottom))
        u0, v0 = min(max(u0, 0), columns), min(max(v0, 0), rows)
        return slice(v0, max(min(v1, rows), v0)), slice(u0, max(min(u1, columns), u0))


def height_bands(size_px: tuple[int, int], min_person_px: float, max_upscale: float) -> list[Band]:
    """Octaves of heights, from the shortest person who matters to one as tall as the picture."""
    bands: list[Band] = []
    low = min_person_px
    while not bands or 2 * low <= size_px[1]:
        bands.append(Band(low, 2 * low, size_px, max_upscale))
        low *= 2
    return bands
