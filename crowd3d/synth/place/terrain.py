"""Ground that is not flat: stands, terraces, stairs and slopes that rise away from the viewer."""

from __future__ import annotations

import math

import numpy as np

from crowd3d.synth.place.boxes import TERRACE, TIER, Box
from crowd3d.synth.place.view import GROUND, Level

SEAT_DEPTH_M, SEAT_RISE_M = 0.85, 0.45
STEP_DEPTH_M, STEP_RISE_M = 0.40, 0.15
_ROWS = 14  # of seats
_COLORS = ("9a9a98", "a7a196", "8f8a84", "b3aca0")


def sample_levels(
    rng: np.random.Generator, terrain: str, near_m: float, far_m: float
) -> list[Level]:
    """The planes of a kind of terrain between two distances; the flat ground comes first.

    Args:
        terrain: flat, stands (rows of seats), terraces, stairs (up to a landing) or slope.
    """

    def between(share: float) -> float:
        return -(near_m + share * (far_m - near_m))

    if terrain == "stands":
        start = min(-0.55 * far_m, between(0.1))
        return [GROUND, *_steps(start, _ROWS, SEAT_DEPTH_M, SEAT_RISE_M)]
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
    if terrain == "stairs":
        start, count = between(rng.uniform(0.1, 0.3)), int(rng.integers(12, 22))
        steps = _steps(start, count, STEP_DEPTH_M, STEP_RISE_M)
        landing = Level(steps[-1].base_m + STEP_RISE_M, steps[-1].back_z)
        return [GROUND, *steps, landing]
    if terrain == "slope":
        return [GROUND, Level(0.0, between(rng.uniform(0.1, 0.25)), rise=rng.uniform(0.05, 0.14))]
    return [GROUND]


def _steps(start_z: float, count: int, depth_m: float, rise_m: float) -> list[Level]:
    return [
        Level((k + 1) * rise_m, start_z - k * depth_m, start_z - (k + 1) * depth_m)
        for k in range(count)
    ]


def level_boxes(
    rng: np.random.Generator, levels: list[Level], half_width_m: float, end_z: float
) -> list[Box]:
    """What the raised levels look like: a box each, the last one reaching back to `end_z`."""
    found, color = [], str(rng.choice(_COLORS))
    seats = len(levels) > 1 and levels[-1].back_z > -math.inf
    for level in levels[1:]:
        back = max(level.back_z, end_z)
        middle, half = (level.front_z + back) / 2, (level.front_z - back) / 2
        kind = TIER if seats else TERRACE
        # A slope begins at the ground's own height and needs a body below it.
        deep = 0.5 if level.rise else level.base_m
        center = (0.0, level.base_m - deep / 2, middle)
        box = Box(center, (half_width_m, deep / 2, half), kind, color, rise=level.rise)
        found.append(box)
    return found
