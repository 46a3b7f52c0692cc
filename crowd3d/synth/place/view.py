"""Where the camera of a synthetic scene is, and the surfaces people stand on.

Ground frame: x right, y up, z towards the viewer, metres, origin on the ground below the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.plane import Plane

FloatArray = npt.NDArray[np.float64]
X = TypeVar("X", float, npt.NDArray[np.float64], npt.NDArray[np.float32])


@dataclass(frozen=True)
class Level:
    """One plane that people are on: level, or rising away from the viewer, to one side, or both.

    Attributes:
        base_m: height of its front edge at x = 0.
        front_z, back_z, left_x, right_x: where it begins and ends; the ground has no edges.
        rise, side: metres up per metre towards -z, and towards +x.
    """

    base_m: float = 0.0
    front_z: float = 0.0
    back_z: float = -math.inf
    rise: float = 0.0
    left_x: float = -math.inf
    right_x: float = math.inf
    side: float = 0.0

    def height_m(self, x: X, z: X) -> X:
        """Height of the surface at a place."""
        return self.base_m + self.rise * (self.front_z - z) + self.side * x

    @property
    def normal(self) -> FloatArray:
        """(3,) unit normal in the ground frame, pointing up."""
        return np.array([0.0 - self.side, 1.0, self.rise]) / self._slant

    @property
    def offset_m(self) -> float:
        """The d of normal.X + d = 0 in the ground frame."""
        return -(self.base_m + self.rise * self.front_z) / self._slant

    @property
    def _slant(self) -> float:
        return math.hypot(1.0, self.rise, self.side)


GROUND = Level()
WIDEST_HALF_RAD = math.radians(55.0)  # of a view that what is ahead has to fill
_STEEP_RAD = math.radians(60.5)  # a camera that looks down so steeply has people all around it


@dataclass(frozen=True)
class View:
    """Where the camera is.

    Attributes:
        rotation: (3, 3) R_camera_ground.
        height_m: of the camera above the ground.
    """

    camera: Camera
    rotation: FloatArray
    height_m: float

    @classmethod
    def of_angles(
        cls,
        camera: Camera,
        height_m: float,
        pitch_deg: float,
        roll_deg: float = 0.0,
        turn_deg: float = 0.0,
    ) -> View:
        """A camera at a height, looking down by the pitch, rolled clockwise, turned to the right from -z."""
        p, r, t = (math.radians(angle) for angle in (pitch_deg, roll_deg, turn_deg))
        level = np.array(
            [[1, 0, 0], [0, -math.cos(p), math.sin(p)], [0, -math.sin(p), -math.cos(p)]]
        )
        roll = np.array([[math.cos(r), math.sin(r), 0], [-math.sin(r), math.cos(r), 0], [0, 0, 1]])
        turn = np.array([[math.cos(t), 0, math.sin(t)], [0, 1, 0], [-math.sin(t), 0, math.cos(t)]])
        return cls(camera, roll @ level @ turn, height_m)

    @property
    def ahead(self) -> FloatArray:
        """(3,) the level direction the camera looks in, ground frame; of one that looks straight down, -z."""
        level = self.rotation[2] * [1.0, 0.0, 1.0]
        length = float(np.linalg.norm(level))
        return level / length if length > 1e-6 else np.array([0.0, 0.0, -1.0])

    def on_map(self, right_m: float, away_m: float) -> tuple[float, float]:
        """x and z of a place so far to the right and away in the direction the camera looks in."""
        x, _, z = self.ahead
        return float(away_m * x - right_m * z), float(away_m * z + right_m * x)

    @property
    def sees_around(self) -> bool:
        """Whether people are on all sides of the point below the camera, rather than ahead of it."""
        return not self.camera.is_perspective or bool(-self.rotation[2, 1] > math.sin(_STEEP_RAD))

    def across(self, z: float, share: float) -> float:
        """The x at a distance -z ahead: so far (-1 to 1) from the middle of the view to its right border."""
        x, _, ahead_z = self.ahead
        half = min(self.camera.fov_rad / 2, WIDEST_HALF_RAD)
        return float(z * x / ahead_z - z * share * math.tan(half))

    @property
    def eye_m(self) -> FloatArray:
        """(3,) the camera in the ground frame."""
        return np.array([0.0, self.height_m, 0.0])

    def to_camera(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) ground frame -> camera frame."""
        return np.asarray((np.asarray(points_m, np.float64) - self.eye_m) @ self.rotation.T)

    def project(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) ground frame -> (..., 2) pixels, NaN behind the camera."""
        return self.camera.project(self.to_camera(points_m))

    def rays(self, points_px: npt.ArrayLike) -> FloatArray:
        """(..., 2) pixels -> (..., 3) unit directions in the ground frame."""
        return np.asarray(self.camera.rays(points_px) @ self.rotation)

    def plane(self, level: Level = GROUND) -> Plane:
        """A level's plane in the camera frame."""
        normal = level.normal
        return Plane(self.rotation @ normal, float(normal @ self.eye_m + level.offset_m))


def farthest_ground_m(view: View) -> float:
    """Horizontal distance of the farthest ground at the picture's border; infinite where it shows the sky."""
    width, height = view.camera.width, view.camera.height
    along = np.linspace(0.0, 1.0, 33)
    sides = [[along, 0 * along + end] for end in (0.0, 1.0)]
    border = np.concatenate([np.stack(pair[::step], axis=1) for pair in sides for step in (1, -1)])
    rays = view.rays(border * (width, height))
    if (rays[:, 1] > -1e-3).any():
        return math.inf
    return float((view.height_m * np.hypot(rays[:, 0], rays[:, 2]) / -rays[:, 1]).max())


def ground_distance_m(view: View, ray: FloatArray, ground: Level = GROUND) -> float:
    """How far ahead a ray (3,) in the ground frame that falls meets the ground."""
    above_m = float(ground.normal @ view.eye_m + ground.offset_m)
    return float(above_m * (ray @ view.ahead) / max(-float(ray @ ground.normal), 1e-6))
