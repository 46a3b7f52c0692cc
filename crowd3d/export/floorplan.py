"""People as seen from above: where they stand, which way they face, how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.scene.frames import ExportFrame, export_frame
from crowd3d.scene.scene import Scene

FloatArray = npt.NDArray[np.float64]

SIGMAS_95 = 2.447746830680816  # radius of the 95 % ellipse of a normal distribution in the plane


@dataclass(frozen=True)
class FloorPlan:
    """One row a person; NaN where unknown.

    Attributes:
        position_m: (N, 3) foot of the torso on the ground: x right, y forward, z up.
        heading_deg: (N,) which way the body faces: 0 = viewing direction, 90 = right, in [0, 360).
        sigma_major_m, sigma_minor_m: (N,) semi-axes of the 1-sigma error ellipse on the ground.
        sigma_angle_deg: (N,) direction of its long axis, like a heading, in [0, 180).
    """

    position_m: FloatArray
    heading_deg: FloatArray
    sigma_major_m: FloatArray
    sigma_minor_m: FloatArray
    sigma_angle_deg: FloatArray

    @property
    def placed(self) -> npt.NDArray[np.bool_]:
        """(N,) who has a place."""
        return np.asarray(np.isfinite(self.position_m).all(axis=1))


def floor_plan(scene: Scene, frame: ExportFrame | None = None) -> FloorPlan:
    """The scene's people from above."""
    frame = frame or export_frame(scene.camera, scene.planes)
    people = scene.people
    position = frame.z_up(people.hvip_m)
    facing = body_facing(people.pose[:, 0]) @ frame.R_zup_cam.T
    heading = _compass_deg(facing[:, :2], 360.0)
    heading[np.linalg.norm(facing[:, :2], axis=1) < 0.05] = np.nan  # lies on the back or the belly
    heading[~people.placed] = np.nan  # what is seen in a mirror faces nowhere
    covariance = frame.R_zup_cam @ people.position_cov_m2 @ frame.R_zup_cam.T
    return FloorPlan(position, heading, *error_ellipse(covariance[:, :2, :2]))


def body_facing(root_pose: npt.ArrayLike) -> FloatArray:
    """(N, 3) axis-angle of the root -> (N, 3) where the belly points; a body at rest faces +z."""
    rotations = [cv2.Rodrigues(row)[0] for row in np.asarray(root_pose, dtype=np.float64)]
    return np.asarray(rotations, dtype=np.float64).reshape(-1, 3, 3)[:, :, 2]


def error_ellipse(covariance_m2: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(N, 2, 2) covariances -> semi-axes of one sigma (major, minor) and angle of the major one.

    The angle counts in degrees clockwise from +y, in [0, 180). Not finite in, NaN out.
    """
    good = np.asarray(np.isfinite(covariance_m2).all(axis=(1, 2)))
    values, vectors = np.linalg.eigh(np.where(good[:, None, None], covariance_m2, 0.0))
    sigma = np.sqrt(np.maximum(values, 0.0))
    angle = _compass_deg(vectors[:, :, 1], 180.0)
    major, minor, angle = (np.where(good, x, np.nan) for x in (sigma[:, 1], sigma[:, 0], angle))
    return major, minor, angle


def ellipse_ring(
    center_m: FloatArray, major_m: float, minor_m: float, angle_deg: float, n: int = 32
) -> FloatArray:
    """(n + 1, 2) closed counter-clockwise ring; the long axis has that compass angle."""
    turn = np.radians(90.0 - angle_deg)
    t = np.linspace(0.0, 2 * np.pi, n + 1)
    along, across = major_m * np.cos(t), minor_m * np.sin(t)
    x = along * np.cos(turn) - across * np.sin(turn)
    y = along * np.sin(turn) + across * np.cos(turn)
    ring = np.stack([x, y], axis=1)
    ring[-1] = ring[0]
    return np.asarray(ring + center_m)


def _compass_deg(direction: FloatArray, period_deg: float) -> FloatArray:
    """(N, 2) x right, y forward -> clockwise angle from forward in [0, period)."""
    angle = np.degrees(np.arctan2(direction[:, 0], direction[:, 1])) % period_deg
    return np.where(angle >= period_deg, 0.0, angle)
