"""Places that the shape of the ground gives: rows of seats, steps of a stair, a stage and who looks at it."""

from __future__ import annotations

import math

import numpy as np

from crowd3d.synth.cast.spot import Spot
from crowd3d.synth.place.boxes import SEAT, Box
from crowd3d.synth.place.terrain import ROWS_OF_SEATS
from crowd3d.synth.place.world import World

Rng = np.random.Generator

_SEAT_M = 0.6  # from neighbour to neighbour
_SEATED_M = 0.52  # of the pelvis behind the front edge: the feet are near it, the seat behind
_STANDING_M = 0.36
_SEAT_HEIGHT_M = 0.40
_BENCH = "6f7378"


def has_rows(world: World) -> bool:
    """Whether there are rows of seats."""
    return world.terrain in ROWS_OF_SEATS


def row_of_neighbours(rng: Rng, world: World, x: float, on_feet: float) -> list[Spot]:
    """A run of neighbours on one row of a stand; with the chance `on_feet` they have stood up."""
    level = int(rng.integers(1, len(world.levels_m)))
    edge = world.levels_m[level].front_z
    places = x + _SEAT_M * np.arange(int(rng.integers(2, 9)))
    stand = bool(on_feet and rng.random() < on_feet)
    z = edge - (_STANDING_M if stand else _SEATED_M)
    return [Spot(float(u), z, level, rng.normal(0, 0.15), seated=not stand) for u in places]


def on_level(world: World, spot: Spot) -> Spot:
    """The spot with the level that is there; on a step of a stair, its middle, where nobody strides."""
    index = max(world.level_at(spot.x, spot.z), 0)
    level = world.levels_m[index]
    if world.terrain == "stairs" and index > 0 and math.isfinite(level.back_z):
        middle = (level.front_z + level.back_z) / 2
        return spot._replace(level=index, z=middle, walks=False)
    return spot._replace(level=index)


def up_there(rng: Rng, world: World) -> tuple[float, float]:
    """A place on a raised level that ends: a stage, a step of a stair."""
    ends = [level for level in world.levels_m[1:] if math.isfinite(level.back_z)]
    level = ends[int(rng.integers(len(ends)))]
    z = rng.uniform(level.back_z, level.front_z)
    left, right = (world.view.across(z, share) for share in (-1.0, 1.0))
    low, high = sorted((max(left, level.left_x), min(right, level.right_x)))
    return float(rng.uniform(low, high)), float(z)


def before_stage(rng: Rng, world: World, spot: Spot) -> Spot:
    """The spot with its heading: on the stage towards the crowd, below it towards the stage."""
    stage = world.levels_m[-1]
    if spot.level:
        return spot._replace(yaw=float(rng.normal(0, 0.5)), walks=False)
    x, z = (stage.left_x + stage.right_x) / 2 - spot.x, stage.front_z - 2.0 - spot.z
    return spot._replace(yaw=math.atan2(x, z) + float(rng.normal(0, 0.3)))


def benches(world: World) -> list[Box]:
    """The benches of a tribune, one a row."""
    if world.terrain != "tribune":
        return []
    x = world.surface.vertices_m[:, 0]
    middle, half = float(x.max() + x.min()) / 2, float(np.ptp(x)) / 2
    return [
        Box(
            (middle, v.base_m + _SEAT_HEIGHT_M - 0.03, v.front_z - 0.60),
            (half, 0.03, 0.17),
            SEAT,
            _BENCH,
        )
        for v in world.levels_m[1:]
    ]
