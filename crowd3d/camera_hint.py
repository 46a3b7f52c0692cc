"""What the user says about the camera, before the picture's size is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from crowd3d.camera import Camera
from crowd3d.errors import CameraError


@dataclass(frozen=True)
class CameraHint:
    """At most one of the three; all None = nothing is known.

    Attributes:
        focal_px: focal length in pixels of the full picture.
        fov_deg: horizontal field of view.
        camera_json: a file as `Camera.from_json` reads it.
    """

    focal_px: float | None = None
    fov_deg: float | None = None
    camera_json: Path | None = None

    def resolve(self, width: int, height: int) -> Camera | None:
        """The given camera for a picture of that size, or None; raises CameraError."""
        if self.camera_json is not None:
            camera = Camera.from_json(self.camera_json)
            if (camera.width, camera.height) != (width, height):
                raise CameraError(
                    f"{self.camera_json} is for a picture of {camera.width} x {camera.height} px, "
                    f"this one has {width} x {height}"
                )
            return camera
        if self.focal_px is not None:
            if not (math.isfinite(self.focal_px) and self.focal_px > 0):
                raise CameraError(f"a focal length of {self.focal_px} px is not positive")
            return Camera(width, height, float(self.focal_px), (width / 2, height / 2))
        if self.fov_deg is not None:
            return Camera.from_fov(width, height, self.fov_deg)
        return None
