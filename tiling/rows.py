"""Crowd3D's rows: tiles in a geometric progression between two given person heights."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from tiling.errors import PlanError
from tiling.planner import Tile

_MAX_ROWS = 16
_PEOPLE_PER_ROW = 2.0  # a row is twice as high as its people


def geometric_rows(
    h_min: float, h_max: float, band: tuple[int, int]
) -> tuple[int, float, list[tuple[int, int]]]:
    """Row heights that grow as people do under perspective (Wen et al., Crowd3D, CVPR 2023).

    Args:
        h_min, h_max: height in pixels of a person at the top and at the bottom of the band.
        band: (start, end), the rows of the picture that hold the crowd.

    Returns:
        n: number of main rows; q: ratio of neighbouring row heights; rows: 2 n - 1 pairs (start, end),
            main rows and, between them, rows shifted by a half, from top to bottom.

    Raises:
        PlanError: heights not positive, or a band that is less than two rows of 2 h_min high.
    """
    start, end = band
    if not (h_min > 0 and h_max > 0):
        raise PlanError(f"person heights {h_min} and {h_max} px must be positive")
    first, height = _PEOPLE_PER_ROW * h_min, end - start
    if height <= first:
        raise PlanError(
            f"the band {start}..{end} is {height} px high, people of {h_min} px at its top need "
            f"more than {first:g} px; give a smaller h_min or a wider band"
        )
    fits = []
    for n in range(2, _MAX_ROWS + 1):
        q = _ratio(first, float(height), n)
        fits.append((abs(first * q ** (n - 1) - _PEOPLE_PER_ROW * h_max), n, q))
    _, n, q = min(fits)
    heights = [int(first * q**i) for i in range(n)]
    if min(heights) < 2:
        raise PlanError(
            f"rows would shrink to {min(heights)} px between people of {h_min} and {h_max} px in "
            f"the band {start}..{end}; check that h_min belongs to the top of the band"
        )
    starts = [start + sum(heights[:i]) for i in range(n)]
    ends = [*starts[1:], end]  # rounding is made up for in the last row
    rows = [(starts[0], ends[0])]
    for i in range(n - 1):
        rows.append((starts[i] + heights[i] // 2, starts[i + 1] + heights[i + 1] // 2))
        rows.append((starts[i + 1], ends[i + 1]))
    return n, q, rows


def plan_rows(
    width: int, h_min: float, h_max: float, band: tuple[int, int], *, tile_px: int = 512
) -> list[Tile]:
    """Crowd3D's tiles: squares as high as their row, half overlapping.

    Args:
        width: of the picture, pixels; h_min, h_max, band: see `geometric_rows`.

    Returns:
        Tiles row by row, from left to right.

    Raises:
        PlanError: see `geometric_rows`; also a picture that is not positive in width.
    """
    if width < 1:
        raise PlanError(f"cannot tile a picture {width} px wide")
    tiles: list[Tile] = []
    for row, (top, bottom) in enumerate(geometric_rows(h_min, h_max, band)[2]):
        side = bottom - top
        span = 0.25 * side, 0.9 * side
        for left in _columns(width, side):
            tiles.append(Tile(left, top, side, side, tile_px, tile_px, row, len(tiles), span))
    return tiles


def _columns(width: int, side: int) -> list[int]:
    if side >= width:
        return [0]
    lefts = list(range(0, width - side + 1, side // 2))
    if width - side - lefts[-1] > 2:
        lefts.append(width - side)
    return lefts


def _ratio(first: float, total: float, n: int) -> float:
    """q > 0 with first (1 + q + ... + q^(n-1)) = total > first."""

    def excess(q: float) -> float:
        return float(np.polyval(np.ones(n), q)) - total / first

    return float(brentq(excess, 0.0, total / first, xtol=1e-14, rtol=1e-14))
