"""`Plane`: a piece of ground, as a plane with the region of the picture where it is valid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from shapely.geometry import Polygon


@dataclass(frozen=True)
class Plane:
    """A piece of ground: n.X + d = 0. The unit normal n points up, and d > 0 is the camera's height above it.

    Attributes:
        normal: (3,) unit vector in the camera frame.
        offset_m: d, metres.
        region: polygon in picture pixels where the plane is valid; None = everywhere.
    """

    normal: npt.NDArray[np.float64]
    offset_m: float
    region: Polygon | None = None

    def signed_height_m(self, points_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) points -> (...,) height above the plane."""
        return np.asarray(np.asarray(points_m, dtype=np.float64) @ self.normal + self.offset_m)

    def foot_m(self, points_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) points -> (..., 3) their projections onto the plane along the normal (HVIP of a torso)."""
        points = np.asarray(points_m, dtype=np.float64)
        return np.asarray(points - self.signed_height_m(points)[..., None] * self.normal)

    def intersect_m(self, rays: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) ray directions from the camera -> (..., 3) points on the plane; NaN if a ray misses it."""
        directions = np.asarray(rays, dtype=np.float64)
        falling = -(directions @ self.normal)
        distance = self.offset_m / np.where(falling > 1e-9, falling, np.nan)
        return np.asarray(directions * distance[..., None])
