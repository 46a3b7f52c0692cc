"""Which detections are people, one row each: their size must fit their place on the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from crowd3d.config import Config
from crowd3d.detect.chance import Clues, clues, load
from crowd3d.detect.joining import (
    EYES,
    Joined,
    join_boxes,
    join_heads,
    join_looks,
    with_boxes,
    with_heads,
)
from crowd3d.detect.occlusion import own_limbs
from crowd3d.maths.box import meeting
from crowd3d.scene.detections import Detections, PeopleSeen, is_body_part
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.sizes import AGREES, HEAD_OF_STATURE, agreement_of, expected_head_px, is_outvoted
from crowd3d.scene.standing import FloatArray
from tiling import box_iou, containment, without_pairs

_MIN_ASPECT = 0.17  # width over height; slivers at the picture's border say too little
# Twins are two rows for the same person, or one of two people and one made of parts of both. Boxes with a
# larger IoU are twins, unless both heads are as sure and apart.
_TWIN_IOU, _SURE_HEAD = 0.5, 0.6
# Somebody of the wrong size is the same person as another if so much of one box lies inside the other.
_SAME_INSIDE = 0.5
# Somebody has company if so many nearest others are at most so many heights away, and their heights at most in
# this ratio.
_COMPANY, _COMPANY_HEIGHTS, _COMPANY_RATIO = 2, 20.0, 2.0
_SURE_ALONE = 0.8  # least probability of somebody of another size without company
# Width of the margin at the seam of a whole turn, in widths of the widest box: it holds everybody who may
# overlap a person on the seam.
_SEAM_WIDTHS = 4.0
# Weight of detections cut by a tile's border. They are kept, because for some people in a crowd there is no
# other.
_CUT_WEIGHT = 0.3


def scout_people(found: Detections, config: Config, turn_px: float | None = None) -> PeopleSeen:
    """People seen so well that the first camera may be fitted to them.

    Args:
        turn_px: `Camera.turn_px`, here and below: columns of a whole turn, whose left and right border meet.
    """
    good = (found.quality >= config.min_scout_quality) & ~found.is_cut & found.found_whole
    some = _with_copies(found.filter(good), turn_px)
    return _one_turn(join_looks(some, some.quality).people, turn_px)


def placed_people(found: Detections, fitted: Fitted, config: Config) -> PeopleSeen:
    """Everybody who is probable at their place on the ground, one row each, in reading order of the picture."""
    turn_px = fitted.camera.turn_px
    return _one_turn(_people(_with_copies(found, turn_px), fitted, config), turn_px)


def unplaced_people(found: Detections, config: Config, turn_px: float | None = None) -> PeopleSeen:
    """Everybody in a picture whose camera is not known."""
    return _one_turn(_people(_with_copies(found, turn_px), None, config), turn_px)


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
    they must be more probable. A head says too little where no size is expected.
    """
    placed = placed_people(found, fitted, config)
    wrong = (agreement_of(found, fitted, config.stature_m) < AGREES) | found.by_head
    others = newcomers(found.filter(wrong), placed, config, fitted.camera.turn_px)
    others = others.filter(~others.by_head)
    others = others.filter(_has_company(others) | (others.score >= _SURE_ALONE))
    is_placed = np.arange(len(placed) + len(others)) < len(placed)
    both = Detections.cat([placed, others])
    outvoted = is_outvoted(both, is_placed)[: len(placed)]
    return placed.filter(~outvoted), Detections.cat([placed.filter(outvoted), others])


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
    one, other = meeting(box_px, known_px)
    own, known = box_px[one], known_px[other]
    inside = np.maximum(containment(own, known), containment(known, own))
    covered = np.zeros(len(box_px), bool)
    covered[one[inside > _SAME_INSIDE]] = True
    return covered


def candidates(found: Detections, fitted: Fitted | None, config: Config) -> tuple[Joined, Clues]:
    """Everybody who may be a person, one row each, and what is known of them (`chance.Clues`).

    Args:
        fitted: camera and ground; None if they are not known.
    """
    trust = found.quality * np.where(found.is_cut, _CUT_WEIGHT, 1.0)
    if fitted is not None:
        # How well a size agrees says little: people differ, and so does the ground from what was found.
        trust *= agreement_of(found, fitted, config.stature_m) >= AGREES
    possible = trust >= config.min_trust
    framed, heads = possible & found.by_box, possible & found.by_head
    whole = possible & ~framed & ~heads
    people = with_boxes(
        join_looks(found.filter(whole), trust[whole]),
        join_boxes(found.filter(framed), trust[framed]),
    )
    known_px = np.full(len(people.people), np.nan)
    if fitted is not None:
        known_px = expected_head_px(people.people.head_middle_px, fitted, config.stature_m)
    joined = with_heads(people, join_heads(found.filter(heads), trust[heads]), known_px)
    return joined, clues(joined)


def _people(found: Detections, fitted: Fitted | None, config: Config) -> PeopleSeen:
    """Everybody who is a person, their score being the probability of it."""
    joined, known = candidates(found, fitted, config)
    chance = load(fitted is not None)(known)
    people = replace(joined.people, score=chance)
    rows = np.flatnonzero(chance >= config.min_probability)
    rows = rows[_is_whole_enough(people.filter(rows))]
    people, joined = people.filter(rows), joined.filter(rows)
    distinct, evidence = _distinct(joined), joined.evidence.sum(axis=1)
    fragment = is_body_part(people.box_px, evidence, distinct)
    people = people.filter(~fragment & ~_is_twin(people.box_px, evidence, distinct))
    return own_limbs(people.filter(np.lexsort((people.box_px[:, 0], people.box_px[:, 1]))))


def _distinct(joined: Joined) -> npt.NDArray[np.int64]:
    """(K, 2) pairs of two real people: tiles have told them apart, or each surely has a head of their own."""
    told = np.stack(joined.apart.tocoo().coords, axis=1)
    headed = np.flatnonzero(joined.evidence[:, EYES.index("head")] >= _SURE_HEAD)
    people = joined.people.filter(headed)
    pairs = np.stack(meeting(people.box_px, people.box_px), axis=1)
    middle, height = people.head_middle_px, people.box_px[:, 3] - people.box_px[:, 1]
    away = np.linalg.norm(middle[pairs[:, 0]] - middle[pairs[:, 1]], axis=1)
    pairs = pairs[away >= HEAD_OF_STATURE * height[pairs].min(axis=1)]
    return np.concatenate([told, headed[pairs]])


def _is_twin(
    box_px: FloatArray, quality: FloatArray, distinct: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """(N,) whether a box nearly coincides with a better one; `distinct` (K, 2) are pairs of two real people."""
    rank = np.argsort(np.argsort(-quality, kind="stable"), kind="stable")
    one, other = meeting(box_px, box_px)
    is_worse = rank[one] > rank[other]
    worse, better = one[is_worse], other[is_worse]
    worse, better = without_pairs(worse, better, distinct)
    twin = np.zeros(len(box_px), bool)
    twin[worse[box_iou(box_px[worse], box_px[better]) > _TWIN_IOU]] = True
    return twin


def _is_whole_enough(people: PeopleSeen) -> npt.NDArray[np.bool_]:
    """(N,) who is more than a sliver at the picture's border."""
    width, height = (people.box_px[:, 2:] - people.box_px[:, :2]).T
    return np.asarray(people.by_head | (width >= _MIN_ASPECT * height))
