"""What bears people: the ground, a seat, or something above the ground; and who is above it, moved there.

A body that is so many times as large, and so many times as far from the camera, looks the same. So people who
seem too large for the ground are drawn nearer along their rays, until they are as large as people are.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import roma
import torch
from scipy.spatial import cKDTree

import optim
from crowd3d.body import BodyModel
from crowd3d.body.rig import chain, place_joints
from crowd3d.config import Config
from crowd3d.lift.standing import Stood, pixels_per_radian, pose_bodies
from crowd3d.maths.box import meeting
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import ABOVE, GROUND, HEAD, SEATED, UNKNOWN, WHOLE, People

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# Of the log sizes of people whose keypoints and poses were guessed from a picture; in renders 0.03 to 0.07.
_SIZE_SD, _LEAST_SIZE_SD = 0.06, 0.04
_STATURE_SD = 0.06  # of grown people's log statures
_STATURE_M = (0.7, 2.3)  # nobody else is moved
# Ground that is wrong makes all who are near seem too large; so many nearest others tell, and people's log
# sizes spread so far.
_NEIGHBOURS, _FEWEST, _SPREAD = 12, 4, 0.09
_MEDIAN_SD = 1.25  # of a median, in deviations of a mean
_LEAST_ABOVE_M = 0.2  # who is lower stands on the ground

# Joints of SMPL's tree: hips, knees, ankles, neck.
_HIPS, _KNEES, _ANKLES, _NECK = [1, 2], [4, 5], [7, 8], 12
# A seated body: thighs nearer to level than to upright, the torso upright, the shins hanging, and the hips
# about as high above the ankles as a shin is long. Who crouches has the hips lower or the shins aslant. In
# renders all these numbers are far from those of anybody on their feet; of everyday poses made by rule 81 %
# of those who sit are told, 28 % of those who crouch or kneel are taken for seated, and nobody who stands.
_MOST_THIGH, _LEAST_TORSO, _LEAST_SHIN = 0.7, 0.7, 0.7  # cosines against upright
_HIPS_OF_SHIN = (0.55, 1.4)

# Somebody on another's shoulders: keypoints, and where they are against those of the carrier.
_SHOULDER_POINTS, _HIP_POINTS, _LEG_POINTS = [5, 6], [11, 12], [13, 14, 15, 16]
# Of the hips from the middle of the carrier's shoulders.
_ASIDE_M, _OVER_M, _UNDER_M = 0.18, 0.25, 0.05
# Least and most stature at the carrier's distance: of a child; of a child whose legs are seen, which would be
# hidden if it were behind the other; of who is above the ground by size.
_CHILD_M, _SEEN_CHILD_M, _RIDER_M = 1.3, 1.45, 2.0
_LEAST_RIDER_M = 0.75
_CLEAR = 0.3  # least score of a knee or ankle that is seen
_LEGS_OF_RIDER = (0.75, 1.45)  # hips above the ankles, in shins; who has more is on the feet
_LEAST_CARRIED_M = 0.7  # the lowest point of a rider above the ground
_RIDER_SD_M = 0.12  # of how high a rider is


def founded(
    people: People,
    stood: Stood,
    free: optim.Placement,
    fitted: Fitted,
    body: BodyModel,
    config: Config,
    *,
    is_crowd: bool = True,
) -> People:
    """The same people with what bears them; those above the ground are moved there.

    Args:
        people: who was placed on the ground, rows as in `stood`.
        free: the same bodies on the same ground, as large as they seem (`standing.of_any_size`).
        is_crowd: whether they are the people of this ground, so that neighbours tell how large people seem.
    """
    up = fitted.normal
    camera_m = stood.near.offsets_m / (stood.near.normals @ up)
    seems_m = stood.stature_m * free.scale
    footing = np.where(seated(people, up, body), SEATED, GROUND)
    footing[people.seen == HEAD] = UNKNOWN
    people = replace(people, footing=footing)
    clear = free.is_placed & stood.placed.is_placed & (people.seen == WHOLE)
    size, ground_sd, own_sd = np.log(seems_m / config.stature_m), _ground_sd(free), _SIZE_SD
    if is_crowd:
        excess, ground_sd = _seen_around(people.torso_px, size, ground_sd, clear)
        size = size - excess
        own_sd = _size_sd(size[clear])
    sd = np.sqrt(free.log_scale_sd**2 + ground_sd**2 + own_sd**2)
    told = optim.people_above(size, sd, camera_m)
    rows = np.flatnonzero(clear & (told.probability > 0.5))
    seems = replace(people, torso_m=free.torso_m, stature_m=seems_m).filter(rows)
    factor = 1 - told.height_m[rows] / camera_m[rows]
    nearer = _drawn_nearer(seems, factor, told.height_sd_m[rows], fitted, body)
    high = (nearer.above_m >= _LEAST_ABOVE_M) & (nearer.stature_m > _STATURE_M[0])
    high &= nearer.stature_m < _STATURE_M[1]
    return people.with_rows(rows[high], nearer.filter(high))


def _ground_sd(free: optim.Placement) -> FloatArray:
    """(N,) standard deviations of log sizes by errors of camera and ground, which all who are near share."""
    away = np.maximum(np.linalg.norm(free.foot_m, axis=1), 1e-9)
    along = free.foot_m / away[:, None]
    shared = np.einsum("nc,ncd,nd->n", along, free.position_cov_m2 - free.own_cov_m2, along)
    return np.asarray(np.sqrt(np.maximum(shared, 0.0)) / away)


def _size_sd(log_size: FloatArray) -> float:
    """How unsure log sizes (N,) are, by how far those of the larger half spread; children are in the other."""
    if len(log_size) < _NEIGHBOURS:
        return _SIZE_SD
    middle, one_sd_more = np.quantile(log_size, [0.5, 0.8413])
    excess = (one_sd_more - middle) ** 2 - _STATURE_SD**2
    return max(math.sqrt(max(excess, 0.0)), _LEAST_SIZE_SD)


def _seen_around(
    place_px: FloatArray, log_size: FloatArray, ground_sd: FloatArray, clear: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """How much too large (N,) people seem by errors of the ground, as their neighbours tell, and its deviation.

    Where neighbours seem too small they are children, and nothing is added.
    """
    rows = np.flatnonzero(clear)
    n = min(_NEIGHBOURS, len(rows) - 1)
    if n < _FEWEST:
        return np.zeros(len(log_size)), ground_sd
    _, near = cKDTree(place_px[rows]).query(place_px[rows], k=n + 1)
    median = np.median(log_size[rows][near[:, 1:]], axis=1)
    variance, told = ground_sd[rows] ** 2, (_MEDIAN_SD * _SPREAD) ** 2 / n
    excess, sd = np.zeros(len(log_size)), ground_sd.copy()
    excess[rows] = np.maximum(variance / (variance + told) * median, 0.0)
    sd[rows] = np.sqrt(variance * told / (variance + told))
    return excess, sd


def _drawn_nearer(
    people: People, factor: FloatArray, height_sd_m: FloatArray, fitted: Fitted, body: BodyModel
) -> People:
    """The same people above the ground, so many times (N,) as far from the camera and as large."""
    up, ground = fitted.normal, fitted.ground
    betas = body.betas_for_stature(torch.from_numpy(people.stature_m * factor).float())
    posed = pose_bodies(body, _rotations(people).float(), betas, up)
    torso_m = people.torso_m * factor[:, None]
    hvip_m = ground.feet_m(torso_m, people.plane)
    below_camera_m = np.maximum(posed.torso_height - torso_m @ up, _LEAST_ABOVE_M)
    closer_m = torso_m * (1 - height_sd_m / below_camera_m)[:, None]
    along = ground.feet_m(closer_m, people.plane) - hvip_m
    own = people.position_cov_m2 * factor[:, None, None] ** 2
    return replace(
        people,
        betas=betas.double().numpy(),
        stature_m=body.stature_m(betas).double().numpy(),
        transl_m=torso_m - posed.torso,
        torso_m=torso_m,
        torso_px=fitted.camera.project(torso_m),
        hvip_m=hvip_m,
        hvip_px=fitted.camera.project(hvip_m),
        position_cov_m2=own + along[:, :, None] * along[:, None],
        footing=np.full(len(people), ABOVE),
        above_m=(torso_m - hvip_m) @ up - posed.torso_height,
        above_sd_m=height_sd_m,
    )


def seated(people: People, up: FloatArray, body: BodyModel) -> BoolArray:
    """(N,) whose bodies are posed like people on a seat; `up` (3,) against gravity, camera frame."""
    joints = _joints_m(people, body)
    hips, thigh = joints[:, _HIPS].mean(axis=1), joints[:, _HIPS] - joints[:, _KNEES]
    shin = joints[:, _KNEES] - joints[:, _ANKLES]
    low, high = _HIPS_OF_SHIN
    folded = _hips_of_shin(joints, up)
    return np.asarray(
        (_cosine(thigh, up).max(axis=1) < _MOST_THIGH)
        & (_cosine(joints[:, _NECK] - hips, up) > _LEAST_TORSO)
        & (_cosine(shin, up).mean(axis=1) > _LEAST_SHIN)
        & (folded > low)
        & (folded < high)
    )


def on_shoulders(people: People, fitted: Fitted, body: BodyModel) -> People:
    """The same people, those moved who sit on another's shoulders; these are as far as who carries them.

    A rider has folded legs, and the hips about at the shoulders of somebody who stands; and is a child at
    their distance, or too large for the ground.
    """
    points = people.keypoints_px
    over = _hips_of_shin(_joints_m(people, body), fitted.normal)
    low, high = _LEGS_OF_RIDER
    most_m = np.where(points[:, _LEG_POINTS, 2].max(axis=1) > _CLEAR, _SEEN_CHILD_M, _CHILD_M)
    most_m[people.footing == ABOVE] = _RIDER_M
    rides = (over > low) & (over < high)
    carries = np.flatnonzero((people.footing == GROUND) & (over > high))
    riders = np.flatnonzero(rides)
    if not len(riders) or not len(carries):
        return people
    one, other = meeting(people.box_px[riders], people.box_px[carries])
    rider, carrier = riders[one], carries[other]
    aside_m, over_m = _seat_m(people, rider, carrier, fitted)
    factor = _range_m(people, carrier, fitted) / _range_m(people, rider, fitted)
    stature_m = people.stature_m[rider] * factor
    fits = (np.abs(aside_m) < _ASIDE_M) & (over_m > -_UNDER_M) & (over_m < _OVER_M)
    fits &= (stature_m > _LEAST_RIDER_M) & (stature_m < most_m[rider])
    order = np.flatnonzero(fits)[np.argsort(np.abs(aside_m[fits]), kind="stable")]
    for one_each in (rider, carrier):
        order = order[np.sort(np.unique(one_each[order], return_index=True)[1])]
    rows, sd_m = rider[order], np.full(len(order), _RIDER_SD_M)
    carried = _drawn_nearer(people.filter(rows), factor[order], sd_m, fitted, body)
    up = carried.above_m >= _LEAST_CARRIED_M
    return people.with_rows(rows[up], carried.filter(up))


def _seat_m(
    people: People, rider: IntArray, carrier: IntArray, fitted: Fitted
) -> tuple[FloatArray, FloatArray]:
    """How far riders' hips are seen beside and over the shoulders of their carriers, in metres at these."""
    camera, points, torso_m = fitted.camera, people.keypoints_px[..., :2], people.torso_m[carrier]
    px_per_m = pixels_per_radian(camera, people.box_px[carrier]) / np.linalg.norm(torso_m, axis=1)
    upwards = camera.project(torso_m + 0.1 * fitted.normal) - camera.project(torso_m)
    upwards /= np.maximum(np.linalg.norm(upwards, axis=1, keepdims=True), 1e-9)
    hips, shoulders = points[rider][:, _HIP_POINTS], points[carrier][:, _SHOULDER_POINTS]
    away_m = (hips.mean(axis=1) - shoulders.mean(axis=1)) / px_per_m[:, None]
    aside_m = away_m[:, 0] * upwards[:, 1] - away_m[:, 1] * upwards[:, 0]
    return aside_m, np.sum(away_m * upwards, axis=1)


def _range_m(people: People, rows: IntArray, fitted: Fitted) -> FloatArray:
    """How far torsos are from the camera along the ground."""
    torso_m, up = people.torso_m[rows], fitted.normal
    return np.asarray(np.linalg.norm(torso_m - (torso_m @ up)[:, None] * up, axis=1))


def _hips_of_shin(joints_m: FloatArray, up: FloatArray) -> FloatArray:
    """(N,) height of the hips above the ankles, in lengths of a shin; joints (N, 24, 3)."""
    shin_m = np.linalg.norm(joints_m[:, _KNEES] - joints_m[:, _ANKLES], axis=-1).mean(axis=1)
    over = joints_m[:, _HIPS].mean(axis=1) - joints_m[:, _ANKLES].mean(axis=1)
    return np.asarray((over @ up) / shin_m)


def _joints_m(people: People, body: BodyModel) -> FloatArray:
    """(N, 24, 3) joints about an origin of each body's own, turned into the camera frame."""
    with torch.inference_mode():
        rest = body.rest_joints(torch.from_numpy(people.betas).float())
        world = chain(body.parents, _rotations(people).float())
        return place_joints(body.parents, world, rest).double().numpy()


def _rotations(people: People) -> torch.Tensor:
    turns: torch.Tensor = roma.rotvec_to_rotmat(torch.from_numpy(people.pose))
    return turns


def _cosine(limbs: FloatArray, up: FloatArray) -> FloatArray:
    return np.asarray((limbs @ up) / np.maximum(np.linalg.norm(limbs, axis=-1), 1e-9))
