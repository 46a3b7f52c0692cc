"""Straight lines of the built world in a picture: evidence for gravity besides the people."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from tiling import ImageSource

FloatArray = npt.NDArray[np.float64]

_LONGEST_SIDE_PX = 1600  # the detector sees the picture no larger than this
_MIN_LENGTH = 0.02  # of the picture's longer side
_PERSON_MARGIN = 0.15  # of a box's size: people's own outlines are no architecture


def find_lines(source: ImageSource, people_box_px: FloatArray) -> FloatArray:
    """Straight segments of a picture that do not lie on people.

    Line segment detector of von Gioi et al. (2010), on a picture reduced to at most 1,600 px.

    Args:
        people_box_px: (N, 4) xyxy.

    Returns:
        (M, 4) ends u0, v0, u1, v1 in pixels of the full picture.
    """
    scale = min(1.0, _LONGEST_SIDE_PX / max(source.width, source.height))
    size = (round(source.width * scale), round(source.height * scale))
    gray = cv2.cvtColor(source.read(0, 0, source.width, source.height, size), cv2.COLOR_RGB2GRAY)
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(gray)[0]
    if found is None:
        return np.zeros((0, 4))
    # The detector counts pixel centres from zero.
    lines = (found.reshape(-1, 4).astype(np.float64) + 0.5) / scale
    length = np.linalg.norm(lines[:, 2:] - lines[:, :2], axis=1)
    lines = lines[length > _MIN_LENGTH * max(source.width, source.height)]
    return np.asarray(lines[~_on_people((lines[:, :2] + lines[:, 2:]) / 2, people_box_px)])


def _on_people(points_px: FloatArray, box_px: FloatArray) -> npt.NDArray[np.bool_]:
    """(M,) whether each of the (M, 2) points lies in one of the (N, 4) boxes, somewhat enlarged."""
    margin = _PERSON_MARGIN * (box_px[:, 2:] - box_px[:, :2])
    low, high = box_px[:, :2] - margin, box_px[:, 2:] + margin
    inside = (points_px[:, None] >= low) & (points_px[:, None] <= high)
    return np.asarray(np.any(np.all(inside, axis=2), axis=1))
