"""Straight edges of buildings and posts in a picture; they show the direction of gravity and the lens."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.config import Config
from crowd3d.scene.known import KnownCamera
from optim import Lens, lens_from_edges
from tiling import Picture, thumbnail

FloatArray = npt.NDArray[np.float64]
GrayImage = npt.NDArray[np.uint8]

_LONGEST_SIDE_PX = 1600  # the detector sees the picture no larger than this
_MIN_LENGTH = 0.02  # of a segment, as a share of the picture's longer side
_MIN_EDGE_LENGTH = 0.06  # the same, for the lens; shorter edges are straight through any lens
# Boxes are enlarged by this share of their size: outlines of people are no architecture.
_PERSON_MARGIN = 0.15
# Offsets across an edge at which grey values are sampled to refine its place.
_PROFILE_PX = np.arange(-3.0, 3.01, 0.25)
_END_PX = 2.0  # left out at either end of an edge, where corners bend it
_MIN_CONTRAST = 4.0  # grey levels per pixel
_MIN_TRACED = 0.8  # share of an edge's points that must be clear


@dataclass(frozen=True)
class Structure:
    """Straight edges of a picture, and the lens distortion that they show.

    Attributes:
        lines_px: (M, 4) ends u0, v0, u1, v1 of segments, in pixels of the full picture (not undistorted).
        lens: radial distortion; None if it was known already.
    """

    lines_px: FloatArray
    lens: Lens | None


def find_structure(
    source: Picture,
    people_box_px: FloatArray,
    known: KnownCamera,
    config: Config,
) -> Structure | None:
    """Find straight segments that do not lie on people, and the lens that makes them straight.

    Uses the line segment detector of von Gioi et al. (2010), on a picture reduced to at most 1,600 px.

    Args:
        people_box_px: (N, 4) xyxy.
        known: what is known about the camera. Panoramas bend straight edges, so they are not searched. If the
            principal point is known, the camera was given completely, and no lens is fitted.
        config: `straight_edges` can switch the search off.

    Returns:
        None if nothing was searched.
    """
    if not config.straight_edges or known.projection != "perspective":
        return None
    gray, scale = _reduced(source)
    segments = _segments_beside(gray, scale, people_box_px)
    if known.center_is_known:
        return Structure(segments / scale, None)
    edges = _long_edges(gray, scale, segments)
    return Structure(segments / scale, lens_from_edges(edges, (source.width, source.height)))


def long_edges(source: Picture, people_box_px: FloatArray) -> list[FloatArray]:
    """Points (M_i, 2) along each long edge of a picture that is not on a person, in its pixels.

    Args:
        people_box_px: (N, 4) xyxy.
    """
    gray, scale = _reduced(source)
    return _long_edges(gray, scale, _segments_beside(gray, scale, people_box_px))


def _reduced(source: Picture) -> tuple[GrayImage, float]:
    """The picture as the detector of segments sees it, and its scale."""
    scale = min(1.0, _LONGEST_SIDE_PX / max(source.width, source.height))
    picture = thumbnail(source, _LONGEST_SIDE_PX)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8), scale


def _segments_beside(gray: GrayImage, scale: float, people_box_px: FloatArray) -> FloatArray:
    """(M, 4) segments of the reduced picture that are not on people (N, 4)."""
    segments = _segments(gray)
    middle_px = (segments[:, :2] + segments[:, 2:]) / (2 * scale)
    return segments[~_on_people(middle_px, people_box_px)]


def _long_edges(gray: GrayImage, scale: float, segments: FloatArray) -> list[FloatArray]:
    """Points along the long ones of the segments, in pixels of the full picture."""
    length = np.linalg.norm(segments[:, 2:] - segments[:, :2], axis=1)
    long = segments[length > _MIN_EDGE_LENGTH * max(gray.shape)]
    return [edge / scale for segment in long if (edge := _traced(gray, segment)) is not None]


def _segments(gray: GrayImage) -> FloatArray:
    """(M, 4) segments in pixels of the reduced picture."""
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(gray)[0]
    if found is None:
        return np.zeros((0, 4))
    # The detector counts pixel centres from zero.
    lines = found.reshape(-1, 4).astype(np.float64) + 0.5
    length = np.linalg.norm(lines[:, 2:] - lines[:, :2], axis=1)
    return np.asarray(lines[length > _MIN_LENGTH * max(gray.shape)])


def _traced(gray: GrayImage, segment_px: FloatArray) -> FloatArray | None:
    """(M, 2) points of an edge with subpixel accuracy; None if too few of its points are clear.

    Each point is where the profile across the segment is steepest; a parabola interpolates between samples.
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
    """(M, P) derivative of the grey value along `across` at (M, P, 2) points, in grey levels per pixel."""
    where = (points_px - 0.5).astype(np.float32)

    def at(shift: float) -> FloatArray:
        moved = where + (shift * across).astype(np.float32)
        sampled = cv2.remap(gray, moved[..., 0], moved[..., 1], cv2.INTER_LINEAR)
        return np.asarray(sampled, dtype=np.float64)

    return (at(0.75) - at(-0.75)) / 1.5


def _on_people(points_px: FloatArray, box_px: FloatArray) -> npt.NDArray[np.bool_]:
    """(M,) whether each of the (M, 2) points lies in one of the (N, 4) boxes, slightly enlarged."""
    margin = _PERSON_MARGIN * (box_px[:, 2:] - box_px[:, :2])
    low, high = box_px[:, :2] - margin, box_px[:, 2:] + margin
    inside = (points_px[:, None] >= low) & (points_px[:, None] <= high)
    return np.asarray(np.any(np.all(inside, axis=2), axis=1))
