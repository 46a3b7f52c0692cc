"""Finds people whom a file lists more than once: everybody twice, or several detections of one person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from crowd3d.data.poses.joints import Floats
from crowd3d.scene.detections import Detections
from tiling.similarity import box_areas, keypoint_similarity

IntArray = npt.NDArray[np.int64]

# Two poses as similar (OKS) show one person: their joints are 5 px apart or less where people are 100 px tall.
# MMPose and others join their own detections from 0.9 on.
_SAME = 0.85
# Poses as similar stand where another stands. In one picture that is rare, also in crowds.
_AT_ONE_PLACE = 0.5
_LEAST_SHARED = 4  # joints that both must show, lest a single wrist decides
_UPPER = slice(0, 7)  # face and shoulders, which also a pose cut at the waist has
_NEIGHBOURS = 12  # in which somebody's other poses are looked for


def first_of_each(people: Detections) -> IntArray:
    """Rows of the people when each is taken once, the best seen pose of each, in the file's order."""
    rows = np.arange(len(people))
    while True:
        kept = _once(people.filter(rows))
        if len(kept) == len(rows):
            return rows
        # Of somebody listed dozens of times the neighbours are others of the same; look again.
        rows = rows[kept]


def share_at_one_place(people: Detections) -> float:
    """Share of people who stand where another person of the list stands, too."""
    if len(people) < 2:
        return 0.0
    low, high, likeness = _pairs(people)
    return len(np.unique(np.concatenate([low, high])[np.tile(likeness > _AT_ONE_PLACE, 2)])) / len(
        people
    )


def _once(people: Detections) -> IntArray:
    """Rows left after each better pose has taken the neighbours that show the same person."""
    if len(people) < 2:
        return np.arange(len(people))
    low, high, likeness = _pairs(people)
    same = likeness >= _SAME
    trust = people.keypoints_px[..., 2].sum(axis=1)
    rank = np.empty(len(people), np.int64)
    rank[np.lexsort((np.arange(len(people)), -trust))] = np.arange(len(people))
    low, high = low[same], high[same]
    better, worse = np.where(rank[low] < rank[high], (low, high), (high, low))
    is_kept = np.ones(len(people), bool)
    for i in np.argsort(rank[better], kind="stable"):
        if is_kept[better[i]]:
            is_kept[worse[i]] = False
    return np.flatnonzero(is_kept)


def _pairs(people: Detections) -> tuple[IntArray, IntArray, Floats]:
    """Pairs of neighbours, and how alike their poses are (OKS); 0 where they share too few joints."""
    points = people.keypoints_px
    near = min(_NEIGHBOURS + 1, len(people))
    places = _upper_middle(points)
    found = cKDTree(places).query(places, near)[1]
    pairs = np.stack([np.repeat(np.arange(len(people)), near), found.ravel()])
    pairs = np.unique(np.sort(pairs, axis=0), axis=1)
    low, high = pairs[:, pairs[0] < pairs[1]]
    seen = points[..., 2] > 0
    shared = (seen[low] & seen[high]).sum(axis=1)
    areas = box_areas(people.box_px)
    likeness = keypoint_similarity(points[low], points[high], np.sqrt(areas[low] * areas[high]))
    return low, high, np.where(shared >= _LEAST_SHARED, likeness, 0.0)


def _upper_middle(points: Floats) -> Floats:
    """(N, 2) mean of the joints of face and shoulders, or of all joints where none of those is seen."""
    weight = (points[..., 2] > 0).astype(np.float64)
    has_upper = weight[:, _UPPER].any(axis=1)
    weight[has_upper, _UPPER.stop :] = 0
    middle = (weight[..., None] * points[..., :2]).sum(axis=1) / weight.sum(axis=1, keepdims=True)
    return np.asarray(middle)
