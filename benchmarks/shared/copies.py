"""People of a picture found again in copies of it that lie in a larger picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crowd3d import evaluate
from crowd3d.evaluate.metrics import matching
from crowd3d.scene.people import People

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MIN_OKS = 0.5  # of two poses that are the same person's


def found_again(
    people: People, known: People, corners_px: Sequence[tuple[int, int]], size_px: tuple[int, int]
) -> BoolArray:
    """(copies, known) whether somebody is found in each copy; matched one to one in each, by keypoints.

    Args:
        people: found in the larger picture.
        known: found in the original.
        corners_px: top-left corner of each copy; copies do not overlap.
        size_px: width and height of the original.
    """
    box = known.box_px
    area = (box[:, 2:] - box[:, :2]).prod(axis=1)
    center = (people.box_px[:, :2] + people.box_px[:, 2:]) / 2
    found = np.zeros((len(corners_px), len(known)), bool)
    # Copy by copy: a table of all people of a gigapixel would not fit into memory.
    for copy, corner in enumerate(corners_px):
        inside = ((center >= corner) & (center < np.add(corner, size_px))).all(axis=1)
        points = people.keypoints_px[inside, :, :2] - corner
        oks = evaluate.oks_matrix(points, known.keypoints_px[..., :2], area)
        found[copy, matching.hungarian(oks, MIN_OKS)[:, 0]] = True
    return found
