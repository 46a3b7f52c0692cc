"""Which plane (level of ground) belongs to a place in the picture, and where people's feet are seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely

from crowd3d.scene.detections import Detections
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from optim.ground.sticks import MIN_SCORE

_ANKLES = [15, 16]


def feet_px(people: Detections | People) -> npt.NDArray[np.float64]:
    """(N, 2) pixels where people stand: between the ankles if seen, else the middle of the box's lower edge."""
    below = np.stack([people.box_px[:, [0, 2]].mean(axis=1), people.box_px[:, 3]], axis=1)
    ankles = people.keypoints_px[:, _ANKLES, :2]
    return np.where(ankles_seen(people.keypoints_px)[:, None], ankles.mean(axis=1), below)


def ankles_seen(keypoints_px: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """(N,) whether both ankles of people (N, 17, 3) are seen."""
    ankles = keypoints_px[:, _ANKLES]
    is_seen = (ankles[..., 2] >= MIN_SCORE) & np.isfinite(ankles).all(axis=2)
    return np.asarray(is_seen.all(axis=1))


def plane_at(planes: Sequence[Plane], points_px: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """(N,) index of the plane whose region contains each pixel (N, 2) or is nearest; 0 if unknown."""
    return nearest_region([plane.region for plane in planes], points_px)


def nearest_region(
    regions: Sequence[shapely.Geometry | None], points_px: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """(N,) index of the region that contains each pixel (N, 2) or is nearest; None is everywhere."""
    if len(regions) < 2:
        return np.zeros(len(points_px), dtype=np.int64)
    points = shapely.points(np.where(np.isfinite(points_px), points_px, 0.0))
    away = np.zeros((len(regions), len(points)))
    for distance, region in zip(away, regions, strict=True):
        if region is not None:
            with np.errstate(all="ignore"):  # sides so short that their squares are 0
                distance[:] = shapely.distance(points, region)  # NaN for an empty region
    away[:, ~np.isfinite(points_px).all(axis=1)] = 0.0
    return np.asarray(np.argmin(np.where(np.isnan(away), np.inf, away), axis=0))
