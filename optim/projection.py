"""How a camera maps rays to pixels: the only formulas that know the projection.

Pixels: origin at the top-left corner of the picture, u right, v down; the centre of the first
pixel is (0.5, 0.5). Camera frame: x right, y down, z forward.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MIN_DEPTH = 1e-9  # points nearer the principal plane than this have no pixel
_UNDISTORT_ITERATIONS = 12  # Newton; more than enough for 1e-12 with any real lens
# Least slope of Newton's method: beyond the radius where a lens model folds back there is no solution.
_MIN_SLOPE = 0.1
_TINY = 1e-12


def project(
    points: npt.ArrayLike,
    focal_px: float,
    center_px: npt.ArrayLike,
    distortion: tuple[float, float] = (0.0, 0.0),
) -> FloatArray:
    """Pixels of points in the camera frame.

    Args:
        points: (..., 3), any length unit.
        focal_px: focal length in pixels.
        center_px: (2,) principal point.
        distortion: radial (k1, k2): r_d = r (1 + k1 r^2 + k2 r^4), r in focal lengths (Brown 1966).

    Returns:
        (..., 2) pixels; NaN for points that are not in front of the camera.
    """
    xyz = np.asarray(points, dtype=np.float64)
    depth = np.where(xyz[..., 2:3] > MIN_DEPTH, xyz[..., 2:3], np.nan)
    normalised = xyz[..., :2] / depth
    radius2 = np.sum(normalised**2, axis=-1, keepdims=True)
    normalised = normalised * (1.0 + radius2 * (distortion[0] + distortion[1] * radius2))
    return np.asarray(normalised * focal_px + np.asarray(center_px, dtype=np.float64))


def rays(
    points_px: npt.ArrayLike,
    focal_px: float,
    center_px: npt.ArrayLike,
    distortion: tuple[float, float] = (0.0, 0.0),
) -> FloatArray:
    """Unit viewing directions of pixels, the inverse of `project`.

    Args:
        points_px: (..., 2) pixels.

    Returns:
        (..., 3) unit vectors in the camera frame.
    """
    distorted = (np.asarray(points_px, dtype=np.float64) - np.asarray(center_px)) / focal_px
    normalised = distorted
    if any(distortion):
        seen = np.linalg.norm(distorted, axis=-1, keepdims=True)
        normalised = distorted * (_undistorted_radius(seen, distortion) / np.maximum(seen, _TINY))
    directions = np.concatenate([normalised, np.ones_like(normalised[..., :1])], axis=-1)
    return np.asarray(directions / np.linalg.norm(directions, axis=-1, keepdims=True))


def _undistorted_radius(seen: FloatArray, distortion: tuple[float, float]) -> FloatArray:
    """r with r (1 + k1 r^2 + k2 r^4) = seen, by Newton's method."""
    k1, k2 = distortion
    radius = seen
    for _ in range(_UNDISTORT_ITERATIONS):
        square = radius**2
        excess = radius * (1.0 + square * (k1 + k2 * square)) - seen
        slope = 1.0 + square * (3 * k1 + 5 * k2 * square)
        radius = radius - excess / np.maximum(slope, _MIN_SLOPE)
    return radius
