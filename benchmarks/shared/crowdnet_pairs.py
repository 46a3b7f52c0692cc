"""Crops of two people, to test whether crowdnet-s answers for the person whose 2D pose it is given.

The same crop is given to the network twice: once with the 2D pose of one person, once with that of the other.
Each answer should be nearer, by PA-MPJPE, to the true body of the person whose 2D pose was given. This can be
seen only if the two poses differ, so pairs in similar poses are left out. Pairs are chosen by the truth alone.
There are also crops of single people, given with several 2D poses, right and wrong ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crowd3d import lift
from crowd3d.body.rig import Rig
from crowd3d.maths import posterior
from crowd3d.models.crowdnet_s import CrowdNetS
from crowd3d.picture import person_windows
from crowd3d.synth.draw.render import Setting
from crowd3d.synth.truth import Truth
from crowd3d.training.common.pose_errors import ERRORS, Kind, disturb
from crowd3d.training.crops.data import Pixels, coded_crops, rows_of
from crowd3d.training.crops.examples import Examples
from crowd3d.training.lift.metrics import JOINTS_14, joints_of, procrustes
from tiling import box_iou

FloatArray = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

APART_MM = 150.0  # least PA-MPJPE between the two true poses of a pair
IOU = (0.3, 0.7)  # of the two boxes of a pair
TOLD = ("keypoints", "joints", "fisher")  # arrays of a shard that depend on the given 2D pose
_SEEN, _HIDDEN = 0.85, 0.5  # scores of true 2D poses
_MIN_VISIBLE, _MIN_INSIDE = 0.2, 0.9


def close_pairs(truth: Truth, apart_mm: float = APART_MM) -> Rows:
    """(P, 2) pairs of people with boxes that overlap by `IOU` and different poses; nobody is in two pairs."""
    seen = np.flatnonzero((truth.visibility >= _MIN_VISIBLE) & (truth.inside >= _MIN_INSIDE))
    i, j = (seen[index] for index in np.triu_indices(len(seen), 1))
    iou = box_iou(truth.boxes_px[i], truth.boxes_px[j])
    close = (iou >= IOU[0]) & (iou <= IOU[1])
    i, j = i[close], j[close]
    far = pose_distance_mm(truth.joints_m[i], truth.joints_m[j]) >= apart_mm
    taken: set[int] = set()
    pairs = []
    for a, b in zip(i[far].tolist(), j[far].tolist(), strict=True):
        if not taken & {a, b}:
            taken |= {a, b}
            pairs.append((a, b))
    return np.array(pairs, np.int64).reshape(-1, 2)


def pose_distance_mm(joints_m: FloatArray, other_m: FloatArray) -> FloatArray:
    """(N,) PA-MPJPE between joints (N, 24, 3): the mean of aligning the first to the second and vice versa."""
    a, b = (torch.from_numpy(j[:, list(JOINTS_14)]) for j in (joints_m, other_m))
    there = (procrustes(a, b) - b).norm(dim=-1).mean(1)
    back = (procrustes(b, a) - a).norm(dim=-1).mean(1)
    return np.asarray(500 * (there + back))


def true_poses(truth: Truth, who: Rows) -> FloatArray:
    """(len(who), 17, 3) true 2D poses; hidden joints have a lower score, joints outside the picture score 0."""
    keypoints = truth.keypoints_px[who].copy()
    state = keypoints[..., 2]
    keypoints[..., 2] = np.where(state == 2, _SEEN, np.where(state == 1, _HIDDEN, 0.0))
    return keypoints


def disturbed_poses(
    truth: Truth, who: Rows, rng: np.random.Generator, kinds: Sequence[Kind] = ERRORS
) -> FloatArray:
    """`true_poses` with errors of `crowd3d.training.common.pose_errors`, which also change the scores."""
    keypoints = true_poses(truth, who)
    known = truth.keypoints_px[..., 2] > 0
    for row, i in enumerate(who):
        iou = box_iou(truth.boxes_px[[i]], truth.boxes_px)
        others = np.flatnonzero((iou >= 0.1) & (np.arange(len(truth)) != i))
        area = float((truth.boxes_px[i, 2:] - truth.boxes_px[i, :2]).prod())
        points = truth.keypoints_px[..., :2]
        wrong, _ = disturb(
            points[i], known[i], area, points[others], known[others], rng, kinds=kinds
        )
        wrong[:, 2] *= keypoints[row, :, 2] / _SEEN
        keypoints[row] = wrong
    return keypoints


def pair_rows(
    setting: Setting, truth: Truth, pairs: Rows, picture: Pixels, lifter: lift.Lift
) -> dict[str, npt.NDArray[Any]]:
    """A shard in which rows 2 p and 2 p + 1 show the same window around both people of pair p.

    The first row has the true 2D pose of one person, the second that of the other. A pair is left out if the
    lift finds no place on the ground for one of them.
    """
    who = pairs.reshape(-1)
    poses = true_poses(truth, who)
    tiles = [t for two in poses.reshape(-1, 34, 3) for t in [person_windows.tile_of_pose(two)] * 2]
    rows = rows_of(setting, truth, who, poses, tiles, picture, lifter)
    found = np.isin(pairs, rows["who"]).all(axis=1)
    kept = select(rows, np.isin(rows["who"], pairs[found]))
    return kept | {"right": np.ones(len(kept["who"]), bool)}


def told_rows(
    setting: Setting,
    truth: Truth,
    who: Rows,
    poses: dict[str, FloatArray],
    picture: Pixels,
    lifter: lift.Lift,
) -> dict[str, npt.NDArray[Any]]:
    """A shard of people with several 2D poses each, all in the window around the pose with prefix "".

    Args:
        who: (N,) rows of the truth.
        poses: prefix of array names -> 2D poses (N, 17, 3); one prefix must be "".

    Returns:
        The people whom the lift places on the ground for all of their 2D poses. The arrays in `TOLD`, which
        depend on the 2D pose, are stored once for each prefix.
    """
    tiles = [person_windows.tile_of_pose(points) for points in poses[""]]
    told = {k: rows_of(setting, truth, who, p, tiles, picture, lifter) for k, p in poses.items()}
    found = [np.isin(told[""]["who"], rows["who"]) for rows in told.values()]
    first = select(told[""], np.all(found, axis=0))
    for prefix, rows in told.items():
        row_of = {int(i): row for row, i in enumerate(rows["who"])}
        index = [row_of[int(i)] for i in first["who"]]
        first |= {prefix + name: rows[name][index] for name in TOLD}
    return first | {"right": np.zeros(len(first["who"]), bool)}


def as_told(shown: Examples, rows: dict[str, npt.NDArray[Any]], prefix: str) -> Examples:
    """The same crops with the 2D poses that `told_rows` stored under a prefix."""
    return replace(shown, **{n: torch.from_numpy(rows[prefix + n]).float() for n in TOLD})


def select(
    rows: dict[str, npt.NDArray[Any]], keep: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[Any]]:
    """The rows of a shard that a mask selects."""
    kept = [c for c, k in zip(coded_crops(rows), keep, strict=True) if k]
    rest = {name: values[keep] for name, values in rows.items() if name != "jpeg"}
    return {"jpeg": np.concatenate([*kept, np.zeros(0, np.uint8)]), **rest}


def to_both_mm(fisher: Tensor, truth: Examples, rig: Rig) -> tuple[FloatArray, FloatArray]:
    """(2 P,) PA-MPJPE of each answer to the person whose 2D pose was given, and to the other of the pair."""
    picked = list(JOINTS_14)
    guess = joints_of(rig, posterior.mode(fisher), truth.betas)[:, picked]
    real = joints_of(rig, truth.rotations, truth.betas)[:, picked]
    other = real.reshape(-1, 2, *real.shape[1:]).flip(1).flatten(0, 1)
    own, wrong = (
        1000 * (procrustes(guess, t) - t).norm(dim=-1).mean(1).double().numpy()
        for t in (real, other)
    )
    return np.asarray(own), np.asarray(wrong)


def told_nothing(shown: Examples) -> Examples:
    """The same crops without any 2D pose: empty heatmaps, no pose from the lift, joints in their mean place."""
    return replace(
        shown,
        keypoints=torch.zeros_like(shown.keypoints),
        joints=shown.joints.mean(dim=(0, 1), keepdim=True).expand_as(shown.joints),
        fisher=torch.zeros_like(shown.fisher),
    )


@torch.inference_mode()
def identity(network: CrowdNetS, shown: Examples, rig: Rig, ratio: float = 0.6) -> dict[str, float]:
    """Measure whether answers follow the given 2D pose.

    An answer follows if its PA-MPJPE to the person whose 2D pose was given is at most `ratio` times that to the
    other person.

    Args:
        shown: examples of `pair_rows`.

    Returns:
        pairs: number of pairs; follow: share of pairs that follow by the mean errors of both answers; both:
            share of pairs whose answers both follow; nearer: share of answers that are nearer to the person
            whose 2D
        pose was given; own_mm, other_mm: mean PA-MPJPE to that person and to the other.
    """
    own, wrong = to_both_mm(shown.ask(network), shown, rig)
    pairs, others = own.reshape(-1, 2), wrong.reshape(-1, 2)
    return {
        "pairs": float(len(pairs)),
        "follow": float((pairs.mean(axis=1) <= ratio * others.mean(axis=1)).mean()),
        "both": float((pairs <= ratio * others).all(axis=1).mean()),
        "nearer": float((own < wrong).mean()),
        "own_mm": float(own.mean()),
        "other_mm": float(wrong.mean()),
    }
