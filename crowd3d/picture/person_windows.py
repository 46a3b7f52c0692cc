"""Inputs of the crop networks: an upright window around each person, with their 2D and 3D pose in it."""

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
from tiling import Picture, Tile

FloatArray = npt.NDArray[np.float64]

MIN_SCORE = 0.1  # keypoints with a lower score are not shown to the network
MIN_SEEN = 4  # people with fewer shown keypoints are not shown to a network
_MARGIN = 1.3  # height of the window over the extent of the keypoints
_LEAST_PX = 4.0  # smallest such extent, in picture pixels


@dataclass(frozen=True)
class PersonWindow(Upright):
    """Upright windows of a virtual camera into which rays and 3D points can be projected, too."""

    def axes(self, tile: Tile) -> FloatArray:
        """(3, 3) right, down and forward axes of the virtual camera, as rows, in the camera frame."""
        return self._virtual(tile)[1]

    def height_m(self, tile: Tile, point_m: FloatArray) -> float:
        """Height of the window in metres at the depth of a point (3,) in the camera frame."""
        _, axes, focal = self._virtual(tile)
        return float(tile.out_h * (axes[2] @ point_m) / focal)

    def depth_m(self, tile: Tile, height_m: float) -> float:
        """The inverse of `height_m`: depth along the window's axis where the window is that high."""
        return height_m * self._virtual(tile)[2] / tile.out_h

    def from_points(self, tile: Tile, points_m: FloatArray) -> FloatArray:
        """Points or rays (..., 3) in the camera frame -> (..., 3) x, y in window pixels, and depth."""
        _, axes, focal = self._virtual(tile)
        seen = points_m @ axes.T
        depth = np.maximum(seen[..., 2:], 0.05 * np.linalg.norm(seen, axis=-1, keepdims=True))
        pixels = seen[..., :2] / np.maximum(depth, 1e-9) * focal + (tile.out_w / 2, tile.out_h / 2)
        return np.concatenate([pixels, seen[..., 2:]], axis=-1)


@dataclass(frozen=True)
class CropInputs:
    """N people as input of `CrowdNetS`, and the rotations that lead back to the camera frame.

    Attributes:
        keypoints: (N, 17, 3) window pixels and score; all 0 for keypoints that are not shown.
        joints: (N, 24, 3) window pixels and depth behind the pelvis in metres.
        fisher: (N, 24, 3, 3) matrix-Fisher parameters, the root in the upright frame.
        elevation: (N,) radians, of the window's axis, see `crowd3d.maths.upright`.
        R_upright_cam: (N, 3, 3) rotations from the camera frame to each upright frame.
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
    """(N,) whether at least `MIN_SEEN` keypoints of each 2D pose (N, 17, 3) can be shown."""
    return np.asarray((keypoints_px[..., 2] > MIN_SCORE).sum(axis=1) >= MIN_SEEN)


def window_of(fitted: Fitted, plane: int) -> PersonWindow:
    """Windows for the people who stand on the plane with that index."""
    x, y, z = (float(v) for v in fitted.planes[plane].normal)
    return PersonWindow(fitted.camera, (x, y, z))


def read_crops(source: Picture, people: People, fitted: Fitted) -> tuple[Pixels, list[Tile]]:
    """Pixels (N, H, W, 3) RGB of everybody's window, and the tiles that say where the windows lie."""
    tiles = [tile_of_pose(row) for row in people.keypoints_px]
    return read_windows(source, people.plane, tiles, fitted), tiles


def read_windows(
    source: Picture, plane: npt.NDArray[np.int64], tiles: Sequence[Tile], fitted: Fitted
) -> Pixels:
    """Pixels (N, H, W, 3) RGB of given windows, each around a person on the plane with index `plane` (N,)."""
    views = [window_of(fitted, k) for k in plane]
    pixels = [view.read(source, tile) for view, tile in zip(views, tiles, strict=True)]
    return np.array(pixels, np.uint8).reshape(-1, CROP_H, CROP_W, 3)


def crop_inputs(
    people: People, tiles: Sequence[Tile], fitted: Fitted, body: BodyModel
) -> CropInputs:
    """The 2D pose and the 3D pose of everybody, in their windows."""
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(people.pose)).float()
    with torch.inference_mode():
        betas, transl = (torch.from_numpy(a).float() for a in (people.betas, people.transl_m))
        joints_m = body.joints_only(rotations, betas, transl).double().numpy()
    told = window_poses(people.keypoints_px, people.plane, tiles, fitted)
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


class WindowPoses(NamedTuple):
    """2D poses in windows; the fields are those of `CropInputs`."""

    keypoints: Tensor
    elevation: Tensor
    R_upright_cam: Tensor


def window_poses(
    keypoints_px: FloatArray,
    plane: npt.NDArray[np.int64],
    tiles: Sequence[Tile],
    fitted: Fitted,
) -> WindowPoses:
    """2D poses in windows, from 2D poses (N, 17, 3) in the picture and everybody's plane index (N,)."""
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
    return WindowPoses(torch.from_numpy(keypoints).float(), elevation.float(), turn)
