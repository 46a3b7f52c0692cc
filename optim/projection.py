"""How a perspective camera maps rays to pixels; `optim.lens` bends them.

`optim.panorama` and `optim.fisheye` are other projections.

Pixels: origin at the top-left corner of the picture, u right, v down; the centre of the first
pixel is (0.5, 0.5). Camera frame: x right, y down, z forward.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from optim import lens as lenses

FloatArray = npt.NDArray[np.float64]


def project(
    points: npt.ArrayLike,
    focal_px: float,
    center_px: npt.ArrayLike,
    distortion: tuple[float, ...] = lenses.NONE,
    *,
    pixel_aspect: float = 1.0,
) -> FloatArray:
    """Pixels of points in the camera frame.

    Args:
        points: (..., 3), any length unit.
        focal_px: focal length in pixels, across the picture.
        center_px: (2,) principal point.
        distortion: coefficients of the lens, see `optim.lens`; two are radial: r_d = r (1 + k1 r^2 + k2 r^4).
        pixel_aspect: focal length down the picture over that across it.

    Returns:
        (..., 2) pixels; NaN for points that are not in front of the camera.
    """
    seen = lenses.to_picture(np.asarray(points, dtype=np.float64), distortion)
    return np.asarray(seen * scale(focal_px, pixel_aspect) + np.asarray(center_px, np.float64))


def rays(
    points_px: npt.ArrayLike,
    focal_px: float,
    center_px: npt.ArrayLike,
    distortion: tuple[float, ...] = lenses.NONE,
    *,
    pixel_aspect: float = 1.0,
) -> FloatArray:
    """Unit viewing directions of pixels, the inverse of `project`.

    Args:
        points_px: (..., 2) pixels.

    Returns:
        (..., 3) unit vectors in the camera frame.
    """
    away = np.asarray(points_px, dtype=np.float64) - np.asarray(center_px, np.float64)
    return lenses.to_rays(away / scale(focal_px, pixel_aspect), distortion)


def scale(focal_px: float, pixel_aspect: float) -> FloatArray:
    """(2,) focal lengths across and down the picture."""
    return np.array([focal_px, focal_px * pixel_aspect])
