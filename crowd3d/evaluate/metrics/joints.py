"""Errors of joints and vertices in 3D, millimetres out, metres in. One row a person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crowd3d.errors import BodyError, DataError
from crowd3d.evaluate.metrics.align import aligned

FloatArray = npt.NDArray[np.float64]

MM = 1000.0
# What the evaluator of LargeCrowd's authors charges for everyone who is not found.
MISSING_MM = 150.0


def mpjpe_mm(
    pred_m: npt.ArrayLike, gt_m: npt.ArrayLike, root: int | tuple[int, ...] | None = 0
) -> FloatArray:
    """Mean distance of joints after their roots are laid on each other (Ionescu et al., PAMI 2014).

    Args:
        pred_m, gt_m: (N, J, 3) camera frame. Joints unknown in either are left out.
        root: of the joints, the one to align; several = their mean; None = compare places in the camera frame.

    Returns:
        (N,), NaN for people of whom no joint or no root is known.
    """
    pred, gt = _same(pred_m, gt_m)
    return _mean_distance(_rooted(pred, root), _rooted(gt, root))


def pa_mpjpe_mm(pred_m: npt.ArrayLike, gt_m: npt.ArrayLike, with_scale: bool = True) -> FloatArray:
    """Mean distance of joints after the best similarity transform, or the best rigid one without scale.

    Args:
        pred_m, gt_m: (N, J, 3).

    Returns:
        (N,), NaN for people of whom fewer than three joints are known.
    """
    pred, gt = _same(pred_m, gt_m)
    known = np.asarray(np.isfinite(pred + gt).all(axis=2))
    out = np.full(len(gt), np.nan)
    whole = known.all(axis=1) if gt.shape[1] >= 3 else np.zeros(len(gt), bool)
    if whole.any():
        out[whole] = _mean_distance(aligned(pred[whole], gt[whole], with_scale), gt[whole])
    for i in np.flatnonzero(~whole & (known.sum(axis=1) >= 3)):
        p, g = pred[i, known[i]][None], gt[i, known[i]][None]
        out[i] = _mean_distance(aligned(p, g, with_scale), g)[0]
    return out


def pve_mm(
    pred_vertices_m: npt.ArrayLike,
    gt_vertices_m: npt.ArrayLike,
    pred_body: str,
    gt_body: str,
    pred_root_m: npt.ArrayLike | None = None,
    gt_root_m: npt.ArrayLike | None = None,
) -> FloatArray:
    """Per-vertex error (PVE, MPVPE) of (N, V, 3) meshes of one body, their (N, 3) roots aligned if given.

    Raises:
        BodyError: the meshes are of different bodies, whose vertices do not correspond.
    """
    same_body(pred_body, gt_body)
    pred, gt = _same(pred_vertices_m, gt_vertices_m)
    if pred_root_m is not None and gt_root_m is not None:
        pred = pred - np.asarray(pred_root_m, np.float64)[:, None]
        gt = gt - np.asarray(gt_root_m, np.float64)[:, None]
    return _mean_distance(pred, gt)


def same_body(pred_body: str, gt_body: str) -> None:
    """Raises BodyError unless vertices of the two bodies correspond."""
    if pred_body != gt_body:
        raise BodyError(
            f"the predictions are meshes of the body {pred_body!r}, the truth is of {gt_body or 'no body'!r}; "
            "their vertices do not correspond and cannot be compared. Joints and keypoints can"
        )


def mrpe_mm(pred_root_m: npt.ArrayLike, gt_root_m: npt.ArrayLike) -> dict[str, float]:
    """Mean error of the root's place, and of its x, y and z (Moon et al., ICCV 2019).

    Args:
        pred_root_m, gt_root_m: (N, 3) of matched people, camera frame.

    Returns:
        `MRPE`, `MRPE_x`, `MRPE_y`, `MRPE_z`; NaN for nobody.
    """
    away = np.asarray(pred_root_m, np.float64) - np.asarray(gt_root_m, np.float64)
    away = away.reshape(-1, 3)
    away = away[np.isfinite(away).all(axis=1)]
    if not len(away):
        return dict.fromkeys(("MRPE", "MRPE_x", "MRPE_y", "MRPE_z"), float("nan"))
    axes = MM * np.abs(away).mean(axis=0)
    length = MM * float(np.linalg.norm(away, axis=1).mean())
    return {"MRPE": length} | {f"MRPE_{a}": float(v) for a, v in zip("xyz", axes, strict=True)}


def with_missing(errors_mm: npt.ArrayLike, n_gt: int, missing_mm: float = MISSING_MM) -> float:
    """Mean over all true people, of whom those not found count as `missing_mm`; NaN for nobody."""
    found = np.asarray(errors_mm, np.float64)
    found = found[np.isfinite(found)]
    if not n_gt:
        return float("nan")
    return float((found.sum() + missing_mm * (n_gt - len(found))) / n_gt)


def pck(
    pred_m: npt.ArrayLike,
    gt_m: npt.ArrayLike,
    root: int | None,
    threshold_mm: float = 150.0,
) -> FloatArray:
    """(N, J, 3) twice -> (N, J) 1 where a joint lies within the threshold, NaN where the truth is unknown.

    Args:
        root: joint that is laid on its twin first; None = as they stand in the camera frame (absolute).
    """
    distance = _distances(*(_rooted(a, root) for a in _same(pred_m, gt_m)))
    known = np.isfinite(_same(pred_m, gt_m)[1]).all(axis=2)
    return np.where(known, (distance < threshold_mm).astype(np.float64), np.nan)


def _distances(pred: FloatArray, gt: FloatArray) -> FloatArray:
    return np.asarray(MM * np.sqrt(((pred - gt) ** 2).sum(axis=-1)))


def _mean_distance(pred: FloatArray, gt: FloatArray) -> FloatArray:
    distance = _distances(pred, gt)
    known = np.isfinite(distance)
    count = known.sum(axis=1)
    total = np.where(known, distance, 0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _rooted(points: FloatArray, root: int | tuple[int, ...] | None) -> FloatArray:
    if root is None:
        return points
    rows = [root] if isinstance(root, int) else list(root)
    return np.asarray(points - points[:, rows].mean(axis=1, keepdims=True))


def _same(pred_m: npt.ArrayLike, gt_m: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    pred, gt = np.asarray(pred_m, np.float64), np.asarray(gt_m, np.float64)
    if pred.shape != gt.shape or pred.ndim != 3 or pred.shape[2] != 3:
        raise DataError(
            f"points of shapes {pred.shape} and {gt.shape} where (N, J, 3) twice belongs"
        )
    return pred, gt
