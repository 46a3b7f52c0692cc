"""Panoramas: how pictures on a cylinder or a sphere map rays to pixels.

Both hold equal angles around the camera's y axis in equal numbers of columns, `focal_px` pixels per radian.
A row of a cylindrical picture is the tangent of the elevation, a row of an equirectangular one the angle
itself (Szeliski, Computer Vision, 2nd edition, section 8.2.6). A row of a Mercator picture is the inverse
hyperbolic sine of the tangent, so that shapes stay as they are and only their size changes (Snyder, Map
Projections, 1987, section 7).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from optim.projection import FloatArray

CYLINDRICAL, EQUIRECTANGULAR, MERCATOR = "cylindrical", "equirectangular", "mercator"
KINDS = (CYLINDRICAL, EQUIRECTANGULAR, MERCATOR)
_MIN_REACH = 1e-9  # points nearer to the axis have no direction
_POLE_ROW = 30.0  # radians; rows of a Mercator picture beyond are taken as the pole
_STEEPEST_RAD = math.radians(89.9)  # rows beyond are taken as the pole


def project(
    points: npt.ArrayLike, focal_px: float, center_px: npt.ArrayLike, kind: str
) -> FloatArray:
    """Pixels of points in the camera frame, wherever around the camera they are.

    Args:
        points: (..., 3), any length unit; focal_px: pixels per radian around the axis.
        center_px: (2,) pixel of the ray straight ahead; kind: one of `KINDS`.

    Returns:
        (..., 2) pixels within half a turn of the centre; NaN for points on the axis.
    """
    x, y, z = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
    reach = np.hypot(x, z)
    reach = np.where(reach > _MIN_REACH, reach, np.nan)
    row = np.arctan2(y, reach) if kind == EQUIRECTANGULAR else y / reach
    if kind == MERCATOR:
        row = np.arcsinh(row)
    column = np.where(np.isnan(reach), np.nan, np.arctan2(x, z))
    return np.asarray(np.stack([column, row], axis=-1) * focal_px + np.asarray(center_px))


def rays(
    points_px: npt.ArrayLike, focal_px: float, center_px: npt.ArrayLike, kind: str
) -> FloatArray:
    """Unit viewing directions of (..., 2) pixels, the inverse of `project`."""
    offset = (np.asarray(points_px, dtype=np.float64) - np.asarray(center_px)) / focal_px
    azimuth, row = offset[..., 0], offset[..., 1]
    if kind == EQUIRECTANGULAR:
        elevation = np.clip(row, -_STEEPEST_RAD, _STEEPEST_RAD)
    else:
        steep = np.sinh(np.clip(row, -_POLE_ROW, _POLE_ROW)) if kind == MERCATOR else row
        elevation = np.arctan(steep)
    level = np.cos(elevation)
    return np.stack([np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level], axis=-1)
