"""The ground as the shader needs it: where rays meet it if it is one plane, and its paving whatever it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crowd3d.synth.draw.surfaces import Ground
from crowd3d.synth.place.world import World

FloatArray = npt.NDArray[np.float32]

ABOVE_M = 0.002  # rays to the sun begin so far above the ground


class Floor:
    """The ground of a place; smooth terrain is a mesh among the others, and no plane."""

    def __init__(self, world: World) -> None:
        self.is_plane = world.land is None
        self._level = world.levels_m[0]
        self._normal = self._level.normal.astype(np.float32)
        self._above = np.float32(self._level.normal @ world.view.eye_m + self._level.offset_m)
        self._paving = Ground(world.ground, world.ground_seed, world.ground_yaw_rad)
        self._pixel_rad = 1.0 / world.view.camera.focal_px

    def distance_m(self, ways: FloatArray, least_fall: float) -> FloatArray:
        """How far along rays (N, 3) the plane is; infinite where they fall less than that, or there is none."""
        if not self.is_plane:
            return np.full(len(ways), np.inf, np.float32)
        falling = -(ways @ self._normal)
        far = self._above / np.maximum(falling, np.float32(least_fall))
        return np.asarray(np.where(falling > least_fall, far, np.inf), np.float32)

    def points(self, ways: FloatArray, far: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points (N, 3) of the plane that rays meet so far away, a little above it, and its normals there."""
        points = np.asarray(ways * far[:, None], np.float32)
        points[:, 1] = self._level.height_m(points[:, 0], points[:, 2]) + ABOVE_M
        return points, np.tile(self._normal, (len(ways), 1))

    def paved(
        self, points: FloatArray, ways: FloatArray, normal: FloatArray, far: FloatArray
    ) -> FloatArray:
        """Reflectance (N, 3) of paved surfaces: the ground, terraces, slopes."""
        flat = np.maximum(np.hypot(ways[:, 0], ways[:, 2]), 1e-6)
        along = (ways[:, [0, 2]] / flat[:, None]).astype(np.float32)
        near_m = far * self._pixel_rad
        grazing = np.maximum(-np.einsum("ni,ni->n", ways, normal), 1e-4)
        extent = self._paving.pixel_extent(along, near_m, np.asarray(near_m / grazing, np.float32))
        return self._paving.albedo(points[:, 0], points[:, 2], *extent)
