"""Spoils true keypoints as 2D pose estimators do in crowds: displaced, swapped and missing joints.

The four kinds of error are those of Ronchi & Perona (ICCV 2017), their probabilities those that PoseFix
(Moon et al., CVPR 2019) and 3DCrowdNet (Choi et al., CVPR 2022) train with. Beyond that, joints drop out
altogether and carry a score, as a real estimator's do. The errors of our own detector are in `keypoint_noise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from crowd3d.body.tree import COCO_MIRROR
from tiling import COCO_SIGMAS

Floats = npt.NDArray[np.float64]

_NOSE, _FACE, _UPPER = 0, slice(0, 5), slice(5, 11)
_SHOULDERS_ANKLES, _HIPS = [5, 6, 15, 16], [11, 12]
_DRAWS, _MISS_DRAWS = 500, 2000
_FAR_SHARE = 4  # of the points of a miss around other candidates one in so many is used
_SCORE_NOISE = 0.1


class Kind(IntEnum):
    """What happened to a joint."""

    GOOD = 0
    JITTER = 1
    MISS = 2
    INVERSION = 3
    SWAP = 4
    DROPPED = 5


ERRORS = (Kind.GOOD, Kind.JITTER, Kind.MISS, Kind.INVERSION, Kind.SWAP)


def radius_px(similarity: float, area_px2: float) -> Floats:
    """(17,) distance at which a keypoint's similarity exp(-d^2 / (2 A (2 sigma)^2)) is `similarity`."""
    return np.asarray(np.sqrt(-2 * area_px2 * (2 * COCO_SIGMAS) ** 2 * np.log(similarity)))


def probabilities(n_valid: int, n_overlapping: int) -> Floats:
    """(17, 5) of good, jitter, miss, inversion, swap for each joint, before impossible kinds are struck out."""
    p = np.zeros((17, 5))
    jitter = np.full(17, 0.20)
    jitter[[_NOSE, 13, 14, 15, 16]] = 0.15
    jitter[_HIPS] = 0.25
    p[:, Kind.JITTER] = jitter - (0.0 if n_valid <= 10 else 0.05)
    face, middle, rest = (
        (0.15, 0.20, 0.25) if n_valid <= 5 else (0.10, 0.13, 0.15) if n_valid <= 10 else (0.02, 0.05, 0.10)
    )  # fmt: skip
    p[:, Kind.MISS] = rest
    p[_FACE, Kind.MISS] = face
    p[_SHOULDERS_ANKLES, Kind.MISS] = middle
    p[:, Kind.INVERSION] = _by_part(0.01, 0.03, 0.06)
    crowded = (n_valid <= 10 and n_overlapping > 0) or (n_valid <= 15 and n_overlapping >= 3)
    p[:, Kind.SWAP] = _by_part(0.02, 0.15, 0.10) if crowded else _by_part(0.01, 0.06, 0.03)
    p[:, Kind.GOOD] = 1 - p[:, 1:].sum(1)
    return p


def _by_part(face: float, upper: float, lower: float) -> Floats:
    p = np.full(17, lower)
    p[_FACE], p[_UPPER] = face, upper
    return p


def disturb(
    joints_px: Floats,
    valid: npt.NDArray[np.bool_],
    area_px2: float,
    others_px: Floats,
    others_valid: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    dropout: float = 0.0,
    kinds: Sequence[Kind] = ERRORS,
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """One person's joints as an estimator would see them.

    Args:
        joints_px: (17, 2) true places, COCO order.
        valid: (17,) which are known.
        area_px2: of the tight box.
        others_px: (P, 17, 2) joints of people whose boxes overlap this one's.
        others_valid: (P, 17).
        rng: source of randomness.
        dropout: probability that a joint is not seen at all.
        kinds: which may happen, `GOOD` among them.

    Returns:
        (17, 3) u, v, score, zeros where nothing is seen; and the Kind of each joint (17,).
    """
    share = probabilities(int(valid.sum()), len(others_px)) * np.isin(np.arange(5), kinds)
    d85, d50, d10 = (radius_px(s, area_px2) for s in (0.85, 0.50, 0.10))
    out, happened = np.zeros((17, 3)), np.full(17, Kind.DROPPED, np.int64)
    for j in np.flatnonzero(valid & (rng.random(17) >= dropout)).tolist():
        candidates = _candidates(joints_px, valid, others_px, others_valid, j)
        p = share[j].copy()
        places = np.zeros((0, 2))
        while not len(places):  # ends: a good place always exists
            kind = int(rng.choice(5, p=p / p.sum()))
            places = _places(Kind(kind), *candidates, (d85[j], d50[j], d10[j]), rng)
            p[kind] = 0
        place = places[rng.integers(len(places))]
        similarity = np.exp(np.log(0.5) * ((place - joints_px[j]) ** 2).sum() / d50[j] ** 2)
        score = 0.3 + 0.6 * similarity + rng.normal(0, _SCORE_NOISE)
        out[j], happened[j] = [*place, np.clip(score, 0.05, 1.0)], kind
    return out, happened


def _candidates(
    joints: Floats,
    valid: npt.NDArray[np.bool_],
    others: Floats,
    others_valid: npt.NDArray[np.bool_],
    j: int,
) -> tuple[Floats, Floats, Floats]:
    """Joint j itself (1, 2), its own mirror joint (0..1, 2), and both of the other people (0..2P, 2)."""
    m = COCO_MIRROR[j]
    if m == j:
        return joints[[j]], np.zeros((0, 2)), others[others_valid[:, j], j]
    strangers = np.concatenate([others[others_valid[:, i], i] for i in (j, m)])
    return joints[[j]], joints[[m]] if valid[m] else np.zeros((0, 2)), strangers


def _places(
    kind: Kind,
    own: Floats,
    mirror: Floats,
    strangers: Floats,
    radii: tuple[float, float, float],
    rng: np.random.Generator,
) -> Floats:
    """Points where the joint may be seen if this kind of error happens; none if it cannot."""
    d85, d50, d10 = radii
    misled = np.concatenate([mirror, strangers])
    if kind is Kind.GOOD:
        return _ring(own, 0.0, d85, _DRAWS, rng)
    if kind is Kind.JITTER:
        return _away(_ring(own, d85, d50, _DRAWS, rng), misled, d50)
    if kind is Kind.INVERSION:
        return _away(_ring(mirror, 0.0, d50, _DRAWS, rng), own, d50)
    if kind is Kind.SWAP:
        return _away(_ring(strangers, 0.0, d50, _DRAWS, rng), own, d50)
    missed = [_away(_ring(own, d50, d10, _MISS_DRAWS, rng), misled, d50)]
    for i in range(len(misled)):
        rest = np.concatenate([own, np.delete(misled, i, axis=0)])
        around = _ring(misled[[i]], d50, d10, _MISS_DRAWS // _FAR_SHARE, rng)
        missed.append(_away(around, rest, d50))
    return np.concatenate(missed)


def _ring(
    centers: Floats, inner: float, outer: float, count: int, rng: np.random.Generator
) -> Floats:
    """(count, 2) points spread evenly over the rings inner..outer about the centres; none without a centre."""
    if not len(centers):
        return np.zeros((0, 2))
    radius = np.sqrt(rng.uniform(inner**2, outer**2, count))
    angle = rng.uniform(0, 2 * np.pi, count)
    middle = centers[rng.integers(len(centers), size=count)]
    return np.asarray(middle + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def _away(points: Floats, centers: Floats, distance: float) -> Floats:
    """Those points that are at least `distance` from every centre."""
    gap = np.linalg.norm(points[:, None] - centers[None], axis=2)
    return np.asarray(points[(gap >= distance).all(axis=1)])
