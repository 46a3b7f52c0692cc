"""Straight edges of buildings and posts in a picture, which tell where down is and how the lens bends."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.config import Config
from crowd3d.scene.known import KnownCamera
from optim import Lens, lens_from_edges
from tiling import ImageSource

FloatArray = npt.NDArray[np.float64]
GrayImage = npt.NDArray[np.uint8]

_LONGEST_SIDE_PX = 1600  # the detector sees the picture no larger than this
_MIN_LENGTH = 0.02  # of the picture's longer side
_MIN_EDGE_LENGTH = 0.06  # shorter ones are straight through any lens
_PERSON_MARGIN = 0.15  # of a box's size: people's own outlines are no architecture
# Profiles across an edge, along which its place is refined.
_PROFILE_PX = np.arange(-3.0, 3.01, 0.25)
_END_PX = 2.0  # left out at either end, where corners bend edges
_MIN_CONTRAST = 4.0  # grey levels a pixel
_MIN_TRACED = 0.8  # of an edge's points


@dataclass(frozen=True)
class Structure:
    """What a picture's straight edges tell.

    Attributes:
        lines_px: (M, 4) ends u0, v0, u1, v1 of segments, pixels of the full picture as it is.
        lens: its radial distortion; None where that is known already.
    """

    lines_px: FloatArray
    lens: Lens | None


def find_structure(
    source: ImageSource,
    people_box_px: FloatArray,
    known: KnownCamera,
    config: Config,
) -> Structure | None:
    """Straight segments of a picture that do not lie on people, and the lens that keeps them straight.

    Line segment detector of von Gioi et al. (2010), on a picture reduced to at most 1,600 px.

    Args:
        people_box_px: (N, 4) xyxy.
        known: of the camera. Panoramas bend what is straight, so nothing is looked for in them; a camera that
            was given as a whole has a lens already.
        config: may say that nobody is to look.
    """
    if not config.straight_edges or known.projection != "perspective":
        return None
    scale = min(1.0, _LONGEST_SIDE_PX / max(source.width, source.height))
    size = (round(source.width * scale), round(source.height * scale))
    picture = source.read(0, 0, source.width, source.height, size)
    gray = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    segments = _segments(gray)
    middle_px = (segments[:, :2] + segments[:, 2:]) / (2 * scale)
    segments = segments[~_on_people(middle_px, people_box_px)]
    length = np.linalg.norm(segments[:, 2:] - segments[:, :2], axis=1)
    if known.center_is_known:
        return Structure(segments / scale, None)
    long = segments[length > _MIN_EDGE_LENGTH * max(size)]
    edges = [edge / scale for segment in long if (edge := _traced(gray, segment)) is not None]
    return Structure(segments / scale, lens_from_edges(edges, (source.width, source.height)))


def _segments(gray: GrayImage) -> FloatArray:
    """(M, 4) segments in pixels of a reduced picture."""
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(gray)[0]
    if found is None:
        return np.zeros((0, 4))
    # The detector counts pixel centres from zero.
    lines = found.reshape(-1, 4).astype(np.float64) + 0.5
    length = np.linalg.norm(lines[:, 2:] - lines[:, :2], axis=1)
    return np.asarray(lines[length > _MIN_LENGTH * max(gray.shape)])


def _traced(gray: GrayImage, segment_px: FloatArray) -> FloatArray | None:
    """(M, 2) places of an edge to a fraction of a pixel; None if it fades on the way.

    The steepest place of every profile across the segment, between samples by a parabola.
    """
    chord = segment_px[2:] - segment_px[:2]
    length = float(np.linalg.norm(chord))
    along = chord / length
    across = np.array([-along[1], along[0]])
    steps = np.arange(_END_PX, length - _END_PX)
    center = segment_px[:2] + steps[:, None] * along
    profile = center[:, None] + _PROFILE_PX[:, None] * across
    slope = _slope_across(gray, profile, across)
    if np.median(slope[:, len(_PROFILE_PX) // 2]) < 0:
        slope = -slope
    peak = np.clip(slope.argmax(axis=1), 1, len(_PROFILE_PX) - 2)
    rows = np.arange(len(steps))
    before, top, after = (slope[rows, peak + i] for i in (-1, 0, 1))
    clear = (top > _MIN_CONTRAST) & (top >= before) & (top >= after)
    if not len(steps) or clear.mean() < _MIN_TRACED:
        return None
    bend = np.minimum(before - 2 * top + after, -1e-6)
    shift = _PROFILE_PX[peak] + 0.5 * (before - after) / bend * (_PROFILE_PX[1] - _PROFILE_PX[0])
    return np.asarray((center + shift[:, None] * across)[clear])


def _slope_across(gray: GrayImage, points_px: FloatArray, across: FloatArray) -> FloatArray:
    """Derivative of the grey value in one direction at (M, P, 2) points, grey levels a pixel."""
    where = (points_px - 0.5).astype(np.float32)

    def at(shift: float) -> FloatArray:
        moved = where + (shift * across).astype(np.float32)
        sampled = cv2.remap(gray, moved[..., 0], moved[..., 1], cv2.INTER_LINEAR)
        return np.asarray(sampled, dtype=np.float64)

    return (at(0.75) - at(-0.75)) / 1.5


def _on_people(points_px: FloatArray, box_px: FloatArray) -> npt.NDArray[np.bool_]:
    """(M,) whether each of the (M, 2) points lies in one of the (N, 4) boxes, somewhat enlarged."""
    margin = _PERSON_MARGIN * (box_px[:, 2:] - box_px[:, :2])
    low, high = box_px[:, :2] - margin, box_px[:, 2:] + margin
    inside = (points_px[:, None] >= low) & (points_px[:, None] <= high)
    return np.asarray(np.any(np.all(inside, axis=2), axis=1))
