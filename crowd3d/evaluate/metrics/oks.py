"""Object keypoint similarity, and the average precision built on it (the COCO keypoint challenge)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiling import COCO_SIGMAS

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
_NOTHING = 40.0  # exp(-40) is below the rounding of a similarity
_CHUNK = 100_000  # pairs at a time


def oks_matrix(
    pred_px: npt.ArrayLike,
    gt_px: npt.ArrayLike,
    area_px2: npt.ArrayLike,
    visible: npt.ArrayLike | None = None,
) -> FloatArray:
    """Similarity of every true person with every predicted one.

        oks = mean_k exp(-d_k^2 / (2 A (2 sigma_k)^2))

    Args:
        pred_px: (M, 17, 2); a keypoint that is not finite is as far as can be.
        gt_px: (N, 17, 2).
        area_px2: (N,) of the true people.
        visible: (N, 17) which keypoints count; None = all. A person of whom none counts is like nobody.

    Returns:
        (N, M) in 0..1.
    """
    pred = np.asarray(pred_px, np.float64).reshape(-1, 17, 2)
    gt = np.asarray(gt_px, np.float64).reshape(-1, 17, 2)
    counted = np.ones(gt.shape[:2]) if visible is None else np.asarray(visible, np.float64)
    counted = (counted.reshape(gt.shape[:2]) > 0).astype(np.float64)
    area = np.maximum(np.asarray(area_px2, np.float64).reshape(len(gt)), 1e-9)
    falloff = 1 / (2 * area[:, None] * (2 * COCO_SIGMAS) ** 2)
    weight = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    out = np.zeros((len(gt), len(pred)))
    rows, columns = _near(pred, gt, falloff.min(axis=1, initial=np.inf))
    for start in range(0, len(rows), _CHUNK):
        i, j = rows[start : start + _CHUNK], columns[start : start + _CHUNK]
        squared = ((gt[i] - pred[j]) ** 2).sum(axis=-1)
        squared = np.where(np.isfinite(squared), squared, np.inf)
        out[i, j] = (np.exp(-squared * falloff[i]) * counted[i]).sum(axis=1) * weight[i].max(axis=1)
    return out


def _near(
    pred: FloatArray, gt: FloatArray, slowest_falloff: FloatArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of pairs whose similarity can be told from 0, by the circles around the people."""
    (p, p_radius), (g, g_radius) = _circle(pred), _circle(gt)
    du, dv = g[:, None, 0] - p[None, :, 0], g[:, None, 1] - p[None, :, 1]
    reach = g_radius[:, None] + p_radius[None] + np.sqrt(_NOTHING / slowest_falloff)[:, None]
    rows, columns = np.nonzero(du * du + dv * dv <= reach * reach)
    return rows, columns


def _circle(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centres (N, 2) and radii (N,) around the known ones of (N, 17, 2) points; NaN for nothing known."""
    known = np.isfinite(points.sum(axis=2, keepdims=True))
    count = known.sum(axis=1)
    total = np.where(known, points, 0).sum(axis=1)
    center = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    away = np.where(known[..., 0], np.hypot(*np.moveaxis(points - center[:, None], -1, 0)), 0)
    return center, away.max(axis=1, initial=0)


@dataclass(frozen=True)
class ApFrame:
    """One picture for average precision.

    Attributes:
        pred_px: (M, 17, 2); score: (M,).
        gt_px: (N, 17, 2); visible: (N, 17) labelled; area_px2: (N,).
        ignored: (N,) people who need not be found, and whom to find is no mistake.
        boxes_px: (N, 4) of the true people, for those of whom no keypoint is labelled.
        crowd: (N,) ignored ones that several predictions may be of; None = nobody.
    """

    pred_px: FloatArray
    score: FloatArray
    gt_px: FloatArray
    visible: BoolArray
    area_px2: FloatArray
    ignored: BoolArray
    boxes_px: FloatArray | None = None
    crowd: BoolArray | None = None


def average_precision(
    frames: Sequence[ApFrame], max_detections: int | None = None
) -> dict[str, float]:
    """AP, AP50, AP75 and AR over OKS 0.50:0.05:0.95, at 101 recalls.

    Args:
        max_detections: best-scored people that count in a picture; COCO's 20 is no measure of crowds.

    Returns:
        `AP`, `AP50`, `AP75`, `AR`; NaN if there is nobody to be found.
    """
    hits, void, scores = [], [], []
    n_asked = 0
    for frame in frames:
        hit, dropped, score = _ap_matches(frame, max_detections)
        hits.append(hit)
        void.append(dropped)
        scores.append(score)
        n_asked += int((~frame.ignored).sum())
    if not n_asked:
        return dict.fromkeys(("AP", "AP50", "AP75", "AR"), float("nan"))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hit, dropped = np.concatenate(hits, axis=1)[:, order], np.concatenate(void, axis=1)[:, order]
    curves = [_precision(h[~d], n_asked) for h, d in zip(hit, dropped, strict=True)]
    ap = np.array([curve for curve, _ in curves])
    recall = np.array([reached for _, reached in curves])
    return {
        "AP": float(ap.mean()),
        "AP50": float(ap[0]),
        "AP75": float(ap[5]),
        "AR": float(recall.mean()),
    }


def _ap_matches(
    frame: ApFrame, max_detections: int | None
) -> tuple[BoolArray, BoolArray, FloatArray]:
    """Per threshold: is a prediction right, is it to be forgotten; and the scores, best first."""
    order = np.argsort(-frame.score, kind="stable")[:max_detections]
    similarity = oks_matrix(frame.pred_px[order], frame.gt_px, frame.area_px2, frame.visible)
    blank = ~frame.visible.any(axis=1)
    if blank.any() and frame.boxes_px is not None:
        similarity[blank] = _near_box(
            frame.pred_px[order], frame.boxes_px[blank], frame.area_px2[blank]
        )
    hit = np.zeros((len(THRESHOLDS), len(order)), bool)
    dropped = np.zeros_like(hit)
    asked, ignored = np.flatnonzero(~frame.ignored), np.flatnonzero(frame.ignored)
    shared = set() if frame.crowd is None else set(np.flatnonzero(frame.crowd[ignored]).tolist())
    alike, void = _alike(similarity[asked]), _alike(similarity[ignored])
    for t, threshold in enumerate(THRESHOLDS):
        taken: set[int] = set()
        forgotten: set[int] = set()
        for j in range(len(order)):
            if (best := _free(alike[j], taken, threshold)) is not None:
                taken.add(best)
                hit[t, j] = True
            elif (nobody := _free(void[j], forgotten - shared, threshold)) is not None:
                forgotten.add(nobody)
                dropped[t, j] = True
    return hit, dropped, frame.score[order]


def _alike(similarity: FloatArray) -> list[list[tuple[float, int]]]:
    """Per column the rows that any threshold accepts, best first; of equals the last, as in COCO's own code."""
    out: list[list[tuple[float, int]]] = [[] for _ in range(similarity.shape[1])]
    rows, columns = np.nonzero(similarity >= THRESHOLDS[0])
    values = similarity[rows, columns]
    for value, i, j in zip(values.tolist(), rows.tolist(), columns.tolist(), strict=True):
        out[j].append((value, i))
    return [sorted(candidates, reverse=True) for candidates in out]


def _free(candidates: list[tuple[float, int]], taken: set[int], threshold: float) -> int | None:
    """The best candidate who is free and alike enough."""
    return next((i for value, i in candidates if value >= threshold and i not in taken), None)


def _near_box(pred_px: FloatArray, boxes_px: FloatArray, area_px2: FloatArray) -> FloatArray:
    """COCO's rule for people without labelled keypoints: distance to the doubled box."""
    size = boxes_px[:, 2:] - boxes_px[:, :2]
    low, high = boxes_px[:, :2] - size, boxes_px[:, 2:] + size
    points = pred_px[None]
    away = np.maximum(0, np.maximum(low[:, None, None] - points, points - high[:, None, None]))
    falloff = 1 / (2 * np.maximum(area_px2, 1e-9)[:, None, None] * (2 * COCO_SIGMAS) ** 2)
    return np.asarray(np.exp(-(away**2).sum(axis=-1) * falloff).mean(axis=-1))


def _precision(hit: BoolArray, n_asked: int) -> tuple[float, float]:
    """Mean of the best precision at or beyond each of 101 recalls, and the recall reached."""
    right = np.cumsum(hit)
    recall, precision = right / n_asked, right / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS, side="left")
    values = np.append(envelope, 0.0)[at]
    return float(values.mean()), float(recall[-1]) if len(recall) else 0.0
