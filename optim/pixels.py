"""Pixels and rays of a picture of any projection."""

from __future__ import annotations

import numpy.typing as npt

from optim import fisheye, panorama, projection
from optim import lens as lenses
from optim.projection import FloatArray

PERSPECTIVE = "perspective"
PROJECTIONS = (PERSPECTIVE, *panorama.KINDS, *fisheye.KINDS)


def project(
    points: npt.ArrayLike,
    focal_px: float,
    center_px: npt.ArrayLike,
    kind: str,
    distortion: tuple[float, ...] = lenses.NONE,
    pixel_aspect: float = 1.0,
) -> FloatArray:
    """(..., 2) pixels of points (..., 3) in the camera frame; arguments as for `rays`."""
    if kind in panorama.KINDS:
        return panorama.project(points, focal_px, center_px, kind)
    if kind in fisheye.KINDS:
        return fisheye.project(
            points, focal_px, center_px, kind, distortion, pixel_aspect=pixel_aspect
        )
    return projection.project(points, focal_px, center_px, distortion, pixel_aspect=pixel_aspect)


def rays(
    points_px: npt.ArrayLike,
    focal_px: float,
    center_px: npt.ArrayLike,
    kind: str,
    distortion: tuple[float, ...] = lenses.NONE,
    pixel_aspect: float = 1.0,
) -> FloatArray:
    """(..., 3) unit viewing directions of pixels (..., 2) in a picture of one of `PROJECTIONS`.

    Args:
        focal_px, center_px, distortion, pixel_aspect: as of that projection's module; panoramas have no lens.
    """
    if kind in panorama.KINDS:
        return panorama.rays(points_px, focal_px, center_px, kind)
    if kind in fisheye.KINDS:
        return fisheye.rays(
            points_px, focal_px, center_px, kind, distortion, pixel_aspect=pixel_aspect
        )
    return projection.rays(points_px, focal_px, center_px, distortion, pixel_aspect=pixel_aspect)
