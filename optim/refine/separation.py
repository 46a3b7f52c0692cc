"""The term that keeps people from standing inside one another: discs about torso centres over the ground.

The picture fixes people across the line of sight within a centimetre or two and along it within
decimetres. So two people who overlap are moved apart along it: what is penalised is the distance that
is missing in depth while the distance across stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from optim.projection import FloatArray

IntArray = npt.NDArray[np.int64]

RADIUS_OF_STATURE = 0.08  # half a torso's depth with clothes: 0.14 m of 1.70 m
TOLERANCE_M = 0.03  # bodies give way so far
_SD_M = 0.01  # how hard the rest is
_REACH_HEIGHT_M = 0.45  # torso centres farther apart in height are above one another
_LARGEST_M = 0.5  # no disc is larger
_TINY = 1e-6


@dataclass(frozen=True)
class Overlaps:
    """Pairs of people too near to one another.

    Attributes:
        pairs: (M, 2) rows of people.
        missing: (M,) distance in depth that separates them, in standard deviations.
        push: (M, 2) derivative of `missing` by the first person's place on the plane; the second's is
            its negative.
    """

    pairs: IntArray
    missing: FloatArray
    push: FloatArray


def overlaps(
    places_m: FloatArray, heights_m: FloatArray, radii_m: FloatArray, eye_m: FloatArray
) -> Overlaps:
    """Who stands within whom.

    Args:
        places_m: (N, 2) torso centres over one plane; people on other planes far away.
        heights_m: (N,) of the torso centres above the camera's level.
        radii_m: (N,) of the discs.
        eye_m: (2,) the camera's foot point in the same coordinates.
    """
    usable = np.flatnonzero(np.isfinite(places_m).all(axis=1))
    reach = 2 * min(float(radii_m.max(initial=0.0)), _LARGEST_M)
    found = cKDTree(places_m[usable]).query_pairs(reach, output_type="ndarray")
    pairs = np.sort(usable[found.reshape(-1, 2)], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    i, j = pairs.T
    apart = places_m[i] - places_m[j]
    sight = (places_m[i] + places_m[j]) / 2 - eye_m
    sight /= np.maximum(np.linalg.norm(sight, axis=1, keepdims=True), _TINY)
    side = np.stack([-sight[:, 1], sight[:, 0]], axis=1)
    depth, across = (apart * sight).sum(axis=1), (apart * side).sum(axis=1)
    room = np.minimum(radii_m[i] + radii_m[j], 2 * _LARGEST_M) - TOLERANCE_M
    needed = np.sqrt(np.maximum(room**2 - across**2, 0.0))
    missing = needed - np.abs(depth)
    near = np.abs(heights_m[i] - heights_m[j]) < _REACH_HEIGHT_M
    keep = (missing > 0) & near & (needed > 0)
    sign = np.where(depth >= 0, 1.0, -1.0)
    steep = np.clip(across / np.maximum(needed, _TINY), -1.0, 1.0)
    push = -sign[:, None] * sight - steep[:, None] * side
    return Overlaps(pairs[keep], missing[keep] / _SD_M, push[keep] / _SD_M)


def penetration_m(
    places_m: FloatArray, heights_m: FloatArray, radii_m: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Pairs (M, 2) whose discs intersect, and by how much (M,); what is left, for reports and tests."""
    found = cKDTree(places_m).query_pairs(2 * float(radii_m.max(initial=0)), output_type="ndarray")
    pairs = found.reshape(-1, 2)
    i, j = pairs.T
    depth = radii_m[i] + radii_m[j] - np.hypot(*(places_m[i] - places_m[j]).T)
    near = (np.abs(heights_m[i] - heights_m[j]) < _REACH_HEIGHT_M) & (depth > 0)
    return pairs[near], depth[near]


def overlap_cost(found: Overlaps) -> float:
    """The term's part of the cost."""
    return math.fsum(found.missing**2)
