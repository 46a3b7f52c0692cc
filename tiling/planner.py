"""Where to look, and at what scale: pure functions from sizes and person heights to tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiling.errors import PlanError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
HeightMap = Callable[[FloatArray], npt.ArrayLike]

_CELLS = 200  # samples of the height map along the longer side of the picture
_SLACK = 1e-9


@dataclass(frozen=True)
class Tile:
    """One square or rectangle of the picture and the network input it becomes.

    Attributes:
        x, y: top-left corner, picture pixels; the tile may leave the picture.
        side_w, side_h: size, picture pixels.
        out_w, out_h: size of the network input.
        level: number of the scale, 0 is the finest (of rows: the row).
        index: position in the plan.
        height_range_px: shortest and tallest person, picture pixels, that this tile answers for.
    """

    x: float
    y: float
    side_w: float
    side_h: float
    out_w: int
    out_h: int
    level: int
    index: int
    height_range_px: tuple[float, float]

    @property
    def scale(self) -> float:
        """Network pixels per picture pixel."""
        return self.out_w / self.side_w

    def to_scene(self, points_px: npt.ArrayLike) -> FloatArray:
        """(..., 2) network pixels -> picture pixels."""
        size = np.array([self.side_w / self.out_w, self.side_h / self.out_h])
        return np.asarray(np.asarray(points_px, dtype=np.float64) * size + (self.x, self.y))

    def to_tile(self, points_px: npt.ArrayLike) -> FloatArray:
        """(..., 2) picture pixels -> network pixels; the inverse of `to_scene`."""
        size = np.array([self.out_w / self.side_w, self.out_h / self.side_h])
        return np.asarray((np.asarray(points_px, dtype=np.float64) - (self.x, self.y)) * size)


def scout_tiles(
    width: int,
    height: int,
    tile_px: int = 512,
    *,
    max_tiles: int = 80,
    overlap: float = 0.25,
    max_upscale: float = 2.0,
    fill: tuple[float, float] = (0.1, 0.9),
) -> list[Tile]:
    """A coarse pyramid over the whole picture, to find the first people.

    The coarsest level is one tile that holds the picture, every finer one doubles the scale, as
    long as the number of tiles stays within the budget.

    Args:
        overlap: shared part of neighbouring tiles, as a fraction of the tile.
        max_upscale: network pixels per picture pixel are never more than this.
        fill: shortest and tallest person as fractions of the tile's side.

    Returns:
        Tiles from coarse to fine; level 0 is the finest.

    Raises:
        PlanError: sizes that are not positive, or an overlap outside [0, 1).
    """
    _check_sizes(width, height, tile_px)
    if not 0.0 <= overlap < 1.0:
        raise PlanError(f"an overlap of {overlap} is not in [0, 1)")
    scale = min(tile_px / max(width, height), max_upscale)
    levels: list[tuple[float, list[tuple[float, float]]]] = []
    total = 0
    while True:
        side = tile_px / scale
        corners = [
            (x, y) for y in _even(height, side, overlap) for x in _even(width, side, overlap)
        ]
        total += len(corners)
        if levels and (total > max_tiles or scale > max_upscale * (1 + _SLACK)):
            break
        levels.append((scale, corners))
        scale *= 2.0
    tiles: list[Tile] = []
    for k, (scale, corners) in enumerate(levels):
        side = tile_px / scale
        span = fill[0] * side, fill[1] * side
        for x, y in corners:
            tiles.append(
                Tile(x, y, side, side, tile_px, tile_px, len(levels) - 1 - k, len(tiles), span)
            )
    return tiles


def plan_tiles(
    width: int,
    height: int,
    person_height_px: HeightMap,
    *,
    tile_px: int = 512,
    fill: tuple[float, float] = (0.3, 0.6),
    overlap: tuple[float, float] = (0.75, 1.1),
    min_person_px: float = 24.0,
    max_tiles: int = 20_000,
    max_upscale: float = 2.0,
    step: float = math.sqrt(2.0),
    bounds: tuple[float, float, float, float] | None = None,
) -> list[Tile]:
    """Ground-aware tiles: everywhere at the scale at which people fill the network's input.

    Scales are max_upscale / step^k. Each place belongs to the one scale at which the person
    predicted there is nearest to the geometric middle of `fill`; what remains of `fill` on both
    sides is the margin for children, tall people and errors of the prediction. A scale covers only
    the places that belong to it, so that a person as wide and tall as `overlap` says is whole in at
    least one tile.

    Args:
        width, height: of the picture, pixels.
        person_height_px: (N, 2) pixels, the middle of a person's box -> (N,) predicted height in
            pixels; NaN or not positive where nobody can stand. It should vary smoothly.
        tile_px: side of the square network input.
        fill: shortest and tallest person as fractions of the tile's side.
        overlap: (width, height) that neighbouring tiles share, in heights of the tallest person
            predicted at that scale.
        min_person_px: places where people are predicted to be smaller get no tiles.
        max_tiles: more are refused.
        max_upscale: network pixels per picture pixel are never more than this; people who are too
            small even so are looked for at this scale.
        step: ratio of neighbouring scales, at most fill[1] / fill[0].
        bounds: (x0, y0, x1, y1), only people whose middle is inside matter.

    Returns:
        Tiles from fine to coarse, row by row; none if nobody can stand anywhere.

    Raises:
        PlanError: options out of range, or more than `max_tiles` tiles.
    """
    _check_sizes(width, height, tile_px)
    _check_options(fill, overlap, step, min_person_px, max_upscale)
    x_edges, y_edges = _cell_edges(width, height, bounds)
    low, high = _cell_heights(person_height_px, x_edges, y_edges, min_person_px)
    if not np.isfinite(high).any():
        return []
    middle = math.sqrt(fill[0] * fill[1])
    tallest = float(np.nanmax(high))
    tiles: list[Tile] = []
    level = 0
    while True:
        side = tile_px / max_upscale * step**level
        span = middle * side / math.sqrt(step), middle * side * math.sqrt(step)
        with np.errstate(invalid="ignore"):
            needed = (high >= (span[0] if level else 0.0)) & (low <= span[1])
        core = side - overlap[0] * span[1], side - overlap[1] * span[1]
        answers = fill[0] * side if level else min_person_px * 0.5, fill[1] * side
        for cx, cy in cover(needed, x_edges, y_edges, core):
            x, y = inside(cx - side / 2, side, width), inside(cy - side / 2, side, height)
            tiles.append(Tile(x, y, side, side, tile_px, tile_px, level, len(tiles), answers))
            if len(tiles) > max_tiles:
                raise PlanError(
                    f"people of {span[1]:.0f} px and less need more than {max_tiles:,} tiles; "
                    f"raise max_tiles or min_person_px ({min_person_px:g} now), or give bounds"
                )
        if span[1] >= tallest:
            return tiles
        level += 1


def _check_sizes(width: int, height: int, tile_px: int) -> None:
    if min(width, height, tile_px) < 1:
        raise PlanError(f"cannot tile {width} x {height} px into tiles of {tile_px} px")


def _check_options(
    fill: tuple[float, float],
    overlap: tuple[float, float],
    step: float,
    min_person_px: float,
    max_upscale: float,
) -> None:
    if not (0.0 < fill[0] < fill[1] <= 1.0):
        raise PlanError(f"fill={fill} must be two rising fractions of the tile, like (0.3, 0.6)")
    if not (1.0 < step <= fill[1] / fill[0] * (1 + _SLACK)):
        raise PlanError(
            f"step={step:g} must be over 1 and at most {fill[1] / fill[0]:g} for {fill=}"
        )
    tallest = math.sqrt(fill[0] * fill[1] * step)
    if not (min(overlap) >= 0.0 and max(overlap) * tallest < 0.95):
        raise PlanError(
            f"overlap={overlap} leaves no room between tiles: a person fills up to {tallest:.2f} "
            f"of a tile, so each overlap must be from 0 to {0.95 / tallest:.2f}"
        )
    if not (min_person_px > 0.0 and max_upscale > 0.0):
        raise PlanError(f"{min_person_px=} and {max_upscale=} must be positive")


def _cell_edges(
    width: int, height: int, bounds: tuple[float, float, float, float] | None
) -> tuple[FloatArray, FloatArray]:
    x0, y0, x1, y1 = bounds or (0.0, 0.0, float(width), float(height))
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if not (x0 < x1 and y0 < y1):
        raise PlanError(
            f"{bounds=} (x0, y0, x1, y1) hold no part of a {width} x {height} px picture"
        )
    cell = max(x1 - x0, y1 - y0) / _CELLS
    return (
        np.linspace(x0, x1, math.ceil((x1 - x0) / cell - _SLACK) + 1),
        np.linspace(y0, y1, math.ceil((y1 - y0) / cell - _SLACK) + 1),
    )


def _cell_heights(
    person_height_px: HeightMap, x_edges: FloatArray, y_edges: FloatArray, min_person_px: float
) -> tuple[FloatArray, FloatArray]:
    """(rows, columns) lowest and highest person in each cell, from its corners; NaN for nobody."""
    grid = np.stack(np.meshgrid(x_edges, y_edges), axis=-1)
    values = np.asarray(person_height_px(grid.reshape(-1, 2)), dtype=np.float64)
    if values.size != grid.size // 2:
        raise PlanError(f"person_height_px gave {values.size} heights for {grid.size // 2} points")
    values = values.reshape(grid.shape[:2])
    with np.errstate(invalid="ignore"):
        values = np.where(np.isfinite(values) & (values > 0.0), values, 0.0)
    corners = np.stack([values[:-1, :-1], values[:-1, 1:], values[1:, :-1], values[1:, 1:]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    # a cell on the horizon holds every height down to the smallest that matters
    nobody = high < min_person_px
    return (
        np.where(nobody, np.nan, np.maximum(low, min_person_px)),
        np.where(nobody, np.nan, high),
    )


def cover(
    needed: BoolArray, x_edges: FloatArray, y_edges: FloatArray, core: tuple[float, float]
) -> Iterator[tuple[float, float]]:
    """Centres of rectangles of size `core` that cover the needed cells, row by row."""
    rows = np.flatnonzero(needed.any(axis=1))
    if not len(rows):
        return
    top = float(y_edges[rows[0]])
    bottom = float(y_edges[rows[-1] + 1])
    n_rows = max(1, math.ceil((bottom - top) / core[1] - _SLACK))
    # rows are spread evenly: what is left over becomes additional overlap
    pitch = (bottom - top) / n_rows
    for i in range(n_rows):
        y0, y1 = top + i * pitch, top + (i + 1) * pitch
        meets = (y_edges[:-1] < y1) & (y_edges[1:] > y0)
        columns = np.asarray(needed[meets].any(axis=0))
        for x0, x1 in _runs(columns, x_edges, core[0]):
            n_columns = max(1, math.ceil((x1 - x0) / core[0] - _SLACK))
            for j in range(n_columns):
                yield x0 + (j + 0.5) * (x1 - x0) / n_columns, (y0 + y1) / 2


def _runs(columns: BoolArray, x_edges: FloatArray, core_w: float) -> Iterator[tuple[float, float]]:
    """Needed intervals of one row; gaps that would not save a tile are closed."""
    flips = np.flatnonzero(np.diff(np.concatenate([[False], columns, [False]]).astype(np.int8)))
    spans = [(float(x_edges[a]), float(x_edges[b])) for a, b in flips.reshape(-1, 2)]
    merged: list[tuple[float, float]] = []
    for x0, x1 in spans:
        if merged and (
            x1 - merged[-1][0]
            <= core_w * math.ceil((merged[-1][1] - merged[-1][0]) / core_w - _SLACK)
            or x0 - merged[-1][1] < 0.5 * core_w
        ):
            merged[-1] = (merged[-1][0], x1)
        else:
            merged.append((x0, x1))
    return iter(merged)


def _even(length: int, side: float, overlap: float) -> list[float]:
    """Starts of tiles that cover [0, length) evenly; one centred tile if it is as long."""
    if side >= length * (1 - _SLACK):
        return [(length - side) / 2]
    count = math.ceil((length - side) / (side * (1.0 - overlap)) - _SLACK) + 1
    return [float(start) for start in np.linspace(0.0, length - side, count)]


def inside(start: float, side: float, length: int) -> float:
    """Moves a tile into the picture; one that is larger than the picture is centred on it."""
    if side >= length:
        return (length - side) / 2
    return min(max(start, 0.0), length - side)
