"""Ground that is not flat: stands, terraces, stairs, slopes, a stage, levels side by side, hills."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from crowd3d.synth.place.boxes import TERRACE, TIER, Box
from crowd3d.synth.place.surface import Area, FloatArray, Land
from crowd3d.synth.place.view import GROUND, Level, View

SEAT_DEPTH_M, SEAT_RISE_M = 0.85, 0.45
STEP_DEPTH_M, STEP_RISE_M = 0.40, 0.15
ROWS_OF_SEATS = ("stands", "tribune")
_ROWS = 14  # of seats
_COLORS = ("9a9a98", "a7a196", "8f8a84", "b3aca0")

_HILLSIDE_DEG = (6.0, 18.0)
_WAVES = 7  # of which hills are the sum
_WAVE_M = (28.0, 75.0)
_RELIEF_M = (3.5, 6.5)  # from the lowest to the highest ground around the people
_STEEPEST = 0.22  # metres up per metre, of hills
_CELL_M = 1.0
_GROWTH = 1.35  # of cells towards the horizon
_HORIZON_M = 12_000.0


def sample_ground(rng: np.random.Generator, terrain: str) -> Level:
    """The plane below the camera; of a hillside it slopes, up in any direction."""
    if terrain != "hillside":
        return GROUND
    steep = math.tan(math.radians(rng.uniform(*_HILLSIDE_DEG)))
    uphill = rng.uniform(-math.pi, math.pi)
    return Level(rise=steep * math.cos(uphill), side=steep * math.sin(uphill))


def sample_levels(
    rng: np.random.Generator,
    terrain: str,
    near_m: float,
    far_m: float,
    view: View,
    ground: Level = GROUND,
) -> list[Level]:
    """The planes of a kind of terrain between two distances in a view; the ground comes first.

    Args:
        terrain: flat, stands and tribune (rows of seats), terraces, beside (levels side by side), stairs (up to
            a landing), slope (straight away from the viewer), stage, hillside or rolling.
    """

    def between(share: float) -> float:
        return -(near_m + share * (far_m - near_m))

    if terrain == "stands":
        start = min(-0.55 * far_m, between(0.1))
        return [GROUND, *_steps(start, _ROWS, SEAT_DEPTH_M, SEAT_RISE_M)]
    if terrain == "tribune":
        count, plinth = int(rng.integers(16, 27)), rng.uniform(0.2, 1.0)
        depth, rise = rng.uniform(0.78, 0.92), rng.uniform(0.28, 0.50)
        rows = _steps(between(rng.uniform(0.15, 0.4)), count, depth, rise, plinth)
        return [GROUND, *rows]
    if terrain == "terraces":
        count, levels = int(rng.integers(2, 5)), [GROUND]
        at, top = between(rng.uniform(0.12, 0.25)), 0.0
        depth = max(3.0, (far_m + at) / count)
        for k in range(count):
            top += rng.uniform(0.4, 1.3)
            back = at - depth if k < count - 1 else -math.inf
            levels.append(Level(top, at, back))
            at -= depth
        return levels
    if terrain == "beside":
        return [GROUND, *_strips(rng, between, view)]
    if terrain == "stairs":
        start, count = between(rng.uniform(0.1, 0.3)), int(rng.integers(12, 22))
        steps = _steps(start, count, STEP_DEPTH_M, STEP_RISE_M)
        landing = Level(steps[-1].base_m + STEP_RISE_M, steps[-1].back_z)
        return [GROUND, *steps, landing]
    if terrain == "slope":
        return [GROUND, Level(0.0, between(rng.uniform(0.1, 0.25)), rise=rng.uniform(0.05, 0.14))]
    if terrain == "stage":
        front, half = between(rng.uniform(0.5, 0.7)), rng.uniform(5.0, 8.0)
        middle = view.across(front, rng.uniform(-0.3, 0.3))
        back = front - rng.uniform(5.0, 8.0)
        height = rng.uniform(0.9, 1.8)
        return [GROUND, Level(height, front, back, left_x=middle - half, right_x=middle + half)]
    return [ground]


def _steps(
    start_z: float, count: int, depth_m: float, rise_m: float, plinth_m: float = 0.0
) -> list[Level]:
    return [
        Level(plinth_m + (k + 1) * rise_m, start_z - k * depth_m, start_z - (k + 1) * depth_m)
        for k in range(count)
    ]


def _strips(rng: np.random.Generator, between: Callable[[float], float], view: View) -> list[Level]:
    """Two levels beside the ground and each other, their borders running away from the viewer."""
    left, right = (view.across(between(0.45), s * rng.uniform(0.1, 0.55)) for s in (-1.0, 1.0))
    edges = [-math.inf, left, right, math.inf]
    low = rng.uniform(0.5, 1.5)
    tops = [0.0, low, low + rng.uniform(0.6, 2.0)]
    found = []
    for k, place in enumerate(rng.permutation(3)):
        if tops[place] > 0:
            front = between(rng.uniform(0.0, 0.2))
            found.append(Level(tops[place], front, left_x=edges[k], right_x=edges[k + 1]))
    return found


def sample_land(rng: np.random.Generator, area: Area, horizon_m: float = _HORIZON_M) -> Land:
    """Gentle hills over an area, flat far beyond it; the ground below the camera has the height 0."""
    x, z = (
        _marks(area.left_x, area.right_x, horizon_m),
        _marks(area.back_z, area.front_z, horizon_m),
    )
    way = rng.uniform(0, 2 * math.pi, _WAVES)
    number = 2 * math.pi / rng.uniform(*_WAVE_M, _WAVES)
    phase, weight = rng.uniform(0, 2 * math.pi, _WAVES), rng.uniform(0.3, 1.0, _WAVES) / number
    along = x[:, None, None] * np.sin(way) + z[None, :, None] * np.cos(way)
    height = (weight * np.sin(number * along + phase)).sum(axis=-1)
    inside = np.ix_(
        (x >= area.left_x) & (x <= area.right_x), (z >= area.back_z) & (z <= area.front_z)
    )
    steep = np.hypot(*np.gradient(height[inside], _CELL_M)).max()
    height *= min(rng.uniform(*_RELIEF_M) / np.ptp(height[inside]), _STEEPEST / steep)
    height *= _fading(x, area.left_x, area.right_x)[:, None] * _fading(z, area.back_z, area.front_z)
    land = Land(x, z, height, area)
    return replace(land, height_m=height - land.plane_at(0.0, 0.0).height_m(0.0, 0.0))


def _marks(low: float, high: float, horizon_m: float) -> FloatArray:
    """Where cells meet: even between two ends, ever wider beyond."""
    even = low + _CELL_M * np.arange(math.ceil((high - low) / _CELL_M) + 1)
    wider = np.cumsum(_CELL_M * _GROWTH ** np.arange(1, 40))
    wider = wider[: int(np.searchsorted(wider, horizon_m)) + 1]
    return np.concatenate([low - wider[::-1], even, even[-1] + wider])


def _fading(at_m: FloatArray, low: float, high: float) -> FloatArray:
    """1 between two ends, falling to 0 within their distance of each other."""
    beyond = np.maximum(np.maximum(low - at_m, at_m - high), 0) / (high - low)
    return np.asarray(np.exp(-((3 * beyond) ** 2)))


def level_boxes(
    rng: np.random.Generator, levels: list[Level], half_width_m: float, end_z: float, terrain: str
) -> list[Box]:
    """What the raised levels look like: a box each, the last one reaching back to `end_z`."""
    found, color = [], str(rng.choice(_COLORS))
    kind = TIER if terrain in ROWS_OF_SEATS else TERRACE
    for level in levels[1:]:
        back = max(level.back_z, end_z)
        left, right = max(level.left_x, -half_width_m), min(level.right_x, half_width_m)
        middle, half = (level.front_z + back) / 2, (level.front_z - back) / 2
        # A slope begins at the ground's own height and needs a body below it.
        deep = 0.5 if level.rise else level.base_m
        center = ((left + right) / 2, level.base_m - deep / 2, middle)
        size = ((right - left) / 2, deep / 2, half)
        found.append(Box(center, size, kind, color, rise=level.rise))
    return found
