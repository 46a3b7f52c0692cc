"""`Plane`: a piece of ground, as a plane with the region of the picture where it is valid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from shapely.geometry import MultiPolygon, Polygon

_LEAST_FALL = 1e-9  # of a ray that meets a plane

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """The plane n.X + d = 0 under everybody, or one for each person, all of them parallel.

    Attributes:
        normal: (3,) unit vector up, in the camera frame.
        offset_m: d, the camera's height above the plane, or (N,) of them. Negative where the camera is lower.
    """

    normal: FloatArray
    offset_m: float | FloatArray

    def signed_height_m(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) points -> (...,) height above the plane."""
        return np.asarray(np.asarray(points_m, dtype=np.float64) @ self.normal + self.offset_m)

    def foot_m(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) points -> (..., 3) their projections onto the plane along the normal (HVIP of a torso)."""
        points = np.asarray(points_m, dtype=np.float64)
        return np.asarray(points - self.signed_height_m(points)[..., None] * self.normal)

    def intersect_m(self, rays: npt.ArrayLike) -> FloatArray:
        """(..., 3) ray directions from the camera -> (..., 3) points on the plane; NaN if a ray misses it."""
        directions = np.asarray(rays, dtype=np.float64)
        falling = -(directions @ self.normal)
        distance = self.offset_m / np.where(np.abs(falling) > _LEAST_FALL, falling, np.nan)
        return np.asarray(directions * np.where(distance > 0, distance, np.nan)[..., None])

    def raised(self, by_m: float) -> Level:
        """The plane, or planes, so far above."""
        return Level(self.normal, self.offset_m - by_m)


@dataclass(frozen=True)
class Plane(Level):
    """A piece of ground: n.X + d = 0. The unit normal n points up, and d > 0 is the camera's height above it.

    Attributes:
        normal: (3,) unit vector in the camera frame.
        offset_m: d, metres.
        region: polygons in picture pixels where the plane is valid; None = everywhere.
    """

    offset_m: float
    region: Polygon | MultiPolygon | None = None
