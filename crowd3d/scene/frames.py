"""`ExportFrame`: from the camera frame to the frames of exported files.

Their origin is on the ground below the camera.
z up (CSV, GeoJSON, top view): x right, y forward = horizontal viewing direction, z up.
y up (GLB): x right, y up, z backward, as in glTF. Both are right-handed, in metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.plane import Plane

FloatArray = npt.NDArray[np.float64]

R_YUP_ZUP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_VERTICAL = 0.02  # sine of the angle to the vertical below which a view has no horizontal direction


@dataclass(frozen=True)
class ExportFrame:
    """A rigid motion: z-up point = R_zup_cam (camera point - origin_m).

    Attributes:
        R_zup_cam: (3, 3) rotation from the camera frame.
        origin_m: (3,) the export frame's origin in the camera frame.
    """

    R_zup_cam: FloatArray
    origin_m: FloatArray

    @property
    def R_yup_cam(self) -> FloatArray:
        """(3, 3) rotation from the camera frame to y up."""
        return np.asarray(R_YUP_ZUP @ self.R_zup_cam)

    def z_up(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) points of the camera frame in the z-up frame."""
        shifted = np.asarray(points_m, dtype=np.float64) - self.origin_m
        return np.asarray(shifted @ self.R_zup_cam.T)

    def y_up(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) points of the camera frame in the y-up frame."""
        shifted = np.asarray(points_m, dtype=np.float64) - self.origin_m
        return np.asarray(shifted @ self.R_yup_cam.T)

    def from_z_up(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) points of the z-up frame back in the camera frame."""
        return np.asarray(np.asarray(points_m, dtype=np.float64) @ self.R_zup_cam + self.origin_m)

    def matrix(self, up: str) -> FloatArray:
        """(4, 4) homogeneous transform of the camera frame into the frame with `up` "y" or "z"."""
        rotation = {"y": self.R_yup_cam, "z": self.R_zup_cam}[up]
        transform = np.eye(4)
        transform[:3, :3] = rotation
        transform[:3, 3] = -rotation @ self.origin_m
        return transform


def export_frame(camera: Camera, planes: Sequence[Plane]) -> ExportFrame:
    """The export frame of a scene; the first plane is the ground.

    Without a plane, the camera is taken as level and is itself the origin.
    """
    up = np.array([0.0, -1.0, 0.0])
    origin = np.zeros(3)
    if planes:
        up = np.asarray(planes[0].normal, dtype=np.float64)
        up = up / np.linalg.norm(up)
        origin = -planes[0].offset_m * up
    middle = (camera.width / 2, camera.height / 2)
    forward = _horizontal(camera.rays(middle), up)
    if np.linalg.norm(forward) < _VERTICAL:
        # The camera looks straight down or up: forward is towards the picture's upper edge.
        upper, lower = camera.rays([(middle[0], 0.0), (middle[0], camera.height)])
        forward = _horizontal(upper - lower, up)
    forward = forward / np.linalg.norm(forward)
    return ExportFrame(np.stack([np.cross(forward, up), forward, up]), origin)


def _horizontal(direction: FloatArray, up: FloatArray) -> FloatArray:
    return np.asarray(direction - (direction @ up) * up)
