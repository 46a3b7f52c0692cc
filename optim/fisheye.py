"""Fisheye pictures: how a lens that sees half a sphere, or more, maps rays to pixels.

The distance of a pixel from the principal point tells the angle theta between its ray and the optical axis:
equidistant r = f theta, equisolid r = 2 f sin(theta / 2), with f in pixels (Kannala & Brandt 2006, section 2).
A calibrated equidistant lens has four coefficients, r = f (theta + k1 theta^3 + k2 theta^5 + k3 theta^7 + k4
theta^9) (the same, section 3, and OpenCV's `cv2.fisheye`).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from optim import lens as lenses
from optim.projection import FloatArray, scale

EQUIDISTANT, EQUISOLID = "fisheye", "fisheye-equisolid"
KINDS = (EQUIDISTANT, EQUISOLID)
COUNTS = {EQUIDISTANT: (4,), EQUISOLID: ()}  # of coefficients of distortion, where there are any
_TINY = 1e-12
_STEEPEST_RAD = math.radians(179.9)  # pixels beyond are taken as the point straight behind


def radius_over_focal(
    theta_rad: npt.ArrayLike, kind: str, distortion: tuple[float, ...] = lenses.NONE
) -> FloatArray:
    """Distance from the principal point, in focal lengths, at which a ray is seen; any shape."""
    theta = np.asarray(theta_rad, dtype=np.float64)
    if any(distortion):
        return _curve(distortion).seen(theta)
    return theta if kind == EQUIDISTANT else np.asarray(2 * np.sin(theta / 2))


def theta_rad(
    radius: npt.ArrayLike, kind: str, distortion: tuple[float, ...] = lenses.NONE
) -> FloatArray:
    """Angle between ray and axis, the inverse of `radius_over_focal`; infinite where no ray is seen."""
    r = np.asarray(radius, dtype=np.float64)
    if any(distortion):
        theta = _curve(distortion).true(r)
    else:
        theta = r if kind == EQUIDISTANT else 2 * np.arcsin(np.clip(r / 2, 0.0, 1.0))
    return np.where(radius_over_focal(np.pi, kind, distortion) < r, np.inf, theta)


def reach(distortion: tuple[float, ...]) -> float:
    """Radius in focal lengths up to which the coefficients of a lens hold; infinite for most."""
    return _curve(distortion).seen_limit if any(distortion) else math.inf


def project(
    points: npt.ArrayLike,
    focal_px: float,
    center_px: npt.ArrayLike,
    kind: str,
    distortion: tuple[float, ...] = lenses.NONE,
    *,
    pixel_aspect: float = 1.0,
) -> FloatArray:
    """Pixels of points in the camera frame, wherever around the camera they are.

    Args:
        points: (..., 3), any length unit; focal_px: pixels per radian at the principal point.
        center_px: (2,) principal point; kind: one of `KINDS`.
        distortion: as many coefficients as `COUNTS` says, or zeros.
        pixel_aspect: focal length down the picture over that across it.

    Returns:
        (..., 2) pixels; NaN for the camera's own place and for points straight behind it.
    """
    xyz = np.asarray(points, dtype=np.float64)
    across = np.linalg.norm(xyz[..., :2], axis=-1)
    theta = np.arctan2(across, xyz[..., 2])
    radius = radius_over_focal(theta, kind, distortion)
    # On the axis there is no direction, and none is needed.
    on_axis = np.where(xyz[..., 2] > 0, 0.0, np.nan)
    per_unit = np.where(across > _TINY, radius / np.maximum(across, _TINY), on_axis)
    seen = xyz[..., :2] * per_unit[..., None]
    return np.asarray(seen * scale(focal_px, pixel_aspect) + np.asarray(center_px))


def rays(
    points_px: npt.ArrayLike,
    focal_px: float,
    center_px: npt.ArrayLike,
    kind: str,
    distortion: tuple[float, ...] = lenses.NONE,
    *,
    pixel_aspect: float = 1.0,
) -> FloatArray:
    """Unit viewing directions of (..., 2) pixels, the inverse of `project`."""
    away = np.asarray(points_px, dtype=np.float64) - np.asarray(center_px)
    offset = away / scale(focal_px, pixel_aspect)
    radius = np.linalg.norm(offset, axis=-1)
    theta = np.minimum(theta_rad(radius, kind, distortion), _STEEPEST_RAD)
    across = np.where(radius > _TINY, np.sin(theta) / np.maximum(radius, _TINY), 1.0)
    return np.concatenate([offset * across[..., None], np.cos(theta)[..., None]], axis=-1)


@lru_cache(maxsize=64)
def _curve(distortion: tuple[float, ...]) -> lenses.Curve:
    return lenses.curve_of((1.0, *distortion), (1.0,), math.pi)
