"""People of a panorama, each in a perspective view of their own that only turns about the camera's axis."""

from __future__ import annotations

import numpy as np

from optim import panorama
from optim.ground.sticks import OwnViews
from optim.projection import FloatArray

_MIN_COS = 0.05  # a point more than 87 degrees off a view's axis is not in it


def in_own_views(
    keypoints: FloatArray, focal_px: float, center_px: FloatArray, kind: str
) -> tuple[FloatArray, OwnViews]:
    """Keypoints as perspective cameras of the same focal length would see them that face each person.

    Args:
        keypoints: (N, 17, 3) panorama pixels and score, NaN where there is none.
        focal_px: pixels per radian; center_px: (2,) pixel straight ahead; kind: of the panorama.

    Returns:
        (N, 17, 3), each view's principal point in the column that it faces, so that people keep their
        places in the picture up to the bending; the views.
    """
    rays = panorama.rays(keypoints[..., :2], focal_px, center_px, kind)
    finite = np.asarray(np.isfinite(rays).all(axis=-1))
    facing = np.where(finite[..., None], rays, 0.0).sum(axis=1)
    column = np.where(finite, keypoints[..., 0], 0.0).sum(axis=1) / np.maximum(
        finite.sum(axis=1), 1
    )
    azimuth = np.arctan2(facing[:, 0], facing[:, 2])
    seen = (column - center_px[0]) / focal_px
    azimuth += 2 * np.pi * np.round((seen - azimuth) / (2 * np.pi))
    sine, cosine, zero = np.sin(azimuth), np.cos(azimuth), np.zeros(len(azimuth))
    axes = [[cosine, zero, -sine], [zero, zero + 1, zero], [sine, zero, cosine]]
    turn = np.moveaxis(np.array(axes), -1, 0)
    own = np.einsum("nij,nkj->nki", turn, rays)
    depth = np.where(own[..., 2:] > _MIN_COS, own[..., 2:], np.nan)
    centers = np.stack([center_px[0] + focal_px * azimuth, zero + center_px[1]], axis=1)
    pixels = own[..., :2] / depth * focal_px + centers[:, None]
    return np.concatenate([pixels, keypoints[..., 2:]], axis=-1), OwnViews(centers, turn)
