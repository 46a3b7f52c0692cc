"""What is judged on pairs of people: how far apart, and who is nearer to the camera."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from crowd3d.evaluate.metrics.align import similarity_between

FloatArray = npt.NDArray[np.float64]

TIE_M = 0.3
# Upper edges of the bins of true distances; the last bin has no end.
DISTANCE_EDGES_M = (2.0, 5.0, 10.0, 20.0, 50.0)


@dataclass(frozen=True)
class PairTable:
    """Symmetric (K, K) tables over matched people, with zero diagonals.

    Attributes:
        distance: similarity 0..1 of the distances between the two; aligned: after one similarity transform.
        order: 1 where the two are in the right order of depth.
        gap_m: true distances; relative: |predicted - true| / true distance, NaN for a true distance of 0.
        scale: of the transform from truth-like predictions; NaN if there are not enough people.
    """

    distance: FloatArray
    aligned: FloatArray
    order: FloatArray
    gap_m: FloatArray
    relative: FloatArray
    scale: float


def distances_m(points_m: FloatArray) -> FloatArray:
    """(K, 3) -> (K, K)."""
    return np.asarray(cdist(points_m, points_m))


def pair_table(
    pred_m: FloatArray, gt_m: FloatArray, gt_depth_m: FloatArray, tie_m: float | None
) -> PairTable:
    """All pairs of K matched people.

    Args:
        pred_m, gt_m: (K, 3) torso centres.
        gt_depth_m: (K,) depth by which the true order goes.
        tie_m: depths so near are a tie, which has to be predicted as one; None = a tie is always wrong.
    """
    gap, found = distances_m(gt_m), distances_m(pred_m)
    transform = similarity_between(pred_m, gt_m)
    aligned = found if transform is None else found * transform.scale
    off_diagonal = 1 - np.eye(len(gt_m))
    return PairTable(
        distance=_similar(found, gap) * off_diagonal,
        aligned=_similar(aligned, gap) * off_diagonal,
        order=_same_order(pred_m[:, 2], gt_depth_m, tie_m) * off_diagonal,
        gap_m=gap,
        relative=_relative(found, gap),
        scale=np.nan if transform is None else transform.scale,
    )


def _relative(found: FloatArray, gap: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(gap > 0, np.abs(found - gap) / gap, np.nan))


def _similar(found: FloatArray, gap: FloatArray) -> FloatArray:
    """max(0, 1 - |found - gap| / gap); two people in one place are only alike to two in one place."""
    relative = np.where(gap > 0, _relative(found, gap), np.where(found > 0, 1.0, 0.0))
    return np.asarray(np.maximum(0.0, 1 - relative))


def _same_order(pred_z: FloatArray, gt_z: FloatArray, tie_m: float | None) -> FloatArray:
    pred, gt = pred_z[:, None] - pred_z[None], gt_z[:, None] - gt_z[None]
    if tie_m is None:
        return np.asarray(pred * gt > 0, np.float64)
    return np.asarray(_classes(pred, tie_m) == _classes(gt, tie_m), np.float64)


def _classes(difference: FloatArray, tie_m: float) -> npt.NDArray[np.int64]:
    """-1 nearer, 0 a tie, 1 farther."""
    return np.where(np.abs(difference) <= tie_m, 0, np.sign(difference)).astype(np.int64)


def mean_of_pairs(table: FloatArray, weight: FloatArray | None = None) -> FloatArray | float:
    """Mean over pairs of different people; NaN without any.

    Args:
        weight: (B, K) how often everyone is drawn; a person drawn twice makes no pair with themselves.

    Returns:
        A number, or (B,) with weights.
    """
    if weight is None:
        n = len(table)
        return float(table.sum() / (n * (n - 1))) if n > 1 else float("nan")
    total = ((weight @ table) * weight).sum(axis=1)
    pairs = weight.sum(axis=1) ** 2 - (weight**2).sum(axis=1)
    return np.asarray(np.where(pairs > 0, total / np.where(pairs > 0, pairs, 1), np.nan))


def depth_relations(
    pred_depth_m: npt.ArrayLike, gt_layer: npt.ArrayLike, tie_m: float = 0.2
) -> tuple[int, int]:
    """PCDR of RelativeHuman (Sun et al., CVPR 2022): pairs whose depth relation is right, and all pairs.

    Args:
        pred_depth_m: (K,) predicted depths.
        gt_layer: (K,) annotated layers of depth, 0 = nearest; a negative layer is unknown.
        tie_m: predicted depths so near are of one layer; the paper's PCDR^0.2.

    Returns:
        Right and all, to be summed over pictures before they are divided.
    """
    depth, layer = np.asarray(pred_depth_m, np.float64), np.asarray(gt_layer)
    known = layer >= 0
    depth, layer = depth[known], layer[known]
    i, j = np.triu_indices(len(layer), 1)
    relation = _classes(depth[i] - depth[j], tie_m)
    return int((relation == np.sign(layer[i].astype(int) - layer[j].astype(int))).sum()), len(i)


def binned_error(tables: list[PairTable]) -> list[dict[str, float | int | None]]:
    """Median and mean relative error of distances, by true distance."""
    upper = [np.triu_indices(len(t.gap_m), 1) for t in tables]
    gap = np.concatenate([np.zeros(0), *[t.gap_m[u] for t, u in zip(tables, upper, strict=True)]])
    error = np.concatenate(
        [np.zeros(0), *[t.relative[u] for t, u in zip(tables, upper, strict=True)]]
    )
    edges = (0.0, *DISTANCE_EDGES_M, np.inf)
    rows: list[dict[str, float | int | None]] = []
    for low, high in itertools.pairwise(edges):
        inside = error[(gap > low) & (gap <= high)]
        rows.append(
            {
                "from_m": low,
                "to_m": None if np.isinf(high) else high,
                "pairs": len(inside),
                "median": float(np.median(inside)) if len(inside) else None,
                "mean": float(inside.mean()) if len(inside) else None,
            }
        )
    return rows
