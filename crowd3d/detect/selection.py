"""Which detections are people, one row each: their size must fit their place on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy import sparse
from scipy.spatial import cKDTree

from crowd3d.config import Config
from crowd3d.scene.detections import MOST_LOOKS, Detections, PeopleSeen, is_body_part
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import N_KEYPOINTS
from crowd3d.scene.sizes import AGREES, agreement_of, is_outvoted
from crowd3d.scene.standing import FloatArray
from tiling import box_iou, containment, merge_detections, without_pairs

_KEYPOINTS_NEEDED = 6  # of 17 must be seen
_MIN_ASPECT = 0.17  # width over height; slivers at the picture's border say too little
# Twins are two rows for the same person, because keypoints were confused. Boxes with a larger IoU are twins.
_TWIN_IOU = 0.6
# Somebody of the wrong size is the same person as another if so much of one box lies inside the other.
_SAME_INSIDE = 0.5
# Somebody has company if so many nearest others are at most so many heights away, and their heights at most in
# this ratio.
_COMPANY, _COMPANY_HEIGHTS, _COMPANY_RATIO = 2, 20.0, 2.0
# Width of the margin at the seam of a whole turn, in widths of the widest box: it holds everybody who may
# overlap a person on the seam.
_SEAM_WIDTHS = 4.0
# Weight of detections cut by a tile's border. They are kept, because for some people in a crowd there is no
# other.
_CUT_WEIGHT = 0.3
# Two looks at the same person agree best in the trunk; limbs are confused and hidden more often.
_TRUNK_EMPHASIS = np.where(np.isin(np.arange(17), [0, 1, 2, 3, 4, 5, 6, 11, 12]), 1.0, 0.25)


def scout_people(found: Detections, config: Config, turn_px: float | None = None) -> PeopleSeen:
    """People seen so well that the first camera may be fitted to them.

    Args:
        turn_px: `Camera.turn_px`, here and below: columns of a whole turn, whose left and right border meet.
    """
    good = found.filter((found.quality >= config.min_scout_quality) & ~found.is_cut)
    good = _with_copies(good, turn_px)
    return _one_turn(_merge(good, good.quality).people, turn_px)


def placed_people(found: Detections, fitted: Fitted, config: Config) -> PeopleSeen:
    """Everybody whose size fits the ground, one row per person, in reading order of the picture."""
    turn_px = fitted.camera.turn_px
    found = _with_copies(found, turn_px)
    agreement = agreement_of(found, fitted, config.stature_m)
    trust = found.quality * agreement * np.where(found.is_cut, _CUT_WEIGHT, 1.0)
    possible = trust >= config.min_trust
    joined = _merge(found.filter(possible), trust[possible])
    return _one_turn(_finish(joined, config.min_evidence, config), turn_px)


def unplaced_people(found: Detections, config: Config, turn_px: float | None = None) -> PeopleSeen:
    """Everybody in a picture whose camera is not known, selected by quality alone."""
    good = found.filter((found.quality >= config.min_quality_unplaced) & ~found.is_cut)
    good = _with_copies(good, turn_px)
    joined = _merge(good, good.quality)
    return _one_turn(_finish(joined, config.min_quality_unplaced, config), turn_px)


def _with_copies(found: Detections, turn_px: float | None) -> Detections:
    """All detections, moved into one turn; those near a border are repeated beyond the other border.

    A person on the seam is then complete on both sides, with the same looks. `_one_turn` keeps one of the two.
    """
    if turn_px is None or not len(found):
        return found
    middle = found.box_px[:, [0, 2]].mean(axis=1)
    found = found.shifted(-turn_px * np.floor(middle / turn_px))
    middle = found.box_px[:, [0, 2]].mean(axis=1)
    margin = min(_SEAM_WIDTHS * float((found.box_px[:, 2] - found.box_px[:, 0]).max()), turn_px / 2)
    before, after = middle < margin, middle >= turn_px - margin
    return Detections.cat(
        [
            found,
            found.filter(before).shifted(np.full(before.sum(), turn_px)),
            found.filter(after).shifted(np.full(after.sum(), -turn_px)),
        ]
    )


def _one_turn(people: PeopleSeen, turn_px: float | None) -> PeopleSeen:
    """Remove the copies: keep the people whose box has its middle in [0, turn)."""
    if turn_px is None:
        return people
    # Rounded, so that exactly one of the two copies of a person on the seam is kept.
    middle = np.round(people.box_px[:, [0, 2]].mean(axis=1), 3)
    return people.filter((middle >= 0) & (middle < np.round(turn_px, 3)))


def everybody(found: Detections, fitted: Fitted, config: Config) -> tuple[PeopleSeen, Detections]:
    """The people of `placed_people`, and the others who are clearly seen, but have no place on this ground.

    The size of the others does not fit, or that of most of their neighbours: they are on a screen, on another
    level, in another picture of a mosaic. Somebody alone whose size is wrong is more often a bush or a bag, so
    more looks must agree on them.
    """
    placed = placed_people(found, fitted, config)
    wrong = found.filter(agreement_of(found, fitted, config.stature_m) < AGREES)
    others = newcomers(wrong, placed, config, fitted.camera.turn_px)
    others = others.filter(_has_company(others) | _seen_often(others, config))
    is_placed = np.arange(len(placed) + len(others)) < len(placed)
    both = Detections.cat([placed, others])
    outvoted = is_outvoted(both, is_placed)[: len(placed)]
    return placed.filter(~outvoted), Detections.cat([placed.filter(outvoted), others])


def _seen_often(people: PeopleSeen, config: Config) -> npt.NDArray[np.bool_]:
    """(N,) whether the looks at a person add up to two that would do alone."""
    return np.asarray(people.look_trust.sum(axis=1) >= 2 * config.min_quality_unplaced)


def _has_company(people: Detections) -> npt.NDArray[np.bool_]:
    """(N,) whether others of about the same size are near."""
    height = people.box_px[:, 3] - people.box_px[:, 1]
    if len(people) <= _COMPANY:
        return np.zeros(len(people), bool)
    away, near = cKDTree(people.middle_px).query(people.middle_px, k=_COMPANY + 1)
    alike = np.abs(np.log(height[near] / height[:, None])) < np.log(_COMPANY_RATIO)
    return np.asarray((alike & (away < _COMPANY_HEIGHTS * height[:, None])).all(axis=1))


def newcomers(
    found: Detections, people: Detections, config: Config, turn_px: float | None = None
) -> PeopleSeen:
    """Those of `unplaced_people` who are none of the people known already."""
    others = unplaced_people(found, config, turn_px)
    return others.filter(~_overlaps(others.box_px, people.box_px))


def _overlaps(box_px: FloatArray, known_px: FloatArray) -> npt.NDArray[np.bool_]:
    """(N,) whether a box (N, 4) and one of the known boxes (M, 4) show the same person or a part of it."""
    pairs = shapely.STRtree(shapely.box(*known_px.T)).query(
        shapely.box(*box_px.T), predicate="intersects"
    )
    own, known = box_px[pairs[0]], known_px[pairs[1]]
    inside = np.maximum(containment(own, known), containment(known, own))
    covered = np.zeros(len(box_px), bool)
    covered[pairs[0][inside > _SAME_INSIDE]] = True
    return covered


@dataclass(frozen=True)
class _Joined:
    """People after all looks at each of them were joined, one row per person.

    Attributes:
        people: the joined rows.
        evidence: (N,) sum of the trust of each person's looks.
        apart: (N, N) the part of person i's evidence that comes from tiles that also show person j.
    """

    people: PeopleSeen
    evidence: FloatArray
    apart: sparse.csr_array


def _merge(found: Detections, trust: FloatArray) -> _Joined:
    """Join the looks at the same person into one row; `trust` (M,) is the weight of each look."""
    keypoints = found.keypoints_px.copy()
    keypoints[..., 2] *= _TRUNK_EMPHASIS
    merged = merge_detections(
        keypoints, found.box_px, found.score, trust / np.maximum(found.score, 1e-9), found.tile
    )
    fused = merged.keypoints_px
    fused[..., 2] /= _TRUNK_EMPHASIS
    lead = merged.order
    no_cuts = np.zeros(len(lead), bool)
    looks = gather_looks(found, trust, merged.labels, len(lead))
    people = PeopleSeen(
        merged.scores,
        trust[lead],
        merged.boxes_px,
        fused,
        no_cuts,
        found.tile[lead],
        *looks,
        heading=np.zeros((len(lead), 2)),
    )
    evidence = np.bincount(merged.labels, trust, len(lead)).astype(np.float64)
    return _Joined(people, evidence, _told_apart(merged.labels, found.tile, trust, len(lead)))


def _told_apart(
    person: npt.NDArray[np.int64], tile: npt.NDArray[np.int64], trust: FloatArray, n_people: int
) -> sparse.csr_array:
    """`_Joined.apart`, from the person, the tile and the trust of each look, (M,) each."""
    tiles, column = np.unique(tile, return_inverse=True)
    in_tile = sparse.csr_array((trust, (person, column)), shape=(n_people, len(tiles)))
    return sparse.csr_array(in_tile @ (in_tile > 0).astype(np.float64).T)


def _finish(joined: _Joined, min_evidence: float, config: Config) -> PeopleSeen:
    """Drop unsure people, twins and body parts; sort from top to bottom, so that ids do not depend on tiles.

    If the network found two people separately in the same tiles, with enough evidence, they are two people,
    however much they overlap. Neither is dropped because of the other.
    """
    people, evidence = joined.people, joined.evidence
    sixth_best = np.sort(people.keypoints_px[..., 2], axis=1)[:, -_KEYPOINTS_NEEDED]
    sure = (evidence >= min_evidence) & (sixth_best >= config.min_keypoint_score)
    width, height = (people.box_px[:, 2:] - people.box_px[:, :2]).T
    rows = np.flatnonzero(sure & (width >= _MIN_ASPECT * height))
    people = people.filter(rows)
    apart = joined.apart[rows][:, rows].tocoo()
    distinct = np.stack(apart.coords, axis=1)[apart.data >= min_evidence]
    fragment = is_body_part(people.box_px, people.quality, distinct)
    people = people.filter(~fragment & ~_is_twin(people.box_px, people.quality, distinct))
    return people.filter(np.lexsort((people.box_px[:, 0], people.box_px[:, 1])))


def _is_twin(
    box_px: FloatArray, quality: FloatArray, distinct: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """(N,) whether a box nearly coincides with a better one; `distinct` (K, 2) are pairs of two real people."""
    rank = np.argsort(np.argsort(-quality, kind="stable"), kind="stable")
    pairs = shapely.STRtree(shapely.box(*box_px.T)).query(
        shapely.box(*box_px.T), predicate="intersects"
    )
    worse, better = pairs[:, rank[pairs[0]] > rank[pairs[1]]]
    worse, better = without_pairs(worse, better, distinct)
    twin = np.zeros(len(box_px), bool)
    twin[worse[box_iou(box_px[worse], box_px[better]) > _TWIN_IOU]] = True
    return twin


def gather_looks(
    found: Detections,
    trust: npt.NDArray[np.float64],
    person: npt.NDArray[np.int64],
    n_people: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """`looks_px` and `look_trust` of `PeopleSeen`.

    Args:
        found: all M looks; trust: (M,) weight of each look; person: (M,) index of the person that it shows.
    """
    order = np.lexsort((-trust, person))
    owner = person[order]
    rank = np.arange(len(order)) - np.searchsorted(owner, owner)
    kept = rank < MOST_LOOKS
    order, owner, rank = order[kept], owner[kept], rank[kept]
    looks = np.zeros((n_people, MOST_LOOKS, N_KEYPOINTS, 3))
    looks[owner, rank] = found.keypoints_px[order]
    kept_trust = np.zeros((n_people, MOST_LOOKS))
    kept_trust[owner, rank] = trust[order]
    return looks, kept_trust
