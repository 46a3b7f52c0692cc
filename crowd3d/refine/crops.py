"""Refine poses with a crop network: choose who is shown to it, and which of its answers are accepted.

A person is shown to the network if they overlap another person, are poorly seen, or if their body does not lie
on the keypoints. The network's pose is set on the ground like every other body. It replaces the present pose
only if it explains the person's sure keypoints at least as well and its feet are not farther from the ground.
Distances smaller than a keypoint's usual scatter are not counted. The present pose was fitted to the same
keypoints with their errors, so by plain distance even the true pose would lose against it (measured: 7 times in
8).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import roma
import shapely
import torch

from crowd3d.body import BodyModel
from crowd3d.body.rig import Rig, pose_rig, rig_of
from crowd3d.config import Config
from crowd3d.lift.keypoint_fit import RefineOptions, fit_keypoints
from crowd3d.lift.standing import body_rows, stand_on
from crowd3d.maths.upright import to_camera, to_upright
from crowd3d.picture.person_windows import MIN_SEEN, shows_enough
from crowd3d.refine.crop_networks import Answer, Expert, expert
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import ABOVE, People
from tiling import COCO_SIGMAS, Picture

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A keypoint is sure if its score is at least the first number, and at least this share of the person's best
# score.
_SURE_SCORE, _SURE_SHARE = 0.25, 0.7
_OVERLAP_IOU = 0.1  # from which two people overlap
_POOR_SCORE = 0.25  # mean score over all 17 keypoints, below which a person is poorly seen
# -log of the keypoint similarity: scatter of a good detector, limit for wrong keypoints, and a bad fit.
_SCATTER, _WRONG, _BAD_FIT = 0.3, 1.5, 0.6
_FEET_SLACK_M = 0.02  # feet may come this much farther from the ground
_FIT_CHUNK = 256  # people fitted at once


@dataclass(frozen=True)
class Judged:
    """How well N bodies agree with the picture and the ground.

    Attributes:
        misfit: (N,) mean over the sure keypoints, weighted by score, of d^2 / (2 A (2 sigma)^2) with COCO's
            sigma and the box's area A, clipped to _SCATTER.._WRONG, less _SCATTER; infinite without enough
            sure keypoints.
        feet_m: (N,) absolute height of the lower foot above the plane.
    """

    misfit: FloatArray
    feet_m: FloatArray


def refine_crops(
    people: People,
    source: Picture,
    fitted: Fitted,
    body: BodyModel,
    config: Config,
    network_name: str,
) -> People:
    """Give people better poses from a crop network, where its poses are accepted.

    Args:
        people: lifted and placed people, with betas of `body`.
        source: the picture in which they were found.
        network_name: "crowdnet-s" or "3dcrowdnet".

    Returns:
        The same people in the same order. If the new pose of a person is accepted, their pose, fisher, place
        and stature change.

    Raises:
        ConfigError: there is no such network.
        ModelError: its weights are not installed.
    """
    ask = expert(network_name, source, fitted, body)
    return refine_with(people, ask, fitted, body, config)[0]


def refine_with(
    people: People, ask: Expert, fitted: Fitted, body: BodyModel, config: Config
) -> tuple[People, BoolArray]:
    """`refine_crops` with any function as the network; also returns (N,) whether a new pose was accepted."""
    accepted = np.zeros(len(people), bool)
    rows = np.flatnonzero(candidates(people, fitted, body))
    if not len(rows):
        return people, accepted
    shown, rig = people.filter(rows), rig_of(body)
    answer = ask(shown)
    if config.refine_pose:
        answer = onto_keypoints(answer, shown, fitted, rig)
    stood, placed = stand_people(answer, shown, fitted, body, config)
    before, after = (judge(p, fitted, rig) for p in (shown, stood))
    better = placed & is_better(before, after)
    accepted[rows[better]] = True
    return people.with_rows(rows[better], stood.filter(better)), accepted


def is_better(before: Judged, after: Judged) -> BoolArray:
    """(N,) whether the new body explains the person's keypoints and stands at least as well as before."""
    explains = np.isfinite(after.misfit) & (after.misfit <= before.misfit)
    return np.asarray(explains & (after.feet_m <= before.feet_m + _FEET_SLACK_M))


def candidates(people: People, fitted: Fitted, body: BodyModel) -> BoolArray:
    """(N,) who is shown to the network: people who overlap, are poorly seen, or do not fit their keypoints."""
    if len(people) == 0:
        return np.zeros(0, bool)
    scores = people.keypoints_px[..., 2]
    misfit = judge(people, fitted, rig_of(body)).misfit
    badly = np.isfinite(misfit) & (misfit > _BAD_FIT)
    poorly = scores.mean(axis=1) < _POOR_SCORE
    seen = shows_enough(people.keypoints_px)
    size = (fitted.camera.width, fitted.camera.height)
    low, high = people.box_px[:, :2], people.box_px[:, 2:]
    in_picture = ((high > 1.0) & (low < np.array(size) - 1.0)).all(axis=1)
    asked = overlapping(people.box_px) | badly | poorly
    # Who is above the ground would be set on it.
    return np.asarray(asked & seen & in_picture & (people.footing != ABOVE))


def overlapping(boxes_px: FloatArray) -> BoolArray:
    """(N,) whether a box (N, 4) xyxy has an IoU of at least `_OVERLAP_IOU` with another box."""
    boxes = shapely.box(*boxes_px.T)
    i, j = shapely.STRtree(boxes).query(boxes, predicate="intersects")
    both = shapely.area(shapely.intersection(boxes[i], boxes[j]))
    either = shapely.area(boxes)[i] + shapely.area(boxes)[j] - both
    near = (i != j) & (both >= _OVERLAP_IOU * np.maximum(either, 1e-9))
    found = np.zeros(len(boxes_px), bool)
    found[i[near]] = True
    return found


def judge(people: People, fitted: Fitted, rig: Rig) -> Judged:
    """Measure how well bodies agree with their own keypoints and with the ground under them."""
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(people.pose))
    posed = pose_rig(rig.to("cpu", torch.float64), rotations, torch.from_numpy(people.betas))
    points = posed.points.numpy() + people.transl_m[:, None]
    seen, score = people.keypoints_px[..., :2], people.keypoints_px[..., 2]
    projected = fitted.camera.unwrapped(fitted.camera.project(points[:, :17]), seen)
    area = np.maximum((people.box_px[:, 2:] - people.box_px[:, :2]).prod(axis=1), 1.0)
    away2 = ((projected - seen) ** 2).sum(axis=-1) / (2 * area[:, None] * (2 * COCO_SIGMAS) ** 2)
    away2 = np.nan_to_num(away2, nan=_WRONG).clip(_SCATTER, _WRONG) - _SCATTER
    sure = score >= np.maximum(_SURE_SCORE, _SURE_SHARE * score.max(axis=1, keepdims=True))
    weight = np.where(sure, score, 0.0)
    enough = sure.sum(axis=1) >= MIN_SEEN
    mean = (weight * away2).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    feet = points[:, 17:21] - people.hvip_m[:, None]
    feet = feet @ fitted.normal
    return Judged(np.where(enough, mean, np.inf), np.abs(feet.min(axis=1)))


def onto_keypoints(answer: Answer, people: People, fitted: Fitted, rig: Rig) -> Answer:
    """Fit the network's poses to the people's keypoints, as after the lift; the answer is the prior."""
    rays = fitted.camera.rays(people.keypoints_px[..., :2])
    scores = people.keypoints_px[..., 2]
    keypoints, elevation, turn = to_upright(rays, scores, fitted.normal)
    rotations, fisher = to_camera(*answer, turn.transpose(-1, -2))
    range_m = np.linalg.norm(people.torso_m, axis=1)
    spread = np.sqrt(np.trace(people.position_cov_m2, axis1=1, axis2=2)) / range_m
    inputs = [
        torch.nan_to_num(keypoints).float(),
        elevation.float(),
        rotations.float(),
        fisher.float(),
        torch.from_numpy(people.betas).float(),
        torch.from_numpy(range_m / people.stature_m).float(),
        torch.from_numpy(np.clip(spread, 0.02, 0.2)).float(),
    ]
    options = RefineOptions()
    fitted_pose = torch.cat(
        [
            fit_keypoints(rig, kp, rise, R, F, betas, away, sd, options)[0]
            for kp, rise, R, F, betas, away, sd in zip(
                *(torch.split(values, _FIT_CHUNK) for values in inputs), strict=True
            )
        ]
    )
    turned = fitted_pose @ inputs[2].transpose(-1, -2) @ inputs[3]
    return Answer(*to_camera(fitted_pose, turned, turn))


def stand_people(
    answer: Answer, people: People, fitted: Fitted, body: BodyModel, config: Config
) -> tuple[People, BoolArray]:
    """Set people in their new poses on the ground; also returns (N,) whether this was possible."""
    rotations, betas = answer.rotations.float(), torch.from_numpy(people.betas).float()
    stood = stand_on(people.plane, people, rotations, betas, fitted, body, config)
    rows = body_rows(stood, rotations, answer.fisher, fitted)
    return replace(people, **rows), stood.placed.is_placed
