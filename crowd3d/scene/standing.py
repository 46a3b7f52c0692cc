"""How tall a standing person appears at a place in the picture, given camera and ground."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.ground import Ground
from crowd3d.scene.plane import Level
from optim.anthropometry import ADULT_STATURE_M

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def person_height_px(
    camera: Camera, level: Level, foot_px: npt.ArrayLike, stature_m: float = ADULT_STATURE_M
) -> FloatArray:
    """Apparent height of a person who stands with the feet at a pixel.

    Args:
        level: on which they stand, or (N,) levels.
        foot_px: (N, 2) pixels of the feet.

    Returns:
        (N,) pixels; NaN if the ray does not meet the ground.
    """
    foot_m = level.intersect_m(camera.rays(foot_px))
    foot = np.asarray(foot_px, dtype=np.float64)
    head_px = camera.unwrapped(camera.project(foot_m + stature_m * level.normal), foot)
    return np.asarray(np.linalg.norm(head_px - foot, axis=-1))


def foot_below_px(
    camera: Camera, level: Level, point_px: npt.ArrayLike, height_m: float
) -> FloatArray:
    """Pixels of the feet of standing people, from pixels of a point at `height_m` above their feet.

    Args:
        level: on which they stand, or (N,) levels.
        point_px: (N, 2) pixels of that point.

    Returns:
        (N, 2) pixels; NaN if the ray never reaches that height.
    """
    point_m = level.raised(height_m).intersect_m(camera.rays(point_px))
    return camera.unwrapped(camera.project(point_m - height_m * level.normal), point_px)


def standing_height_px(
    camera: Camera, ground: Ground, middle_px: FloatArray, stature_m: float
) -> FloatArray:
    """(N,) apparent heights of standing people whose middles (at half stature) are seen at pixels (N, 2)."""
    level = ground.under(camera, middle_px, stature_m / 2)
    foot_px = foot_below_px(camera, level, middle_px, stature_m / 2)
    return person_height_px(camera, level, foot_px, stature_m)
