"""One person seen by several tiles becomes one person, with the evidence of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from tiling.errors import MergeError
from tiling.similarity import box_iou, box_sizes, pair_shift, pair_similarity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_TINY = 1e-9


class _Pairs(NamedTuple):
    """Similar detections, better-ranked one first; both directions are never stored."""

    better: IntArray
    worse: IntArray
    similarity: FloatArray


@dataclass(frozen=True)
class Merged:
    """People after merging, best first, M of them from N detections.

    Attributes:
        labels: (N,) person of each detection.
        order: (M,) the detection that leads each person, whose score times quality is the highest.
        keypoints_px: (M, 17, 3) picture pixels and score, weighted means.
        boxes_px: (M, 4) xyxy, weighted means.
        scores: (M,) the highest score among the detections.
        count: (M,) number of detections.
    """

    labels: IntArray
    order: IntArray
    keypoints_px: FloatArray
    boxes_px: FloatArray
    scores: FloatArray
    count: IntArray


def merge_detections(
    keypoints_px: npt.ArrayLike,
    boxes_px: npt.ArrayLike,
    scores: npt.ArrayLike,
    quality: npt.ArrayLike | None = None,
    tile_index: npt.ArrayLike | None = None,
    *,
    min_similarity: float = 0.5,
    min_similarity_aligned: float = 0.25,
    max_shift: float = 0.05,
    min_similarity_same_tile: float = 0.8,
    min_iou: float = 0.25,
    max_offset: float = 0.35,
    max_size_ratio: float = 1.8,
) -> Merged:
    """Groups detections of the same person and fuses each group.

    Two detections are alike if their boxes overlap by `min_iou` and the OKS of their keypoints,
    each keypoint weighted by the lower of its two scores, reaches `min_similarity`. The best
    detection that is still free leads a person; those it is like, and no other leader more, join
    it. Every member is thus like its leader itself, and neighbours are never chained. The result
    does not depend on the order of the detections. Cost: a k-d tree per octave of size, near-linear
    in N.

    Args:
        keypoints_px: (N, 17, 3) picture pixels and score; boxes_px: (N, 4) xyxy; scores: (N,).
        quality: (N,) trust in the place and size of each detection, 1 by default, e.g.
            `view_quality`.
        tile_index: (N,) tile of each detection: those of one tile are told apart already by the
            network, so they need `min_similarity_same_tile` to be the same person.
        min_similarity_aligned, max_shift: a lower limit for pairs whose 17 keypoints are on average
            moved by at most `max_shift` box sizes: two views of one person scatter around the same
            place, two people are apart in one direction.
        max_offset: largest distance of two box centres, in geometric mean box sizes (longer sides).
        max_size_ratio: largest ratio of two box sizes.

    Returns:
        Merged, people best first.

    Raises:
        MergeError: arrays of different lengths, or numbers that are not finite.
    """
    kps, boxes, score, trust, tile = _checked(keypoints_px, boxes_px, scores, quality, tile_index)
    canonical = _ranking(kps, boxes, score, trust, tile)
    kps, boxes, tile = kps[canonical], boxes[canonical], tile[canonical]
    score, trust = score[canonical], trust[canonical]
    low, high = _neighbours(boxes, max_offset, max_size_ratio)
    keep = box_iou(boxes[low], boxes[high]) >= min_iou
    low, high = low[keep], high[keep]
    similarity = pair_similarity(kps, boxes, low, high)
    aligned = pair_shift(kps, boxes, low, high) <= max_shift
    limit = np.where(aligned, min_similarity_aligned, min_similarity)
    limit[tile[low] == tile[high]] = min_similarity_same_tile
    keep = similarity >= limit
    leader = _lead(len(boxes), _Pairs(low[keep], high[keep], similarity[keep]))
    leads, group = np.unique(leader, return_inverse=True)
    labels = np.empty(len(boxes), dtype=np.int64)
    labels[canonical] = group
    fused_kps, fused_boxes = _fuse(kps, boxes, score * trust, group, len(leads))
    best = np.zeros(len(leads))
    np.maximum.at(best, group, score)
    count = np.bincount(group, minlength=len(leads)).astype(np.int64)
    return Merged(labels, canonical[leads], fused_kps, fused_boxes, best, count)


def view_quality(
    boxes_px: npt.ArrayLike,
    tiles_xywh: npt.ArrayLike,
    *,
    fill: tuple[float, float] = (0.3, 0.6),
    border: float = 0.1,
    floor: float = 0.05,
) -> FloatArray:
    """How well a tile could see a person: 1 well inside and of the right size, lower elsewhere.

    Args:
        boxes_px: (N, 4) xyxy; tiles_xywh: (N, 4) x, y, side_w, side_h of the tile of each
            detection.
        fill: best range of box height as a fraction of the tile's side.
        border: distance from the tile's border, in box heights, from which a person is safe.
        floor: lowest answer.

    Returns:
        (N,) in [floor, 1].
    """
    box = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
    tile = np.asarray(tiles_xywh, dtype=np.float64).reshape(-1, 4)
    height = np.maximum(box[:, 3] - box[:, 1], _TINY)
    gap = np.minimum(box[:, :2] - tile[:, :2], tile[:, :2] + tile[:, 2:] - box[:, 2:]).min(axis=1)
    inside = np.clip(0.5 + 0.5 * gap / (border * height), 0.0, 1.0)
    share = height / np.maximum(tile[:, 3], _TINY)
    octaves = np.log2(np.maximum(np.maximum(fill[0] / share, share / fill[1]), 1.0))
    return np.asarray(np.maximum(inside * np.exp2(-octaves), floor))


def _checked(
    keypoints: npt.ArrayLike,
    boxes: npt.ArrayLike,
    scores: npt.ArrayLike,
    quality: npt.ArrayLike | None,
    tiles: npt.ArrayLike | None,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray]:
    score = np.asarray(scores, dtype=np.float64)
    n = len(score)
    trust = np.ones(n) if quality is None else np.asarray(quality, dtype=np.float64)
    # without tiles, every detection is treated as another tile's
    tile = np.arange(n) if tiles is None else np.asarray(tiles, dtype=np.int64)
    kps, box = np.asarray(keypoints, dtype=np.float64), np.asarray(boxes, dtype=np.float64)
    if n == 0:
        kps, box = kps.reshape(0, 17, 3), box.reshape(0, 4)
    shapes = [kps.shape, box.shape, score.shape, trust.shape, tile.shape]
    if shapes != [(n, 17, 3), (n, 4), (n,), (n,), (n,)]:
        raise MergeError(
            f"keypoints, boxes, scores, quality and tiles have shapes {shapes}, expected "
            f"(N, 17, 3), (N, 4) and three times (N,)"
        )
    bad = ~(np.isfinite(kps).all(axis=(1, 2)) & np.isfinite(box).all(axis=1))
    bad |= ~(np.isfinite(score) & np.isfinite(trust))
    if bad.any():
        raise MergeError(
            f"{int(bad.sum())} of {n} detections are not finite (first: {int(bad.argmax())}); "
            "drop them before merging"
        )
    return kps, box, score, trust, tile


def _ranking(
    kps: FloatArray, boxes: FloatArray, score: FloatArray, trust: FloatArray, tile: IntArray
) -> IntArray:
    """(N,) best first. Ties are broken by content, so the order of the input does not matter."""
    sums = (kps.reshape(-1, 51) * np.linspace(1.0, 2.0, 51)).sum(axis=1)
    return np.asarray(
        np.lexsort(
            (sums, tile, boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], -score, -score * trust)
        )
    )


def _neighbours(
    boxes: FloatArray, max_offset: float, max_ratio: float
) -> tuple[IntArray, IntArray]:
    """Pairs i < j of like-sized boxes with near centres; radii are local to a bucket of sizes."""
    size = box_sizes(boxes)
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    width = max_ratio * (1.0 + _TINY)  # a hair wider: sizes exactly max_ratio apart stay neighbours
    bucket = np.floor(np.log(size) / np.log(width)).astype(np.int64)
    found: list[IntArray] = [np.empty((0, 2), dtype=np.int64)]
    by_bucket = np.argsort(bucket, kind="stable")
    values, starts = np.unique(bucket[by_bucket], return_index=True)
    members = dict(zip(values.tolist(), np.split(by_bucket, starts)[1:], strict=True))
    for value, own in members.items():
        # sizes within the ratio lie in the same bucket or the next
        radius = max_offset * width ** (value + 1) * (1.0 + _TINY)
        tree = cKDTree(center[own])
        found.append(own[tree.query_pairs(radius, output_type="ndarray")])
        upper = members.get(value + 1)
        if upper is not None:
            radius *= width**0.5
            other = cKDTree(center[upper])
            sparse = tree.sparse_distance_matrix(other, radius, output_type="ndarray")
            found.append(np.stack([own[sparse["i"]], upper[sparse["j"]]], axis=1))
    pairs = np.concatenate(found)
    pairs.sort(axis=1)
    a, b = pairs[:, 0], pairs[:, 1]
    offset2 = ((center[a] - center[b]) ** 2).sum(axis=1)
    keep = offset2 <= max_offset**2 * size[a] * size[b]
    keep &= np.maximum(size[a], size[b]) <= max_ratio * np.minimum(size[a], size[b])
    return a[keep], b[keep]


def _lead(n: int, pairs: _Pairs) -> IntArray:
    """(N,) leader of each detection, indices being ranks (0 is best); leaders lead themselves.

    The leaders are those of a greedy pass from best to worst: whoever is like no leader above
    becomes one. Each round settles at once everybody who has no undecided better neighbour.
    """
    better, worse, similarity = pairs
    is_leader = np.zeros(n, dtype=bool)
    decided = np.zeros(n, dtype=bool)
    live = np.arange(len(better))
    while not decided.all():
        blocked = np.zeros(n, dtype=bool)
        blocked[worse[live]] = True
        is_leader |= ~decided & ~blocked
        decided |= is_leader
        decided[worse[live[is_leader[better[live]]]]] = True
        live = live[~decided[worse[live]] & ~decided[better[live]]]
    leader = np.arange(n)
    claims = np.flatnonzero(is_leader[better] & ~is_leader[worse])
    # the last writer wins: most similar leader, of equal ones the better
    claims = claims[np.lexsort((-better[claims], similarity[claims]))]
    leader[worse[claims]] = better[claims]
    return leader


def _fuse(
    kps: FloatArray, boxes: FloatArray, weight: FloatArray, group: IntArray, n_groups: int
) -> tuple[FloatArray, FloatArray]:
    """Weighted means per group; keypoints also weigh by their own score."""
    weight = np.maximum(weight, _TINY)
    total = np.bincount(group, weight, n_groups)
    joint = weight[:, None] * np.maximum(kps[..., 2], _TINY)
    fused = np.empty((n_groups, *kps.shape[1:]))
    for j in range(kps.shape[1]):
        joint_total = np.bincount(group, joint[:, j], n_groups)
        for axis in range(2):
            fused[:, j, axis] = (
                np.bincount(group, joint[:, j] * kps[:, j, axis], n_groups) / joint_total
            )
        fused[:, j, 2] = np.bincount(group, weight * kps[:, j, 2], n_groups) / total
    sides = [np.bincount(group, weight * boxes[:, k], n_groups) / total for k in range(4)]
    return fused, np.stack(sides, axis=1)
