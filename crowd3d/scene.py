"""The result of a run: one camera, the ground, the people, and how sure we are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry import Polygon

from crowd3d.camera import Camera
from crowd3d.people import People


@dataclass(frozen=True)
class Plane:
    """A piece of ground: n.X + d = 0 with the unit normal pointing up and d > 0 the camera's height.

    Attributes:
        normal: (3,) unit vector in the camera frame.
        offset_m: d, metres.
        region: where the plane is valid, in pixels; None = everywhere.
    """

    normal: npt.NDArray[np.float64]
    offset_m: float
    region: Polygon | None = None

    def signed_height_m(self, points_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) points -> (...,) height above the plane."""
        return np.asarray(np.asarray(points_m, dtype=np.float64) @ self.normal + self.offset_m)

    def foot_m(self, points_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) points -> (..., 3) their feet on the plane along the normal (HVIP of a torso)."""
        points = np.asarray(points_m, dtype=np.float64)
        return np.asarray(points - self.signed_height_m(points)[..., None] * self.normal)

    def intersect_m(self, rays: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) directions from the camera -> (..., 3) points on the plane; NaN where they miss it."""
        directions = np.asarray(rays, dtype=np.float64)
        falling = -(directions @ self.normal)
        distance = self.offset_m / np.where(falling > 1e-9, falling, np.nan)
        return np.asarray(directions * distance[..., None])


@dataclass
class Scene:
    """One camera, its planes and everyone on them, in one metric frame.

    Attributes:
        people: their betas belong to the body named `body`.
        diagnostics: counts, timings, covariance, warnings; plain JSON values.
        image_name: file name of the picture.
    """

    camera: Camera
    planes: list[Plane]
    people: People
    image_name: str = "image"
    body: str = "open"
    diagnostics: dict[str, Any] = field(default_factory=dict)

    def save(self, directory: str | Path) -> None:
        """Write `scene.json` and `people.npz` into the folder, atomically; raises OutputError."""
        from crowd3d.export import scene_files

        scene_files.save(self, Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> Scene:
        """Read what `save` wrote; raises SceneError if it is incomplete or of another version."""
        from crowd3d.export import scene_files

        return scene_files.load(Path(directory))
