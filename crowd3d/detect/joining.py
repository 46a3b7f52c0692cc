"""All looks at the same person become one row: those at whole people, those at heads, and both together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.spatial import cKDTree

from crowd3d.maths.box import meeting
from crowd3d.scene.detections import MOST_LOOKS, Detections, PeopleSeen
from crowd3d.scene.people import N_KEYPOINTS
from crowd3d.scene.sizes import HEAD_OF_STATURE
from tiling import box_iou, merge_detections

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Two looks at the same person agree best in the trunk; limbs are confused and hidden more often.
_TRUNK_EMPHASIS = np.where(np.isin(np.arange(17), [0, 1, 2, 3, 4, 5, 6, 11, 12]), 1.0, 0.25)
# Two looks at the same head agree in the head alone.
_HEAD_EMPHASIS = np.where(np.arange(17) < 5, 1.0, 1e-3)
_LEAST_FACE_SCORE = (
    0.3  # of a head's own keypoints while heads are compared: it may be seen from behind
)
# The box by which heads are compared, about the middle of each, in heads: that of somebody who stands.
STANDING_BOX = np.array([-1.3, -0.55, 1.3, 1 / HEAD_OF_STATURE - 0.55])
# A head is that of somebody found whole if it is at most so many heads from where theirs was seen, and their
# heights differ by at most this factor. The distance counts in full and the ratio a little.
_SAME_HEAD, _SAME_HEAD_RATIO, _RATIO_WEIGHT = 1.0, 2.0, 0.3
_SURE_WEIGHT = 0.5  # whoever is seen better has the head, or the box, that two people could have
# Heads nearer to each other than this, in heads, are one head.
_TWO_HEADS = 0.75
# Widest person, in widths of a box of this height: who bows has a box that is not as tall as the body is long.
_LEAST_SLENDER = 3.5


EYES = ("whole", "box", "head")  # by what somebody may be seen
_WHOLE, _BOX, _HEAD = range(len(EYES))
_ALL_KEYPOINTS = np.ones(17)
SEEN_WELL = 0.28  # trust of a look that shows somebody well
# A box is that of somebody else found if the IoU of both is as large; larger ones come first.
_SAME_BOX_IOU = 0.25


@dataclass(frozen=True)
class Joined:
    """People after all looks at each of them were joined, one row per person.

    Attributes:
        people: the joined rows.
        evidence: (N, 3) trust in the most trusted look at each person, by `EYES`. Their sum would grow with the
            number of tiles, which is larger for small people.
        apart: (N, N) whether a tile shows person i well, and person j too: the network tells them apart.
    """

    people: PeopleSeen
    evidence: FloatArray
    apart: sparse.csr_array

    def filter(self, rows: IntArray) -> Joined:
        """The people of these rows."""
        return Joined(
            self.people.filter(rows),
            self.evidence[rows],
            self.apart[rows][:, rows],
        )


def join_looks(found: Detections, trust: FloatArray) -> Joined:
    """Join the looks at the same whole person; `trust` (M,) is the weight of each look."""
    return _joined_as(*_merge(found, trust, _TRUNK_EMPHASIS), found.tile, trust, _WHOLE)


def join_boxes(found: Detections, trust: FloatArray) -> Joined:
    """Join the boxes of the same person; `trust` (M,) is the weight of each."""
    return _joined_as(*_merge(found, trust, _ALL_KEYPOINTS), found.tile, trust, _BOX)


def join_heads(found: Detections, trust: FloatArray) -> Joined:
    """Join the looks at the same head; `trust` (M,) is the weight of each look."""
    keypoints = found.keypoints_px.copy()
    keypoints[:, :5, 2] = np.maximum(keypoints[:, :5, 2], _LEAST_FACE_SCORE)
    middle = np.tile(found.head_middle_px, (1, 2))
    alike = replace(
        found,
        keypoints_px=keypoints,
        box_px=middle + found.head_px[:, None] * STANDING_BOX,
    )
    people, labels = _merge(alike, trust, _HEAD_EMPHASIS)
    n = len(people)
    total = np.bincount(labels, trust, n).astype(np.float64)

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(labels, trust * values, n) / np.maximum(total, 1e-12))

    people = replace(
        people,
        box_px=np.stack([mean(side) for side in found.box_px.T], axis=1).reshape(-1, 4),
        head_px=mean(found.head_px),
    )
    people.keypoints_px[:, :5, 2] = np.stack(
        [mean(found.keypoints_px[:, i, 2]) for i in range(5)], axis=1
    ).reshape(-1, 5)
    joined = _joined_as(people, labels, found.tile, trust, _HEAD)
    return joined.filter(np.flatnonzero(~_is_beside_better(people, total)))


def _is_beside_better(people: PeopleSeen, evidence: FloatArray) -> npt.NDArray[np.bool_]:
    """(N,) whether a head nearly coincides with one of more evidence."""
    worse = np.zeros(len(people), bool)
    if len(people) < 2:
        return worse
    middle, height = people.head_middle_px, people.head_px
    rank = np.argsort(np.argsort(-evidence, kind="stable"), kind="stable")
    near = cKDTree(middle).query_ball_point(middle, _TWO_HEADS * height)
    for i in np.argsort(rank, kind="stable"):
        if worse[i]:
            continue
        others = [j for j in near[i] if rank[j] > rank[i]]
        worse[others] = True
    return worse


def with_boxes(whole: Joined, framed: Joined) -> Joined:
    """People found whole, with the evidence of boxes about them, and people found by a box alone."""
    person, box = meeting(whole.people.box_px, framed.people.box_px)
    iou = box_iou(whole.people.box_px[person], framed.people.box_px[box])
    same = iou >= _SAME_BOX_IOU
    cost = -iou - _SURE_WEIGHT * whole.evidence.sum(axis=1)[person]
    owner = _paired(person[same], box[same], cost[same], len(whole.people), len(framed.people))
    is_free = np.ones(len(framed.people), bool)
    is_free[box[same]] = False
    return _together(whole, framed, owner, is_free)


def with_heads(whole: Joined, heads: Joined, head_px: FloatArray) -> Joined:
    """Everybody: people found otherwise, with the evidence of their heads, and people found by the head alone.

    Args:
        head_px: (N,) expected height of the head of everybody found otherwise; NaN = as their box says.
    """
    people = whole.people
    own = np.where(np.isfinite(head_px), head_px, _head_of_box(people.box_px))
    sure = whole.evidence.sum(axis=1)
    owner = _owners(people.head_middle_px, own, sure, heads.people)
    unknown, keypoints = np.full(len(people), np.nan), people.keypoints_px.copy()
    # Where the head was seen better than the whole, it says where the face is.
    head = np.flatnonzero(owner >= 0)
    head = head[heads.evidence[head, _HEAD] > whole.evidence[owner[head], _WHOLE]]
    keypoints[owner[head], :5] = heads.people.keypoints_px[head, :5]
    whole = replace(whole, people=replace(people, head_px=unknown, keypoints_px=keypoints))
    return _together(whole, heads, owner, owner < 0)


def _together(
    people: Joined, more: Joined, owner: IntArray, is_new: npt.NDArray[np.bool_]
) -> Joined:
    """People with the evidence of the others who are the same, and those who are new.

    Args:
        owner: (M,) the person who each of the others is; -1 = none.
    """
    evidence = people.evidence.copy()
    np.maximum.at(evidence, owner[owner >= 0], more.evidence[owner >= 0])
    new = more.filter(np.flatnonzero(is_new))
    both = PeopleSeen(
        **{
            name: np.concatenate([getattr(people.people, name), getattr(new.people, name)])
            for name in vars(people.people)
        }
    )
    apart = sparse.csr_array(sparse.block_diag([people.apart, new.apart]))
    return Joined(both, np.concatenate([evidence, new.evidence]), apart)


def _paired(
    first: IntArray, second: IntArray, cost: FloatArray, n_first: int, n_second: int
) -> IntArray:
    """(n_second,) the first of each second, -1 = none; everybody is paired once, the cheapest pairs first."""
    partner = np.full(n_second, -1)
    is_taken = np.zeros(n_first, bool)
    for i in np.lexsort((second, first, cost)):
        if partner[second[i]] < 0 and not is_taken[first[i]]:
            partner[second[i]] = first[i]
            is_taken[first[i]] = True
    return partner


def _head_of_box(box_px: FloatArray) -> FloatArray:
    width, height = (box_px[:, 2:] - box_px[:, :2]).T
    return np.asarray(HEAD_OF_STATURE * np.minimum(height, _LEAST_SLENDER * width))


def _owners(
    middle_px: FloatArray, own_px: FloatArray, sure: FloatArray, heads: PeopleSeen
) -> IntArray:
    """(M,) the person, of N with heads expected at `middle_px`, to whom each head belongs; -1 = to none.

    Everybody has one head: the nearest pairs come first, and those of people who are clearly seen.

    Args:
        own_px: (N,) expected heights of the heads; sure: (N,) evidence of the people.
    """
    heads_px, height_px = heads.head_middle_px, heads.head_px
    if not (len(middle_px) and len(heads_px)):
        return np.full(len(heads_px), -1)
    near = cKDTree(heads_px).query_ball_point(middle_px, 1.5 * _SAME_HEAD * own_px)
    person = np.repeat(np.arange(len(near)), [len(some) for some in near])
    head = np.array([j for some in near for j in some], np.int64)
    size = (own_px[person] + height_px[head]) / 2
    away = np.linalg.norm(middle_px[person] - heads_px[head], axis=1) / size
    ratio = np.abs(np.log(height_px[head] / own_px[person]))
    good = (away < _SAME_HEAD) & (ratio < np.log(_SAME_HEAD_RATIO))
    cost = away + _RATIO_WEIGHT * ratio - _SURE_WEIGHT * sure[person]
    return _paired(person[good], head[good], cost[good], len(middle_px), len(heads_px))


def _merge(
    found: Detections, trust: FloatArray, emphasis: FloatArray
) -> tuple[PeopleSeen, IntArray]:
    """One row per person, and the person of each look."""
    keypoints = found.keypoints_px.copy()
    keypoints[..., 2] *= emphasis
    merged = merge_detections(
        keypoints, found.box_px, found.score, trust / np.maximum(found.score, 1e-9), found.tile
    )
    fused = merged.keypoints_px
    fused[..., 2] /= emphasis
    lead = merged.order
    looks = gather_looks(found, trust, merged.labels, len(lead))
    people = PeopleSeen(
        merged.scores,
        trust[lead],
        merged.boxes_px,
        fused,
        np.zeros(len(lead), bool),
        found.tile[lead],
        *looks,
        heading=np.zeros((len(lead), 2)),
        by_box=found.by_box[lead],
    )
    return people, merged.labels


def _joined_as(
    people: PeopleSeen, labels: IntArray, tile: IntArray, trust: FloatArray, eye: int
) -> Joined:
    """People seen by one of `EYES`, from the person, the tile and the trust of each look, (M,) each."""
    evidence = np.zeros((len(people), len(EYES)))
    np.maximum.at(evidence[:, eye], labels, trust)
    return Joined(people, evidence, _told_apart(labels, tile, trust, len(people)))


def _told_apart(
    person: IntArray, tile: IntArray, trust: FloatArray, n_people: int
) -> sparse.csr_array:
    """`Joined.apart`, from the person, the tile and the trust of each look, (M,) each."""
    tiles, column = np.unique(tile, return_inverse=True)
    shape = (n_people, len(tiles))
    is_well = trust >= SEEN_WELL
    shown = sparse.csr_array((np.ones(len(tile)), (person, column)), shape=shape)
    well = sparse.csr_array(
        (np.ones(is_well.sum()), (person[is_well], column[is_well])), shape=shape
    )
    return sparse.csr_array(well @ shown.T > 0)


def gather_looks(
    found: Detections, trust: FloatArray, person: IntArray, n_people: int
) -> tuple[FloatArray, FloatArray]:
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
