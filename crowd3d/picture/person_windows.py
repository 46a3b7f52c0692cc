"""What a crop network is shown of each person: an upright window around them, and both poses in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import roma
import torch
from torch import Tensor

from crowd3d.body import BodyModel
from crowd3d.maths.upright import to_upright
from crowd3d.models.crowdnet_s import CROP_H, CROP_W
from crowd3d.picture.windows import Pixels, Upright
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import People
from tiling import ImageSource, Tile

FloatArray = npt.NDArray[np.float64]

MIN_SCORE = 0.1  # of a keypoint that is shown
MIN_SEEN = 4  # keypoints of somebody of whom a network is asked
_MARGIN = 1.3  # window over the extent of the keypoints
_LEAST_PX = 4.0


@dataclass(frozen=True)
class PersonWindow(Upright):
    """An upright window that also knows where a ray falls in it."""

    def axes(self, tile: Tile) -> FloatArray:
        """(3, 3) right, down and forward of the virtual camera, as rows, in the camera's frame."""
        return self._virtual(tile)[1]

    def height_m(self, tile: Tile, point_m: FloatArray) -> float:
        """What the window measures from top to bottom at the depth of a point (3,), in metres."""
        _, axes, focal = self._virtual(tile)
        return float(tile.out_h * (axes[2] @ point_m) / focal)

    def depth_m(self, tile: Tile, height_m: float) -> float:
        """The way back of `height_m`: how far along the window's axis it measures so much."""
        return height_m * self._virtual(tile)[2] / tile.out_h

    def from_points(self, tile: Tile, points_m: FloatArray) -> FloatArray:
        """Points or rays (..., 3) in the camera frame -> x, y in the window's pixels, and depth."""
        _, axes, focal = self._virtual(tile)
        seen = points_m @ axes.T
        depth = np.maximum(seen[..., 2:], 0.05 * np.linalg.norm(seen, axis=-1, keepdims=True))
        pixels = seen[..., :2] / np.maximum(depth, 1e-9) * focal + (tile.out_w / 2, tile.out_h / 2)
        return np.concatenate([pixels, seen[..., 2:]], axis=-1)


@dataclass(frozen=True)
class CropInputs:
    """N people as `CrowdNetS` takes them, and the way back.

    Attributes:
        keypoints: (N, 17, 3) window pixels and score, 0 for what is not seen.
        joints: (N, 24, 3) window pixels and depth behind the pelvis in metres.
        fisher: (N, 24, 3, 3) with the root in the upright frame.
        elevation: (N,) radians.
        R_upright_cam: (N, 3, 3).
    """

    keypoints: Tensor
    joints: Tensor
    fisher: Tensor
    elevation: Tensor
    R_upright_cam: Tensor


def tile_of_pose(keypoints_px: FloatArray, size: tuple[int, int] = (CROP_W, CROP_H)) -> Tile:
    """The window around one person's seen keypoints (17, 3); `size` is its width and height in pixels."""
    seen = keypoints_px[:, 2] > MIN_SCORE
    places = keypoints_px[seen if seen.any() else slice(None), :2]
    low, high = places.min(axis=0), places.max(axis=0)
    w, h = size
    tall = _MARGIN * max(high[1] - low[1], (high[0] - low[0]) * h / w, _LEAST_PX)
    wide = tall * w / h
    left, top = (low + high) / 2 - (wide / 2, tall / 2)
    return Tile(left, top, wide, tall, w, h, 0, 0, (tall, tall))


def shows_enough(keypoints_px: FloatArray) -> npt.NDArray[np.bool_]:
    """(N,) of whose 2D poses (N, 17, 3) at least `MIN_SEEN` keypoints are shown."""
    return np.asarray((keypoints_px[..., 2] > MIN_SCORE).sum(axis=1) >= MIN_SEEN)


def window_of(fitted: Fitted, plane: int) -> PersonWindow:
    """Windows of people who stand on a plane."""
    x, y, z = (float(v) for v in fitted.planes[plane].normal)
    return PersonWindow(fitted.camera, (x, y, z))


def read_crops(source: ImageSource, people: People, fitted: Fitted) -> tuple[Pixels, list[Tile]]:
    """Everybody's window (N, H, W, 3) RGB, and where it lies."""
    tiles = [tile_of_pose(row) for row in people.keypoints_px]
    return read_windows(source, people.plane, tiles, fitted), tiles


def read_windows(
    source: ImageSource, plane: npt.NDArray[np.int64], tiles: Sequence[Tile], fitted: Fitted
) -> Pixels:
    """The given windows (N, H, W, 3) RGB about people on planes (N,)."""
    views = [window_of(fitted, k) for k in plane]
    pixels = [view.read(source, tile) for view, tile in zip(views, tiles, strict=True)]
    return np.array(pixels, np.uint8).reshape(-1, CROP_H, CROP_W, 3)


def crop_inputs(
    people: People, tiles: Sequence[Tile], fitted: Fitted, body: BodyModel
) -> CropInputs:
    """Both poses of everybody in their windows."""
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(people.pose)).float()
    with torch.inference_mode():
        betas, transl = (torch.from_numpy(a).float() for a in (people.betas, people.transl_m))
        joints_m = body.joints_only(rotations, betas, transl).double().numpy()
    told = told_poses(people.keypoints_px, people.plane, tiles, fitted)
    joints = np.zeros((len(people), 24, 3))
    for i, tile in enumerate(tiles):
        joints[i] = window_of(fitted, people.plane[i]).from_points(tile, joints_m[i])
    joints[..., 2] -= joints[:, :1, 2]
    fisher = torch.from_numpy(people.fisher).clone()
    fisher[:, 0] = told.R_upright_cam @ fisher[:, 0]
    return CropInputs(
        told.keypoints,
        torch.from_numpy(joints).float(),
        fisher.float(),
        told.elevation,
        told.R_upright_cam,
    )


class Told(NamedTuple):
    """2D poses in windows: as in `CropInputs`."""

    keypoints: Tensor
    elevation: Tensor
    R_upright_cam: Tensor


def told_poses(
    keypoints_px: FloatArray,
    plane: npt.NDArray[np.int64],
    tiles: Sequence[Tile],
    fitted: Fitted,
) -> Told:
    """2D poses (N, 17, 3) of people on planes (N,) in their windows."""
    rays = fitted.camera.rays(keypoints_px[..., :2])
    n = len(keypoints_px)
    keypoints, forward = np.zeros((n, 17, 3)), np.zeros((n, 1, 3))
    for i, tile in enumerate(tiles):
        view = window_of(fitted, plane[i])
        forward[i, 0] = view.axes(tile)[2]
        keypoints[i, :, :2] = view.from_points(tile, rays[i])[:, :2]
    inside = ((keypoints[..., :2] >= 0) & (keypoints[..., :2] < (CROP_W, CROP_H))).all(axis=-1)
    score = keypoints_px[..., 2]
    keypoints[..., 2] = np.where(inside & (score > MIN_SCORE), score, 0.0)
    keypoints[keypoints[..., 2] == 0] = 0
    normals = np.array([plane.normal for plane in fitted.planes]).reshape(-1, 3)[plane]
    _, elevation, turn = to_upright(forward, np.ones((n, 1)), normals)
    return Told(torch.from_numpy(keypoints).float(), elevation.float(), turn)
