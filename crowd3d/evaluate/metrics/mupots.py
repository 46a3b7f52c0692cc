"""3DPCK on MuPoTS-3D (Mehta et al., 3DV 2018): matched by 2D joints, bones rescaled, relative and absolute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crowd3d.evaluate.metrics.joints import pck

FloatArray = npt.NDArray[np.float64]

N_JOINTS, PELVIS = 17, 14
PARENTS = (1, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1)
# From the pelvis outwards, so that a parent is in place before its child.
TRAVERSAL = (15, 1, 16, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
MATCHED_JOINTS = tuple(range(1, 14))  # neck, arms and legs
SCORED_JOINTS = tuple(range(14))
MATCH_PX = 40.0
PCK_MM = 150.0


class MupotsFrame(NamedTuple):
    """One picture, joints in MuPoTS's order.

    Attributes:
        sequence: TS1 to TS20; scores are averaged over sequences.
        pred_px, pred_m: (M, 17, 2) and (M, 17, 3) camera frame, metres; NaN = not predicted.
        gt_px, gt_m: (N, 17, 2) and (N, 17, 3) of the valid people, universal joints.
    """

    sequence: str
    pred_px: FloatArray
    pred_m: FloatArray
    gt_px: FloatArray
    gt_m: FloatArray


def match(pred_px: FloatArray, gt_px: FloatArray, threshold_px: float = MATCH_PX) -> FloatArray:
    """(N,) for every true person the predicted one, -1 = nobody.

    A joint agrees if it is nearer than the threshold in u and in v. True people in their order take the free
    prediction that agrees in most of the joints 2 to 14; of equals the one whose joints are nearer.
    """
    rows = list(MATCHED_JOINTS)
    away = np.abs(gt_px[:, None, rows] - pred_px[None, :, rows])
    agree = (away < threshold_px).all(axis=-1)
    votes = agree.sum(axis=2)
    reach = np.where(agree, np.hypot(away[..., 0], away[..., 1]), 0).sum(axis=2)
    preference = votes - reach / (reach.max(initial=0) + 1) * 0.5
    owner = np.full(len(gt_px), -1)
    free = np.ones(len(pred_px), bool)
    for i in range(len(gt_px)):
        candidates = np.flatnonzero(free & (votes[i] > 0))
        if len(candidates):
            owner[i] = candidates[np.argmax(preference[i, candidates])]
            free[owner[i]] = False
    return owner


def rescaled(pred_m: FloatArray, gt_m: FloatArray) -> FloatArray:
    """(K, 17, 3) predictions with the truth's bone lengths and their own directions; the pelvis stays.

    A bone of no length keeps none.
    """
    out = pred_m.copy()
    for child in TRAVERSAL:
        parent = PARENTS[child]
        bone = pred_m[:, child] - pred_m[:, parent]
        length = np.linalg.norm(bone, axis=1)
        wanted = np.linalg.norm(gt_m[:, child] - gt_m[:, parent], axis=1)
        ratio = np.where(length > 0, wanted / np.where(length > 0, length, 1), 0)
        out[:, child] = out[:, parent] + ratio[:, None] * bone
    return out


def pck3d(frames: Sequence[MupotsFrame], rescale: bool = True) -> dict[str, float]:
    """`3DPCK_rel`, `3DPCK_abs`, each over all true people and over matched ones (`..._matched`), 0..1.

    "All" counts the joints of somebody who is not found as wrong. Means over the people of a sequence, then
    over the sequences; NaN without any people.
    """
    names = ("3DPCK_rel", "3DPCK_abs")
    found: dict[str, list[FloatArray]] = {}
    missed: dict[str, int] = {}
    for frame in frames:
        owner = match(frame.pred_px, frame.gt_px)
        true = np.flatnonzero(owner >= 0)
        pred, gt = frame.pred_m[owner[true]], frame.gt_m[true]
        pred = rescaled(pred, gt) if rescale else pred
        shares = [
            np.nanmean(pck(pred, gt, root, PCK_MM)[:, list(SCORED_JOINTS)], axis=1)
            for root in (PELVIS, None)
        ]
        found.setdefault(frame.sequence, []).append(np.stack(shares, axis=1))
        missed[frame.sequence] = missed.get(frame.sequence, 0) + len(owner) - len(true)
    out: dict[str, float] = {}
    for k, name in enumerate(names):
        everyone, matched = [], []
        for sequence, parts in found.items():
            shares_of = np.concatenate(parts)[:, k]
            total = len(shares_of) + missed[sequence]
            if total:
                everyone.append(shares_of.sum() / total)
            if len(shares_of):
                matched.append(shares_of.mean())
        out[name] = float(np.mean(everyone)) if everyone else float("nan")
        out[f"{name}_matched"] = float(np.mean(matched)) if matched else float("nan")
    return out
