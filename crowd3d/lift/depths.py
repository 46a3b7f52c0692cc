"""How far away people are, judged by their size in the picture.

`lift.box_depth` has the formula: depth = gamma k, where k follows from the box and gamma from what the person
in the box really measures. Three judges give gamma: the body fitted to the keypoints, whose posture tells what
the box spans; RootNet, which looks at the crop; and rootnet-s, which measures the crop from top to bottom. All
depths are over the focal length, so that they need not know it.
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

# Of the logarithm of the depth. By bodies: 0.08 in the middle and 0.105 root mean square over 261 people
# found in renders (constant gamma: 0.08 and 0.145); RootNet: its published error on people in the wild.
BODY_LOG_SD, ROOTNET_LOG_SD = 0.10, 0.10
_BORDER_PX = 2.0  # a box that ends so near the picture's border may go on beyond it
_T_SD = 1.29  # standard deviation over scale of Student's t with the 5 degrees of rootnet-s
_BATCH = 32
_MOST_SD = 3.0  # a judged depth farther off than that is of somebody else's size: it counts less


@dataclass(frozen=True)
class Depths:
    """Judged depths, one row a person.

    Attributes:
        over_focal: (N,) metres of depth per pixel of focal length; NaN where nothing is known.
        log_sd: (N,) standard deviation of its logarithm.
        is_new: whether pixels were asked that the body fit has not seen, so that it may be weighed against
            the place that this fit gives; a fit cannot be its own witness.
    """

    over_focal: FloatArray
    log_sd: FloatArray
    is_new: bool


def extents_m(vertices_m: FloatArray, box_px: FloatArray, camera: Camera) -> FloatArray:
    """(N,) what bodies span along the longer side of their box, seen where they are seen.

    Args:
        vertices_m: (N, V, 3) turned into the camera frame, any origin; box_px: (N, 4) xyxy.
    """
    ray = camera.rays((box_px[:, :2] + box_px[:, 2:]) / 2)
    ray = ray / ray[:, 2:]
    across = vertices_m[..., :2] - ray[:, None, :2] * vertices_m[..., 2:]
    return np.asarray(np.ptp(across, axis=1).max(axis=1))


def depths_of_bodies(vertices_m: FloatArray, people: Detections, camera: Camera) -> Depths:
    """From the bodies fitted to people's keypoints; arguments of `extents_m`.

    Of somebody whom the picture's border cuts, the box does not show what the body spans: unknown.
    """
    limit = np.array([camera.width, camera.height]) - _BORDER_PX
    whole = (people.box_px[:, :2] > _BORDER_PX).all(axis=1) & (people.box_px[:, 2:] < limit).all(
        axis=1
    )
    extent = extents_m(vertices_m, people.box_px, camera)
    gamma = np.where(whole, gamma_of_extent(extent), np.nan)
    return _depths(gamma, people, (camera.width, camera.height), BODY_LOG_SD, is_new=False)


def depths_of_rootnet(people: Detections, crops: Crops) -> Depths:
    """From RootNet's look at every crop.

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
    """From rootnet-s, which tells what each person's upright window measures from top to bottom.

    Unknown of those with too few keypoints, and of those outside the picture.

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
        told = person_windows.told_poses(poses, plane, tiles, fitted)
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
    """(N,) depth over focal length at the middle of boxes, in whose windows so much is seen there."""
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
    """How far each person moves along the ground, and the covariance then, by a Kalman update in log depth.

    The ground says where somebody is with a covariance, the picture's size how deep with a variance; both are
    weighed by their information, so that far people, whom the ground places badly, move most.

    Args:
        feet_m: (N, 3) on the ground; covariance_m2: (N, 3, 3) theirs; torso_m: (N, 3) above them.
        focal_px: of the camera.

    Returns:
        (N, 3) moves in metres, zero where nothing is known; (N, 3, 3) covariances.
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
