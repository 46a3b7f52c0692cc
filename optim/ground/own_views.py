"""People of a panorama or a fisheye picture, each in a perspective view of their own.

The view of a cylinder or a sphere only turns about the camera's axis. Those of pictures that also show people
from straight above, Mercator and fisheye, look at the person; then nobody is far off the axis.
"""

from __future__ import annotations

import numpy as np

from optim import fisheye, panorama, pixels
from optim import lens as lenses
from optim.ground.sticks import OwnViews
from optim.projection import FloatArray

_MIN_COS = 0.05  # a point more than 87 degrees off a view's axis is not in it


def in_own_views(
    keypoints: FloatArray,
    focal_px: float,
    center_px: FloatArray,
    kind: str,
    distortion: tuple[float, ...] = lenses.NONE,
    pixel_aspect: float = 1.0,
) -> tuple[FloatArray, OwnViews]:
    """Keypoints as perspective cameras of the same focal length would see them that face each person.

    Args:
        keypoints: (N, 17, 3) pixels of the picture and score, NaN where there is none.
        focal_px: pixels per radian; center_px: (2,) pixel straight ahead; kind: of the picture.
        distortion, pixel_aspect: of a fisheye.

    Returns:
        (N, 17, 3), each view's principal point in the column that it faces, so that people keep their
        places in the picture up to the bending; the views.
    """
    rays = pixels.rays(keypoints[..., :2], focal_px, center_px, kind, distortion, pixel_aspect)
    finite = np.asarray(np.isfinite(rays).all(axis=-1))
    facing = np.where(finite[..., None], rays, 0.0).sum(axis=1)
    seen = np.maximum(finite.sum(axis=1), 1)[:, None]
    place = np.where(finite[..., None], keypoints[..., :2], 0.0).sum(axis=1) / seen
    if kind in fisheye.KINDS:
        turn, centers = _shortest_turns(facing), place
    else:
        azimuth = np.arctan2(facing[:, 0], facing[:, 2])
        about = (place[:, 0] - center_px[0]) / focal_px
        azimuth += 2 * np.pi * np.round((about - azimuth) / (2 * np.pi))
        turn = _turns(azimuth)
        centers = np.stack(
            [center_px[0] + focal_px * azimuth, np.full(len(azimuth), center_px[1])], axis=1
        )
        if kind == panorama.MERCATOR:
            turn = _tilts(facing) @ turn
            centers[:, 1] = place[:, 1]
    own = np.einsum("nij,nkj->nki", turn, rays)
    depth = np.where(own[..., 2:] > _MIN_COS, own[..., 2:], np.nan)
    own_px = own[..., :2] / depth * focal_px + centers[:, None]
    return np.concatenate([own_px, keypoints[..., 2:]], axis=-1), OwnViews(centers, turn)


def _turns(azimuth: FloatArray) -> FloatArray:
    """(N, 3, 3) turns about the axis, from the camera frame to views that look that way."""
    sine, cosine, zero = np.sin(azimuth), np.cos(azimuth), np.zeros(len(azimuth))
    axes = [[cosine, zero, -sine], [zero, zero + 1, zero], [sine, zero, cosine]]
    return np.moveaxis(np.array(axes), -1, 0)


def _tilts(facing: FloatArray) -> FloatArray:
    """(N, 3, 3) tilts, from views that look level to views whose axis falls like the rays (N, 3)."""
    fall = np.arctan2(facing[:, 1], np.hypot(facing[:, 0], facing[:, 2]))
    sine, cosine, zero = np.sin(fall), np.cos(fall), np.zeros(len(fall))
    axes = [[zero + 1, zero, zero], [zero, cosine, -sine], [zero, sine, cosine]]
    return np.moveaxis(np.array(axes), -1, 0)


def _shortest_turns(facing: FloatArray) -> FloatArray:
    """(N, 3, 3) the shortest turns that bring rays (N, 3) onto the optical axis (Rodrigues' formula)."""
    length = np.linalg.norm(facing, axis=1, keepdims=True)
    x, y, z = (facing / np.where(length > 0, length, 1.0)).T
    share = 1 / np.maximum(1 + z, 1e-6)
    rows = [
        [1 - x * x * share, -x * y * share, -x],
        [-x * y * share, 1 - y * y * share, -y],
        [x, y, z],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
