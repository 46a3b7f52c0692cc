"""Joints and vertices of matched people, in whichever joint set the truth speaks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crowd3d.body.tree import H36M_14
from crowd3d.evaluate import points
from crowd3d.evaluate.frames import FrameScore
from crowd3d.evaluate.metrics import joints, mupots, roots, threedpw
from crowd3d.evaluate.predictions import body_of

FloatArray = npt.NDArray[np.float64]

# Places in a joint set of what is compared with the prediction's COCO keypoints, and those keypoints.
_PANOPTIC = [1, 15, 17, 16, 18, 3, 9, 4, 10, 5, 11, 6, 12, 7, 13, 8, 14]
_MUPOTS = [5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
_COCO_LIMBS = list(range(5, 17))
# MuPoTS's joints among Human3.6M's.
_MUPOTS_OF_H36M = [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]
_AP_ROOT_M = 0.25


class Compared(NamedTuple):
    """Joints of matched people, rooted at `root`, and what they are called."""

    pred_m: FloatArray
    gt_m: FloatArray
    root: int | tuple[int, ...]
    scored: list[int]
    name: str


def body_metrics(
    frames: Sequence[FrameScore], body: str | Path | None = None, with_vertices: bool = False
) -> dict[str, float | str]:
    """MPJPE, PA-MPJPE, PVE, MRPE and AP_root_25 of all pictures, as far as the truth knows of them.

    Args:
        body: file of the body if it is not the embedded one.
        with_vertices: PVE too.

    Raises:
        BodyError: vertices are asked for and the bodies differ.
    """
    compared = [c for c in (_compared(frame, body) for frame in frames) if c is not None]
    out: dict[str, float | str] = {}
    n_gt = sum(frame.score.n_gt for frame in frames)
    if compared:
        mpjpe = np.concatenate([_error(c) for c in compared])
        pa = np.concatenate(
            [joints.pa_mpjpe_mm(c.pred_m[:, c.scored], c.gt_m[:, c.scored]) for c in compared]
        )
        out["joints"] = ", ".join(dict.fromkeys(c.name for c in compared))
        out["MPJPE"], out["PA-MPJPE"] = _mean(mpjpe), _mean(pa)
        out["MPJPE_all"] = joints.with_missing(mpjpe, n_gt)
        out["PA-MPJPE_all"] = joints.with_missing(pa, n_gt)
    if with_vertices:
        errors = [_vertex_error(frame, body) for frame in frames]
        out["PVE"] = _mean(np.concatenate([np.zeros(0), *errors]))
    out |= _root_metrics(frames)
    if any(frame.gt.joint_set == "mupots17" for frame in frames):
        out |= mupots.pck3d([f for f in map(_mupots_frame, frames) if f is not None])
    out["CrowdIndex"] = _mean(np.concatenate([np.zeros(0), *map(_crowd_index, frames)]))
    return out


def _error(compared: Compared) -> FloatArray:
    roots_of = [compared.root] if isinstance(compared.root, int) else list(compared.root)
    pred, gt = (
        a - a[:, roots_of].mean(axis=1, keepdims=True) for a in (compared.pred_m, compared.gt_m)
    )
    return joints.mpjpe_mm(pred[:, compared.scored], gt[:, compared.scored], root=None)


def _compared(frame: FrameScore, body: str | Path | None) -> Compared | None:
    """Human3.6M's fourteen where both bodies are the same, else the joints that both sides name."""
    true, found = frame.matched
    if not frame.pred.body or not len(true):
        return None
    gt, pred = frame.gt, frame.pred
    truth_h36m = _truth_h36m(frame, body)
    if truth_h36m is not None and pred.h36m_m is not None:
        return Compared(pred.h36m_m[found], truth_h36m, 0, list(H36M_14), "H36M-14")
    known = gt.joints_m[true]
    if not np.isfinite(known).any():
        return None
    if gt.joint_set == "smpl24":
        return Compared(pred.joints_m[found], known, 0, list(range(22)), "SMPL-22")
    if gt.joint_set == "mupots17":
        return Compared(
            pred.keypoints_m[found][:, _COCO_LIMBS],
            known[:, _MUPOTS],
            (6, 7),
            list(range(12)),
            "limbs-12",
        )
    coco = known[:, _PANOPTIC] if gt.joint_set == "panoptic19" else known
    return Compared(pred.keypoints_m[found], coco, (11, 12), list(range(17)), "COCO-17")


def _truth_h36m(frame: FrameScore, body: str | Path | None) -> FloatArray | None:
    true, _ = frame.matched
    gt = frame.gt
    if gt.body != frame.pred.body or not np.isfinite(gt.pose[true]).all():
        return None
    model = body_of([gt.body], body)
    place = np.nan_to_num(gt.transl_m[true])
    return points.posed(model, gt.pose[true], gt.betas[true], place).h36m_m


def _vertex_error(frame: FrameScore, body: str | Path | None) -> FloatArray:
    """(K,) PVE of matched people, pelvis on pelvis."""
    true, found = frame.matched
    if not len(true):
        return np.zeros(0)
    joints.same_body(frame.pred.body, frame.gt.body)
    parameters, gt = frame.pred.parameters, frame.gt
    if parameters is None or not np.isfinite(gt.pose[true]).all():
        return np.zeros(0)
    model = body_of([gt.body], body)
    errors = []
    for i, j in zip(
        np.array_split(true, len(true) // 32 + 1),
        np.array_split(found, len(true) // 32 + 1),
        strict=True,
    ):
        place = np.nan_to_num(gt.transl_m[i])
        one = np.ones(len(i))
        there = points.vertices_of(model, gt.pose[i], gt.betas[i], place, one)
        root = points.posed(model, gt.pose[i], gt.betas[i], place).joints_m[:, 0]
        here = points.vertices_of(
            model,
            parameters.pose[j],
            parameters.betas[j],
            parameters.transl_m[j],
            parameters.scale[j],
        )
        own = frame.pred.joints_m[j, 0]
        errors.append(joints.pve_mm(here, there, frame.pred.body, gt.body, own, root))
    return np.concatenate(errors)


def _root_metrics(frames: Sequence[FrameScore]) -> dict[str, float | str]:
    """MRPE and AP_root_25 of the pelvis, or of the torso centre where no joints are known."""
    pred, gt, rooted, names = [np.zeros((0, 3))], [np.zeros((0, 3))], [], set()
    for frame in frames:
        found, true, name = _roots(frame)
        names.add(name)
        rows, columns = frame.matched
        pred.append(found[columns])
        gt.append(true[rows])
        known = np.isfinite(true).all(axis=1)
        counted = np.zeros(len(true), bool)
        counted[frame.true] = True
        placed = frame.found[np.isfinite(found[frame.found]).all(axis=1)]
        rooted.append(
            roots.RootFrame(found[placed], frame.pred.score[placed], true[known & counted])
        )
    out: dict[str, float | str] = {"root": ", ".join(sorted(names))}
    out |= joints.mrpe_mm(np.concatenate(pred), np.concatenate(gt))
    out["AP_root_25"] = roots.ap_root(rooted, _AP_ROOT_M)
    return out


def _roots(frame: FrameScore) -> tuple[FloatArray, FloatArray, str]:
    gt, pred = frame.gt, frame.pred
    hips = pred.keypoints_m[:, [11, 12]].mean(axis=1)
    if np.isfinite(gt.joints_m).any():
        if gt.joint_set == "smpl24":
            return pred.joints_m[:, 0], gt.joints_m[:, 0], "pelvis"
        if gt.joint_set == "mupots17":
            return hips, gt.joints_m[:, mupots.PELVIS], "pelvis"
        middle = (
            gt.joints_m[:, 2]
            if gt.joint_set == "panoptic19"
            else gt.joints_m[:, [11, 12]].mean(axis=1)
        )
        return hips, middle, "pelvis"
    return pred.torso_m, gt.torso_m, "torso centre"


def _mupots_frame(frame: FrameScore) -> mupots.MupotsFrame | None:
    gt, pred = frame.gt, frame.pred
    if pred.h36m_m is None:
        return None
    valid = ~gt.is_ignored
    placed = np.isfinite(pred.h36m_m).all(axis=(1, 2))
    gt_px = np.full((len(gt), mupots.N_JOINTS, 2), np.nan)
    gt_px[:, _MUPOTS] = gt.keypoints_px[:, _COCO_LIMBS, :2]
    pred_px = np.full((len(pred), mupots.N_JOINTS, 2), np.nan)
    pred_px[:, _MUPOTS] = pred.keypoints_px[:, _COCO_LIMBS]
    universal = np.asarray(gt.values.get("universal_joints_m", gt.joints_m), np.float64)
    return mupots.MupotsFrame(
        gt.scene,
        pred_px[placed],
        pred.h36m_m[placed][:, _MUPOTS_OF_H36M],
        gt_px[valid],
        universal[valid],
    )


def _crowd_index(frame: FrameScore) -> FloatArray:
    gt = frame.gt
    valid = np.isfinite(gt.keypoints_px[..., :2]).all(axis=2) & (gt.keypoints_px[..., 2] > 0)
    return threedpw.crowd_index(gt.keypoints_px[..., :2], valid, gt.boxes_px)[frame.true]


def _mean(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
