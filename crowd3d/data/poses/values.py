"""One person's joints, box, score and picture, in the spellings that writers use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from crowd3d.data.poses.given import Person
from crowd3d.data.poses.joints import KNOWN, N_COCO, Floats, JointSet
from crowd3d.files.located_json import Node

_VISIBILITY_SCORE = np.array([0.0, 0.5, 1.0])  # COCO: not labelled, hidden, visible


def points_of(
    node: Node, scores: Node | None = None, sets: Mapping[int, JointSet] = KNOWN
) -> Floats | None:
    """(17, 3) x, y, score of one person, the last NaN where the file has none; None if the list is empty.

    Args:
        node: x, y, score of one joint after the other, or a list for each; the score may be missing.
        scores: scores in a list of their own, as MMPose writes them.
        sets: of joints that are allowed, by their count.
    """
    value = node.value
    if not isinstance(value, list):
        node.fail(f"{type(value).__name__} where a list of keypoints belongs")
    if not value:
        return None
    if isinstance(value[0], list):
        joints = node.array(-1, -1)
        if len(joints) not in sets or joints.shape[1] not in (2, 3):
            node.fail(
                f"{len(joints)} joints of {joints.shape[1]} numbers where {_wanted(sets)} of 3 belong"
            )
    else:
        flat = node.array(-1)
        is_pairs = N_COCO in sets and len(flat) == 2 * N_COCO
        if not is_pairs and len(flat) not in [3 * count for count in sets]:
            node.fail(f"{len(flat)} numbers where {_wanted(sets, 3)} belong")
        joints = flat.reshape(-1, 2 if is_pairs else 3)
    if scores is not None:
        joints = np.column_stack([joints[:, :2], scores.array(len(joints))])
    elif joints.shape[1] == 2:
        joints = np.column_stack([joints, np.full(len(joints), np.nan)])
    return sets[len(joints)].to_coco(joints)


def _wanted(sets: Mapping[int, JointSet], times: int = 1) -> str:
    return " or ".join(str(times * count) for count in sets)


def by_visibility(points: Floats, node: Node) -> Floats:
    """(K, 3) whose third numbers are COCO's visibilities, with scores instead."""
    if not np.isin(points[:, 2], (0, 1, 2)).all():
        node.fail("a visibility is none of 0, 1, 2")
    scores = _VISIBILITY_SCORE[points[:, 2].astype(int)]
    return np.column_stack([points[:, :2], scores])


def with_scores(people: Sequence[Person]) -> list[str]:
    """Make scores of whatever the third numbers of a whole list are, in place; notes what was assumed.

    Results for COCO's evaluation, which does not look at them, may have 0 or a visibility there.
    """
    if not people:
        return []
    points = np.stack([p.points for p in people])
    is_there = points[..., :2].any(axis=2)
    third = points[..., 2]
    if not is_there.any():
        return []
    notes = []
    is_lacking = np.isnan(third) if np.nan_to_num(third).any() else np.ones(third.shape, bool)
    if is_lacking[is_there].any():
        third = np.where(is_lacking, is_there, third)
        notes.append(
            "the file gives no scores of joints: every one that is not at 0, 0 counts as seen"
        )
    elif np.isin(third, (0, 1, 2)).all() and (third == 2).any():
        third = _VISIBILITY_SCORE[third.astype(int)]
    for person, scores in zip(people, third, strict=True):
        person.points[:, 2] = scores
    return notes


def corners_of(box: Node, is_xyxy: bool = False) -> Floats:
    """(4,) left, top, right, bottom of a box as COCO has them, [left, top, width, height], or of corners."""
    value = box.value
    if isinstance(value, list) and len(value) == 1:  # MMPose: a list of one box
        numbers = box.array(1, 4)[0]
    else:
        numbers = box.array(4)
    first, second = numbers[:2], numbers[2:]
    if (second < (first if is_xyxy else 0)).any():
        wanted = "[left, top, right, bottom]" if is_xyxy else "[left, top, width, height]"
        box.fail(f"a negative width or height; expected {wanted}")
    return np.concatenate([first, second if is_xyxy else first + second])


def score_of(node: Node | None) -> float | None:
    """A score within 0..1, or None if there is none."""
    return None if node is None else min(max(node.number(), 0.0), 1.0)
