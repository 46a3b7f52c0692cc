"""The photograph as it lies on the ground: one texture for a piece of ground, seen from straight above."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.ground_mesh import GroundMesh

Picture = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

_LONGEST_PX = 2048
_ROWS_AT_ONCE = 256
_UNSEEN = (128, 128, 128)
_NOWHERE_PX = -10.0  # outside of any picture


def ground_photo(mesh: GroundMesh, camera: Camera, picture_rgb: Picture) -> Picture:
    """(h, w, 3) uint8 RGB: x right, ahead up, grey where the photograph does not show the ground.

    What hides the ground, people above all, lies flat on it.

    Args:
        picture_rgb: (H, W, 3) the photograph, or a smaller version of it.
    """
    span_m = np.linalg.norm(mesh.vertices_m[[0, -1], [-1, 0]] - mesh.vertices_m[0, 0], axis=1)
    width, height = np.maximum(np.rint(_LONGEST_PX * span_m / span_m.max()), 1).astype(int)
    scale = np.array([picture_rgb.shape[1] / camera.width, picture_rgb.shape[0] / camera.height])
    rows, columns = mesh.vertices_m.shape[:2]
    across = _between(columns, width)
    up = _between(rows, height)[::-1]
    photo = np.empty((height, width, 3), np.uint8)
    for start in range(0, height, _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        points = np.einsum("hr,rcx,wc->hwx", up[part], mesh.vertices_m, across, optimize=True)
        at = camera.project(points) * scale - 0.5  # of pixel centres
        at = np.clip(np.nan_to_num(at, nan=_NOWHERE_PX), _NOWHERE_PX, 1e5).astype(np.float32)
        photo[part] = cv2.remap(
            picture_rgb,
            at[..., 0],
            at[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=_UNSEEN,
        )
    return photo


def _between(corners: int, texels: int) -> FloatArray:
    """(texels, corners) shares of evenly spaced corners in the centres of texels between first and last."""
    at = (np.arange(texels) + 0.5) / texels * (corners - 1)
    return np.maximum(1.0 - np.abs(at[:, None] - np.arange(corners)), 0.0)
