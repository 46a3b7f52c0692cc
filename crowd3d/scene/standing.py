"""How tall a standing person appears at a place in the picture, given camera and ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.levels import plane_at
from crowd3d.scene.plane import Plane
from optim.anthropometry import ADULT_STATURE_M

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def person_height_px(
    camera: Camera, plane: Plane, foot_px: npt.ArrayLike, stature_m: float = ADULT_STATURE_M
) -> FloatArray:
    """Apparent height of a person who stands with the feet at a pixel.

    Args:
        foot_px: (N, 2) pixels of the feet.

    Returns:
        (N,) pixels; NaN if the ray does not meet the ground.
    """
    foot_m = plane.intersect_m(camera.rays(foot_px))
    foot = np.asarray(foot_px, dtype=np.float64)
    head_px = camera.unwrapped(camera.project(foot_m + stature_m * plane.normal), foot)
    return np.asarray(np.linalg.norm(head_px - foot, axis=-1))


def foot_below_px(
    camera: Camera, plane: Plane, point_px: npt.ArrayLike, height_m: float
) -> FloatArray:
    """Pixels of the feet of standing people, from pixels of a point at `height_m` above their feet.

    Args:
        point_px: (N, 2) pixels of that point.

    Returns:
        (N, 2) pixels; NaN if the ray never reaches that height.
    """
    raised = Plane(plane.normal, plane.offset_m - height_m)
    rays = camera.rays(point_px)
    if raised.offset_m <= 0:  # the point is above the camera: the ray must rise to it
        raised = Plane(-plane.normal, height_m - plane.offset_m)
    point_m = raised.intersect_m(rays)
    return camera.unwrapped(camera.project(point_m - height_m * plane.normal), point_px)


def standing_height_px(
    camera: Camera, planes: Sequence[Plane], middle_px: FloatArray, stature_m: float
) -> FloatArray:
    """(N,) apparent heights of standing people whose middles (at half stature) are seen at pixels (N, 2)."""

    def on(plane: Plane) -> FloatArray:
        foot_px = foot_below_px(camera, plane, middle_px, stature_m / 2)
        return person_height_px(camera, plane, foot_px, stature_m)

    return on_levels(planes, middle_px, on)


def on_levels(
    planes: Sequence[Plane], at_px: FloatArray, value: Callable[[Plane], FloatArray]
) -> FloatArray:
    """Evaluate `value` for every plane, and take for each pixel (N, 2) the result (N,) of the plane there."""
    values = np.stack([value(plane) for plane in planes])
    return np.asarray(values[plane_at(planes, at_px), np.arange(len(at_px))])


def offsets_m(planes: Sequence[Plane]) -> FloatArray:
    """(P,) heights of the camera above the planes."""
    return np.array([plane.offset_m for plane in planes])


def feet_m(points_m: FloatArray, normal: FloatArray, offset_m: FloatArray) -> FloatArray:
    """(N, 3) points -> (N, 3) projections onto their planes, with one normal (3,) and offsets (N,)."""
    return np.asarray(points_m - (points_m @ normal + offset_m)[:, None] * normal)
