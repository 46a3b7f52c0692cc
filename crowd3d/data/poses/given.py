"""What a file of 2D poses says, before anybody knows whether it fits the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from crowd3d.data.poses.joints import Floats
from crowd3d.scene.detections import Detections

ANY_PICTURE = ""  # name of a file's only picture where the file does not say which it is

_FARTHEST = 1e9  # of a coordinate: no picture is as large, and its square is still a number
_BOX_MARGIN = 0.1  # of the joints' extent, on either side: heads and feet reach beyond the joints


@dataclass
class Person:
    """One person of a file; a box or score that the file does not give comes from the joints.

    Attributes:
        points: (17, 3) x, y, score; zeros where there is no such joint.
        box: (4,) left, top, right, bottom.
    """

    points: Floats
    box: Floats | None = None
    score: float | None = None


@dataclass
class PoseFile:
    """Everybody in a file, by picture.

    Attributes:
        people: by the name of the picture; ANY_PICTURE where the file has one and does not say which.
        sizes_px: width and height of the pictures of which the file says it.
        notes: what was skipped or assumed, in words.
        is_normalised: whether the writer's coordinates are 0 to 1 by definition.
    """

    people: dict[str, list[Person]] = field(default_factory=dict)
    sizes_px: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_normalised: bool = False

    def named(self, name: str) -> PoseFile:
        """The same with a name for the picture that has none."""
        people = {who or name: found for who, found in self.people.items()}
        return PoseFile(people, self.sizes_px, self.notes, self.is_normalised)


@dataclass(frozen=True)
class GivenPoses:
    """The people of one picture as a file has them.

    Attributes:
        people: one row per person, in the file's coordinates.
        size_px: of the picture that the poses were made on, if the file says it.
        is_normalised: whether the coordinates are 0 to 1 by definition.
        notes: what was skipped or assumed while reading, in words.
    """

    people: Detections
    size_px: tuple[int, int] | None = None
    is_normalised: bool = False
    notes: tuple[str, ...] = ()


def detections_of(people: Sequence[Person]) -> Detections:
    """Those of whom at least one joint is seen, one row each."""
    points = np.array([p.points for p in people]).reshape(-1, 17, 3)
    points[..., 2] = points[..., 2].clip(0, 1)
    seen = points[..., 2] > 0
    points[~seen] = 0
    points[..., :2] = points[..., :2].clip(-_FARTHEST, _FARTHEST)
    rows = np.flatnonzero(seen.any(axis=1)).tolist()
    if not rows:
        return Detections.empty()
    points, seen = points[rows], seen[rows]
    boxes = boxes_of(points)
    score = points[..., 2].mean(axis=1)
    for i, row in enumerate(rows):
        person = people[row]
        boxes[i] = boxes[i] if person.box is None else person.box.clip(-_FARTHEST, _FARTHEST)
        score[i] = score[i] if person.score is None else person.score
    none = np.zeros(len(rows), np.int64)
    return Detections(score, score.copy(), boxes, points, none > 0, none)


def boxes_of(points: Floats) -> Floats:
    """(N, 4) about the seen joints of (N, 17, 3), with a margin; everybody has at least one."""
    seen = points[..., 2:] > 0
    low = np.where(seen, points[..., :2], np.inf).min(axis=1)
    high = np.where(seen, points[..., :2], -np.inf).max(axis=1)
    margin = _BOX_MARGIN * (high - low)
    return np.concatenate([low - margin, high + margin], axis=1)
