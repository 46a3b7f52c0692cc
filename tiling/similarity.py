"""How alike two detections are: box overlap, keypoint similarity, mean shift."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Per-keypoint standard deviations of human annotators, in square roots of the person's area,
# COCO-17 order (nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles).
COCO_SIGMAS = np.repeat(
    [0.026, 0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089], [1, 2, 2, 2, 2, 2, 2, 2, 2]
)
_TINY = 1e-9
_PAIR_BLOCK = 1 << 15  # pairs compared at once: bounds the memory of dense crowds


def box_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of paired boxes, (K, 4) xyxy each; 0 for boxes without area."""
    span = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0.0)
    overlap = span[:, 0] * span[:, 1]
    union = box_areas(a) + box_areas(b) - overlap
    return np.asarray(np.where(union > 0.0, overlap / np.maximum(union, _TINY), 0.0))


def keypoint_similarity(a: FloatArray, b: FloatArray, area_px2: FloatArray) -> FloatArray:
    """OKS of paired keypoints, symmetric: each weighs as much as the lower of its two scores.

    Args:
        a, b: (K, 17, 3); area_px2: (K,).

    Returns:
        (K,) in [0, 1]; 0 where no keypoint has a score in both.
    """
    square = ((a[..., :2] - b[..., :2]) ** 2).sum(axis=-1)
    variance = 2.0 * np.maximum(area_px2, _TINY)[:, None] * (2.0 * COCO_SIGMAS) ** 2
    weight = np.maximum(np.minimum(a[..., 2], b[..., 2]), 0.0)
    total = weight.sum(axis=1)
    agree = (weight * np.exp(-square / variance)).sum(axis=1)
    return np.asarray(np.where(total > 0.0, agree / np.maximum(total, _TINY), 0.0))


def box_areas(boxes: FloatArray) -> FloatArray:
    """(N,) areas, 0 for degenerate boxes."""
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return np.asarray(size[:, 0] * size[:, 1])


def pair_similarity(
    kps: FloatArray, boxes: FloatArray, low: IntArray, high: IntArray
) -> FloatArray:
    """`keypoint_similarity` of the pairs (low, high), the area being the geometric mean of both."""
    area = box_areas(boxes)
    result = np.empty(len(low))
    for start in range(0, len(low), _PAIR_BLOCK):
        i, j = low[start : start + _PAIR_BLOCK], high[start : start + _PAIR_BLOCK]
        result[start : start + _PAIR_BLOCK] = keypoint_similarity(
            kps[i], kps[j], np.sqrt(area[i] * area[j])
        )
    return result


def pair_shift(kps: FloatArray, boxes: FloatArray, low: IntArray, high: IntArray) -> FloatArray:
    """Distance of the mean keypoints of each pair, in geometric mean box sizes."""
    mean, size = kps[..., :2].mean(axis=1), box_sizes(boxes)
    distance = np.sqrt(((mean[low] - mean[high]) ** 2).sum(axis=1))
    return np.asarray(distance / np.sqrt(size[low] * size[high]))


def box_sizes(boxes: FloatArray) -> FloatArray:
    """(N,) longer sides, positive even for degenerate boxes."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=_TINY))
