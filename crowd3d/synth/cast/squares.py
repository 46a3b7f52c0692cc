"""Squares: where a crowd gathers, with empty ground between."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from crowd3d.synth.place.world import World

_SIDE = 3.0  # over the root of the distance, in metres: far squares are larger, yet look smaller
_SIDE_OF_STEP = 0.6  # at most, of the way from the square before; less than 1 keeps them apart


class Square(NamedTuple):
    """A stretch of level ground that is square, in the ground frame: its middle and side in metres."""

    x: float
    z: float
    side: float

    def anywhere(self, rng: np.random.Generator) -> tuple[float, float]:
        """x and z of a place on it."""
        x, z = (rng.random(2) - 0.5) * self.side
        return float(self.x + x), float(self.z + z)


def sample_squares(rng: np.random.Generator, world: World, count: int) -> list[Square]:
    """Squares at even ratios of distance, from the nearest ground in view to the farthest people."""
    distances = np.geomspace(1.15 * world.near_m, 0.95 * world.reach_m, count)
    step = 1 - distances[0] / distances[1] if count > 1 else 1.0  # as a share of the distance
    sides = np.minimum(
        rng.uniform(0.8, 1.2, count) * _SIDE * np.sqrt(distances), _SIDE_OF_STEP * step * distances
    )
    half_view = math.tan(world.view.camera.fov_rad / 2) * distances
    across = rng.uniform(-0.95, 0.95, count) * np.maximum(half_view - sides / 2, 0)
    return [
        Square(*row)
        for row in zip(across.tolist(), (-distances).tolist(), sides.tolist(), strict=True)
    ]
