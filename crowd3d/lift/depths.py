"""Estimated depths: how far away people are, judged by their size in the picture.

`crowd3d.lift.box_depth` has the formula: depth = gamma k, where k follows from the box and gamma from the real
extent of the person in the box. There are three estimators. The body fitted to the keypoints gives the extent
from its pose. RootNet estimates gamma from the crop. rootnet-s estimates the height of the crop in metres. All
depths are divided by the focal length, so the focal length need not be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from crowd3d import models
from crowd3d.lift.box_depth import gamma_of_extent, k_m
from crowd3d.models.crowd3ds import Crowd3dS
from crowd3d.models.crowdnet_s import pyramid
from crowd3d.models.rootnet import INPUT_PX, Root
from crowd3d.models.rootnet_s import RootNetS
from crowd3d.picture import person_windows
from crowd3d.picture.crops import Crops, boxes_of_people
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from tiling import Tile

FloatArray = npt.NDArray[np.float64]

# Standard deviations of the logarithm of the depth. From bodies: median error 0.08 and root mean square 0.105
# over 261 people found in renders (constant gamma: 0.08 and 0.145). RootNet: its published error on people in
# the wild.
BODY_LOG_SD, ROOTNET_LOG_SD = 0.10, 0.10
_BORDER_PX = 2.0  # a box that ends so near the picture's border may continue beyond it
# Standard deviation over scale of Student's t with the 5 degrees of freedom of rootnet-s.
_T_SD = 1.29
_BATCH = 32
# A depth that differs by more than this is probably of another person's size and counts less.
_MOST_SD = 3.0


@dataclass(frozen=True)
class Depths:
    """Estimated depths, one row per person.

    Attributes:
        over_focal: (N,) metres of depth per pixel of focal length; NaN if unknown.
        log_sd: (N,) standard deviation of its logarithm.
        is_new: whether the depths come from pixels, not only from the body fit. Only then are they independent
            of the place that the body fit gives, and may be combined with it.
    """

    over_focal: FloatArray
    log_sd: FloatArray
    is_new: bool

    def filter(self, rows: npt.NDArray[np.int64]) -> Depths:
        """The depths of the people that an index array selects, in that order."""
        return Depths(self.over_focal[rows], self.log_sd[rows], self.is_new)


def extents_m(vertices_m: FloatArray, box_px: FloatArray, camera: Camera) -> FloatArray:
    """(N,) extents in metres of bodies along the longer side of their boxes, seen along the boxes' rays.

    Args:
        vertices_m: (N, V, 3) turned into the camera frame, any origin; box_px: (N, 4) xyxy.
    """
    ray = camera.rays((box_px[:, :2] + box_px[:, 2:]) / 2)
    ray = ray / ray[:, 2:]
    across = vertices_m[..., :2] - ray[:, None, :2] * vertices_m[..., 2:]
    return np.asarray(np.ptp(across, axis=1).max(axis=1))


def depths_of_bodies(vertices_m: FloatArray, people: Detections, camera: Camera) -> Depths:
    """Depths from the bodies fitted to people's keypoints; `vertices_m` as for `extents_m`.

    The depth is unknown if the picture's border cuts the person, because then the box does not show the whole
    body.
    """
    limit = np.array([camera.width, camera.height]) - _BORDER_PX
    whole = (people.box_px[:, :2] > _BORDER_PX).all(axis=1) & (people.box_px[:, 2:] < limit).all(
        axis=1
    )
    extent = extents_m(vertices_m, people.box_px, camera)
    gamma = np.where(whole, gamma_of_extent(extent), np.nan)
    return _depths(gamma, people, (camera.width, camera.height), BODY_LOG_SD, is_new=False)


def depths_of_rootnet(people: Detections, crops: Crops) -> Depths:
    """Depths from RootNet, which sees the crop of every person.

    Raises:
        ModelError: its weights are not installed.
    """
    network = models.shared("rootnet")
    boxes, rows = boxes_of_people(people.box_px, crops.size_px)

    def gamma_of(root: Root) -> FloatArray:
        return np.asarray(root.gamma.double().cpu().numpy())

    gamma = np.full(len(people), np.nan)
    gamma[rows] = np.concatenate([np.zeros(0), *crops.ask(network, boxes, INPUT_PX, gamma_of)])
    return _depths(gamma, people, crops.size_px, ROOTNET_LOG_SD, is_new=True)


def depths_of_rootnet_s(people: Detections, fitted: Fitted, crops: Crops) -> Depths:
    """Depths from rootnet-s, which gives the height in metres of each person's upright window.

    Unknown for people with too few keypoints and for people outside the picture.

    Raises:
        ModelError: its weights are not installed.
    """
    network = cast(RootNetS, models.shared("rootnet-s"))
    trunk = cast(Crowd3dS, models.shared("crowd3d-s")).trunk
    rows = boxes_of_people(people.box_px, crops.size_px)[1]
    rows = rows[person_windows.shows_enough(people.keypoints_px[rows])]
    over_focal, log_sd = np.full(len(people), np.nan), np.full(len(people), ROOTNET_LOG_SD)
    for part in (rows[i : i + _BATCH] for i in range(0, len(rows), _BATCH)):
        poses, plane = people.keypoints_px[part], np.zeros(len(part), np.int64)
        tiles = [person_windows.tile_of_pose(pose) for pose in poses]
        pixels = person_windows.read_windows(crops.source, plane, tiles, fitted)
        told = person_windows.window_poses(poses, plane, tiles, fitted)
        with torch.inference_mode():
            maps = pyramid(trunk, torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
            extent = network(maps, told.keypoints, told.elevation)
        height_m = extent.log_m.exp().double().numpy()
        over_focal[part] = _along_axis(height_m, people.box_px[part], tiles, fitted)
        log_sd[part] = _T_SD * extent.log_sd.double().numpy()
    return Depths(over_focal, log_sd, is_new=True)


def _along_axis(
    height_m: FloatArray, box_px: FloatArray, tiles: Sequence[Tile], fitted: Fitted
) -> FloatArray:
    """(N,) depth over focal length at the middle of each box, from the height (N,) of its window in metres."""
    camera, view = fitted.camera, person_windows.window_of(fitted, 0)
    rays = camera.rays((box_px[:, :2] + box_px[:, 2:]) / 2)
    depth = [view.depth_m(tile, h) for tile, h in zip(tiles, height_m, strict=True)]
    ahead = [view.axes(tile)[2] @ ray for tile, ray in zip(tiles, rays, strict=True)]
    return np.asarray(np.array(depth) / np.array(ahead) * rays[:, 2] / camera.focal_px)


def _depths(
    gamma: FloatArray, people: Detections, size_px: tuple[int, int], log_sd: float, is_new: bool
) -> Depths:
    boxes, rows = boxes_of_people(people.box_px, size_px)
    over_focal = np.full(len(people), np.nan)
    over_focal[rows] = k_m(boxes, 1.0) * gamma[rows]
    over_focal[~(over_focal > 0)] = np.nan
    return Depths(over_focal, np.full(len(people), log_sd), is_new)


def weighed_places(
    feet_m: FloatArray,
    covariance_m2: FloatArray,
    torso_m: FloatArray,
    depths: Depths,
    focal_px: float,
) -> tuple[FloatArray, FloatArray]:
    """Combine places on the ground with estimated depths, by a Kalman update in log depth.

    The ground gives each place with a covariance, the size in the picture gives a depth with a variance. Both
    are weighted by their information. So far people, whose place on the ground is least certain, move most.

    Args:
        feet_m: (N, 3) foot points on the ground; covariance_m2: (N, 3, 3) their covariances.
        torso_m: (N, 3) torso centres above them.
        depths: estimated depths; NaN moves nobody.
        focal_px: focal length of the camera.

    Returns:
        (N, 3) moves in metres, zero if the depth is unknown; (N, 3, 3) covariances after the update.
    """
    known = np.isfinite(depths.over_focal) & (torso_m[:, 2] > 0)
    judged = np.where(known, depths.over_focal, 1.0) * focal_px
    seen = np.where(known, torso_m[:, 2], judged)
    innovation = np.log(judged / seen)
    slope = np.where(known, 1 / seen, 0.0)
    toward = covariance_m2[:, :, 2] * slope[:, None]  # covariance of foot and log depth
    total = toward[:, 2] * slope + depths.log_sd**2
    gain = toward / total[:, None]
    excess = np.abs(innovation) / np.sqrt(total)
    trust = _MOST_SD / np.maximum(excess, _MOST_SD)
    move = gain * (innovation * trust)[:, None]
    less = gain[:, :, None] * toward[:, None, :] * trust[:, None, None]
    return move, covariance_m2 - less
