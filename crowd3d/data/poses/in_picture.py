"""What given poses mean in a picture: who of them is in it, each person once, in its pixels.

A file is well formed and still absurd if it was made on another size, is normalised, or lists people twice.
What can be told is put right and said; what cannot is refused.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crowd3d.data.poses.given import GivenPoses, boxes_of
from crowd3d.data.poses.joints import Floats
from crowd3d.data.poses.same_person import first_of_each, share_at_one_place
from crowd3d.data.poses.scale import Size, in_pixels
from crowd3d.errors import DataError
from crowd3d.scene.detections import Detections

_MOST_OUTSIDE = 0.25  # share of people outside the picture, above which the poses are not of it
_MANY_OUTSIDE = 0.1  # share of joints; fewer are limbs that the border cuts
_FAR_OUTSIDE = 1.0  # of the picture's sides; joints farther outside are no measurements
_CROWDED = 0.3  # share of people who stand where another stands


def in_picture(given: GivenPoses, size_px: Size) -> tuple[Detections, list[str]]:
    """The people in pixels of a picture of that size, each once, and in words what was changed or is doubtful.

    Raises:
        DataError: the poses cannot be of this picture in this size.
    """
    notes = list(given.notes)
    people = given.people
    if len(people):
        people, said = in_pixels(given, size_px)
        notes += said
        people, said = _inside(people, size_px)
        notes += said
    if len(people):
        people, said = _each_once(people)
        notes += said
    return people, notes


def _inside(people: Detections, size_px: Size) -> tuple[Detections, list[str]]:
    """Without people and joints outside the picture; raises DataError if these people are many."""
    sides, count = np.array(size_px, np.float64), len(people)
    people, n_far = _measured(people, sides)
    points = people.keypoints_px
    seen = points[..., 2] > 0
    is_in = seen & ((points[..., :2] >= 0) & (points[..., :2] <= sides)).all(axis=2)
    is_out = np.logical_not(is_in.any(axis=1))
    middle = people.middle_px
    n_out = int((is_out | (middle < 0).any(axis=1) | (middle > sides).any(axis=1)).sum())
    if n_out > _MOST_OUTSIDE * count:
        raise DataError(
            f"{n_out} of {count} given people are outside the picture of {size_px[0]} x {size_px[1]} px; "
            "are the poses in pixels, and of this picture in this size?"
        )
    share = 1 - is_in.sum() / max(int(seen.sum()), 1)
    notes = []
    if is_out.any():
        left_out = int(is_out.sum())
        notes.append(
            f"{left_out} of {count} given people are outside the picture and were left out"
        )
    if n_far:
        notes.append(
            f"{n_far} of the given joints are far outside the picture and count as not seen"
        )
    if share > _MANY_OUTSIDE:
        notes.append(
            f"{share:.0%} of the given joints are outside the picture: they may have been made on a larger copy"
        )
    return people.filter(~is_out), notes


def _measured(people: Detections, sides: Floats) -> tuple[Detections, int]:
    """Without joints far outside the picture, and their number.

    A box that is not where the joints are, or was about such a joint, is renewed.
    """
    points = people.keypoints_px.copy()
    seen = points[..., 2] > 0
    low, high = -_FAR_OUTSIDE * sides, (1 + _FAR_OUTSIDE) * sides
    is_far = seen & ((points[..., :2] < low) | (points[..., :2] > high)).any(axis=2)
    # Somebody of whom nothing else is seen stays as they are, to be counted among those outside.
    is_far &= (seen & ~is_far).any(axis=1, keepdims=True)
    points[is_far] = 0
    tight, boxes = boxes_of(points), people.box_px.copy()
    is_apart = (tight[:, :2] > boxes[:, 2:]) | (tight[:, 2:] < boxes[:, :2])
    renewed = is_apart.any(axis=1) | is_far.any(axis=1)
    boxes[renewed] = tight[renewed]
    return replace(people, keypoints_px=points, box_px=boxes), int(is_far.sum())


def _each_once(people: Detections) -> tuple[Detections, list[str]]:
    """Each person once; a doubt if others still stand where another one stands."""
    rows = first_of_each(people)
    extra = len(people) - len(rows)
    notes = []
    if extra:
        notes.append(
            f"the file lists people more than once: {extra} of {len(people)} poses show somebody who has "
            f"another one, so {len(rows)} people were taken"
        )
    people = people.filter(rows)
    share = share_at_one_place(people)
    if share > _CROWDED:
        notes.append(
            f"{share:.0%} of the given people stand where another one does: does the file mix several pictures?"
        )
    return people, notes
