"""3DPW and its crowded part (Choi et al., CVPR 2022): errors over people, and how crowded it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crowd3d.body.tree import H36M_14
from crowd3d.evaluate.metrics.joints import mpjpe_mm, pa_mpjpe_mm

FloatArray = npt.NDArray[np.float64]

MIN_JOINTS = 4
MATCH_SHARE = 1 / 15  # of the shorter side of the true box
_PELVIS = 0  # of the 17 Human3.6M joints


class PwFrame(NamedTuple):
    """One picture.

    Attributes:
        pred_px, gt_px: (M, K, 2), (N, K, 2) keypoints by which people are matched.
        gt_valid: (N, K) which of them are known; gt_boxes_px: (N, 4) xyxy.
        pred_h36m_m, gt_h36m_m: (M, 17, 3), (N, 17, 3) joints of the Human3.6M regressor, metres.
    """

    pred_px: FloatArray
    gt_px: FloatArray
    gt_valid: npt.NDArray[np.bool_]
    gt_boxes_px: FloatArray
    pred_h36m_m: FloatArray
    gt_h36m_m: FloatArray


def match(
    pred_px: FloatArray,
    gt_px: FloatArray,
    gt_valid: npt.NDArray[np.bool_],
    gt_boxes_px: FloatArray,
) -> npt.NDArray[np.int64]:
    """(N,) for every true person the nearest prediction, -1 if nobody is near.

    Near is a mean distance below a 15th of the true box's shorter side.
    """
    owner = np.full(len(gt_px), -1)
    if not len(pred_px):
        return owner
    for i, valid in enumerate(gt_valid):
        if not valid.any():
            continue
        gap = np.linalg.norm(pred_px[:, valid] - gt_px[i, valid], axis=2).mean(axis=1)
        gap = np.where(np.isfinite(gap), gap, np.inf)  # somebody behind the camera has no pixels
        best = int(np.argmin(gap))
        side = (gt_boxes_px[i, 2:] - gt_boxes_px[i, :2]).min()
        owner[i] = best if gap[best] < MATCH_SHARE * side else -1
    return owner


def errors(frames: Sequence[PwFrame]) -> dict[str, float]:
    """`MPJPE`, `PA-MPJPE` in mm over the 14 joints of those found, pelvis-aligned; `matched`, their share."""
    mpjpe, pa, total = [np.zeros(0)], [np.zeros(0)], 0
    for frame in frames:
        owner = match(frame.pred_px, frame.gt_px, frame.gt_valid, frame.gt_boxes_px)
        true = np.flatnonzero(owner >= 0)
        total += len(owner)
        pred, gt = frame.pred_h36m_m[owner[true]], frame.gt_h36m_m[true]
        pred, gt = (a - a[:, [_PELVIS]] for a in (pred, gt))
        rows = list(H36M_14)
        mpjpe.append(mpjpe_mm(pred[:, rows], gt[:, rows], root=None))
        pa.append(pa_mpjpe_mm(pred[:, rows], gt[:, rows]))
    flat, flat_pa = np.concatenate(mpjpe), np.concatenate(pa)
    nan = float("nan")
    return {
        "MPJPE": float(np.nanmean(flat)) if len(flat) else nan,
        "PA-MPJPE": float(np.nanmean(flat_pa)) if len(flat_pa) else nan,
        "matched": len(flat) / total if total else nan,
    }


def crowd_index(
    keypoints_px: FloatArray, valid: npt.NDArray[np.bool_], boxes_px: FloatArray
) -> FloatArray:
    """(N,) joints of others inside one's box for each own joint inside it; 0 with fewer than four own joints.

    3DPW-Crowd takes the mean over people and frames (the CrowdIndex of Li et al., CVPR 2019, of two people).

    Args:
        keypoints_px: (N, K, 2); valid: (N, K) known ones; boxes_px: (N, 4) xyxy.
    """
    n = len(boxes_px)
    u, v = np.where(valid[..., None], keypoints_px, np.nan).reshape(-1, 2).T
    own, everyone = np.zeros(n, int), np.zeros(n, int)
    for i, (left, top, right, bottom) in enumerate(boxes_px):
        inside = (u >= left) & (u <= right) & (v >= top) & (v <= bottom)
        everyone[i], own[i] = inside.sum(), inside.reshape(n, -1)[i].sum()
    others = everyone - own
    return np.where(own >= MIN_JOINTS, others / np.maximum(own, 1), 0.0)
