"""Detections that are parts of a larger person: the usual false alarms of fine scales."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from tiling.similarity import FloatArray, box_iou

_PAIR_BLOCK = 1 << 18


def suppress_fragments(
    boxes_px: npt.ArrayLike,
    scores: npt.ArrayLike,
    expected_height_px: npt.ArrayLike | None = None,
    *,
    distinct: npt.NDArray[np.int64] | None = None,
    min_containment: float = 0.8,
    max_height_ratio: float = 0.6,
    max_score_ratio: float = 1.2,
    plausible_height: tuple[float, float] = (0.65, 1.5),
) -> npt.NDArray[np.bool_]:
    """Marks boxes that are body parts of a larger person.

    A box is a fragment of another one if at least `min_containment` of its area lies in it, it is
    at most `max_height_ratio` as high, and its score is at most `max_score_ratio` times the
    other's. Where the ground predicts heights, a box of plausible height is nobody's fragment, and
    one of implausible height has none.

    Args:
        boxes_px: (N, 4) xyxy; scores: (N,).
        expected_height_px: (N,) predicted height of a person at each box, NaN where unknown.
        distinct: (K, 2) pairs (box, larger box) that are known to be two people.
        plausible_height: lowest and highest ratio of a person's box to the predicted height.

    Returns:
        (N,) True where the box is a fragment.
    """
    boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
    score = np.asarray(scores, dtype=np.float64)
    expected = np.full(len(boxes), np.nan)
    if expected_height_px is not None:
        expected = np.asarray(expected_height_px, dtype=np.float64)
    height = boxes[:, 3] - boxes[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = height / expected
    known = np.isfinite(ratio)
    plausible = known & (ratio >= plausible_height[0]) & (ratio <= plausible_height[1])
    whole = np.flatnonzero(plausible | ~known)
    part = np.flatnonzero(~plausible)
    fragment = np.zeros(len(boxes), dtype=bool)
    for big, small in _centers_inside(boxes, whole, part):
        alike = height[small] <= max_height_ratio * height[big]
        alike &= score[small] <= max_score_ratio * score[big]
        small, big = without_pairs(small[alike], big[alike], distinct)
        fragment[small[containment(boxes[small], boxes[big]) >= min_containment]] = True
    return fragment


def without_pairs(
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    excluded: npt.NDArray[np.int64] | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of indices (first, second), without those among the rows of `excluded` (K, 2)."""
    if excluded is None or not (len(first) and len(excluded)):
        return first, second
    n = 1 + max(int(second.max()), int(excluded.max()))
    keep = ~np.isin(first * n + second, excluded[:, 0] * n + excluded[:, 1])
    return first[keep], second[keep]


def containment(inner: FloatArray, outer: FloatArray) -> FloatArray:
    """(K,) fraction of the first box of each pair that lies in the second; (K, 4) xyxy each."""
    low = np.maximum(inner[:, :2], outer[:, :2])
    high = np.maximum(np.minimum(inner[:, 2:], outer[:, 2:]), low)
    return box_iou(np.concatenate([low, high], axis=1), inner)


def _centers_inside(
    boxes: FloatArray, whole: npt.NDArray[np.int64], part: npt.NDArray[np.int64]
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Blocks of pairs (box, another box whose centre lies in it)."""
    if not (len(whole) and len(part)):
        return []
    center = (boxes[part, :2] + boxes[part, 2:]) / 2
    tree = shapely.STRtree(shapely.points(center))
    pairs = tree.query(shapely.box(*boxes[whole].T), predicate="intersects")
    big, small = whole[pairs[0]], part[pairs[1]]
    big, small = big[big != small], small[big != small]
    cuts = range(0, len(big), _PAIR_BLOCK)
    return [(big[i : i + _PAIR_BLOCK], small[i : i + _PAIR_BLOCK]) for i in cuts]
