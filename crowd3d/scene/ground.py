"""`Ground`: what people stand on, asked at pixels or at points, whatever its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.levels import plane_at
from crowd3d.scene.plane import Level, Plane
from optim.ground.surface import LEVEL, LEVELS, Surface

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tangents:
    """The ground near each of N people: a plane, and what its height depends on.

    Attributes:
        normals: (N, 3) unit vectors, or (3,) for all; offsets_m: (N,), as of a plane.
        by_number: (N, K) metres by which the ground rises with the numbers of its surface.
        unseen_m2: (N,) variance of its height that these numbers do not tell of.
    """

    normals: FloatArray
    offsets_m: FloatArray
    by_number: FloatArray
    unseen_m2: FloatArray


@dataclass(frozen=True)
class Ground:
    """The ground of a scene, camera frame, metres.

    Attributes:
        planes: levels, at least one. People's `plane` counts them.
        surface: height above the first plane, which then is the level straight below the camera; None where the
            ground is made of levels.
    """

    planes: Sequence[Plane]
    surface: Surface | None = None

    @property
    def kind(self) -> str:
        """One of the kinds of `optim.fit_ground_camera`: "level", "slope", "levels", "stands" or "terrain"."""
        if self.surface is not None:
            return self.surface.kind
        return LEVEL if len(self.planes) == 1 else LEVELS

    @property
    def normal(self) -> FloatArray:
        """(3,) unit vector up, against gravity."""
        return self.planes[0].normal

    @property
    def _offsets_m(self) -> FloatArray:
        """(P,) heights of the camera above the planes."""
        return np.array([plane.offset_m for plane in self.planes])

    def under(
        self,
        camera: Camera,
        seen_px: npt.ArrayLike,
        above_m: float = 0.0,
        at_px: FloatArray | None = None,
    ) -> Level:
        """The level of the ground straight below what is seen at pixels (N, 2), which is so far above it.

        Args:
            at_px: (N, 2) pixels that tell on which of several planes it is; `seen_px` if not given.

        Returns:
            (N,) parallel planes; their offsets are NaN where no ray meets the ground.
        """
        seen = np.asarray(seen_px, dtype=np.float64)
        if self.surface is not None:
            points = self.surface.points_m(camera.rays(seen), above_m)
            return Level(self.normal, above_m - points @ self.normal)
        plane = plane_at(self.planes, seen if at_px is None else at_px)
        return Level(self.normal, self._offsets_m[plane])

    def points_m(self, camera: Camera, px: npt.ArrayLike) -> FloatArray:
        """(N, 3) where the ground is seen at pixels (N, 2); NaN above its horizon."""
        return self.under(camera, px).intersect_m(camera.rays(px))

    def feet_m(self, points_m: FloatArray, plane: IntArray) -> FloatArray:
        """(N, 3) points -> (N, 3) points of the ground straight below; `plane` (N,) tells on which plane."""
        up = self.heights_m(points_m, plane) - points_m @ self.normal
        return np.asarray(points_m + (up - self.planes[0].offset_m)[:, None] * self.normal)

    def heights_m(self, points_m: FloatArray, plane: IntArray) -> FloatArray:
        """(N,) height of the ground below points (N, 3) over the first plane; `plane` (N,) as of `feet_m`."""
        if self.surface is not None:
            return self.surface.heights_m(points_m @ self.surface.axes.T)
        return np.asarray(self._offsets_m[0] - self._offsets_m[plane])

    def tangents(self, points_m: FloatArray, plane: IntArray) -> Tangents:
        """The ground near points (N, 3) of it; `plane` (N,) as of `feet_m`."""
        if self.surface is None:
            n = len(plane)
            return Tangents(self.normal, self._offsets_m[plane], np.zeros((n, 0)), np.zeros(n))
        surface = self.surface
        where = points_m @ surface.axes.T
        slopes = surface.slopes(where)
        height = surface.heights_m(where) - np.sum(slopes * where, axis=1)
        normals = self.normal - slopes @ surface.axes
        length = np.linalg.norm(normals, axis=1)
        return Tangents(
            normals / length[:, None],
            (surface.offset_m - height) / length,
            surface.by_number_m(where),
            surface.unseen_sd_m(where) ** 2,
        )

    def scaled(self, factor: float) -> Ground:
        """The same ground below a camera that is so many times as high."""
        planes = [replace(plane, offset_m=plane.offset_m * factor) for plane in self.planes]
        return Ground(planes, None if self.surface is None else self.surface.scaled(factor))
