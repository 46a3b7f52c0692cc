"""Does a person's size in the picture agree with camera and ground? Seen over expected heights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.ground import Ground
from crowd3d.scene.standing import FloatArray, foot_below_px, person_height_px

# Heights above the ground and a length, as fractions of the stature of a standing adult (Drillis & Contini
# 1966). The bias of the keypoints themselves is below the tolerance used here.
_SHOULDER_HEIGHT, _HIP_HEIGHT = 0.82, 0.52
HEAD_OF_STATURE = 0.135  # chin to crown, as Drillis & Contini's 0.130, with hair
_TORSO_LENGTH = _SHOULDER_HEIGHT - _HIP_HEIGHT
_SHOULDERS, _HIPS = [5, 6], [11, 12]
# How far the seen size may differ from that of a standing adult at the same place; tuned on photographs.
# Standard deviations of the logarithm: children and seated people are smaller, nobody is much taller.
_SMALLER_SD, _TALLER_SD = 0.30, 0.22
_THICKNESS = 0.15  # from front to back, as a fraction of the stature
_STEEPEST_SINE = 0.99  # beyond, there is no height to compare
# Allowed `SizeEvidence.visible`. A box with a smaller ratio shows only a body part.
_VISIBLE_RANGE = (0.30, 1.25)
# Weight of the agreement of a torso alone; that of a whole person has weight 1.
_PARTIAL_WEIGHT = 0.4
# The same for heads, whose height is told less exactly, and varies less.
_SMALLER_HEAD_SD, _TALLER_HEAD_SD = 0.35, 0.28
# A person of less agreement does not belong to the ground.
AGREES = 0.2
_NEIGHBOURS = 8


@dataclass(frozen=True)
class SizeEvidence:
    """Ratios of seen to expected size, (N,) each; NaN where the expected size is not known.

    Attributes:
        whole: height of the box over the height of a person who stands at its bottom.
        visible: height of the box over the height of a person whose head is at its top.
        torso: shoulder-to-hip length over that of the upright person whose head is at the box's top.
    """

    whole: FloatArray
    visible: FloatArray
    torso: FloatArray


def size_evidence(
    detections: Detections, camera: Camera, ground: Ground, stature_m: float
) -> SizeEvidence:
    """Compare every detection with a person who stands at its place, on the ground there."""
    box = detections.box_px
    middle_u = (box[:, 0] + box[:, 2]) / 2
    top, bottom = (np.stack([middle_u, box[:, i]], axis=1) for i in (1, 3))
    height_px = box[:, 3] - box[:, 1]
    thick = _thickness(camera.rays(bottom), ground.normal)
    below_top = ground.under(camera, top, stature_m, at_px=bottom)
    feet = foot_below_px(camera, below_top, top, stature_m)
    expected_from_top = thick * np.linalg.norm(feet - top, axis=1)
    expected = thick * person_height_px(camera, ground.under(camera, bottom), bottom, stature_m)
    points = detections.keypoints_px[..., :2]
    torso_px = np.linalg.norm(points[:, _SHOULDERS].mean(1) - points[:, _HIPS].mean(1), axis=1)
    return SizeEvidence(
        whole=height_px / expected,
        visible=height_px / expected_from_top,
        torso=torso_px * thick / (_TORSO_LENGTH * expected_from_top),
    )


def _thickness(rays: FloatArray, normal: FloatArray) -> FloatArray:
    """(N,) how much longer than a stick a body is in the picture, whose feet are seen along rays (N, 3).

    Seen from above, what it is from front to back adds to the little that is left of its height. Below 45
    degrees that is within what people differ.
    """
    sine = np.clip(-(rays @ normal), 0.0, _STEEPEST_SINE)
    return np.asarray(1 + _THICKNESS * np.maximum(sine / np.sqrt(1 - sine**2) - 1, 0.0))


def agreement_of(detections: Detections, fitted: Fitted, stature_m: float) -> FloatArray:
    """(N,) `size_agreement` of detections with camera and ground; of those found by the head, of that alone."""
    by_head, agree = detections.by_head, np.zeros(len(detections))
    others = size_evidence(detections.filter(~by_head), fitted.camera, fitted.ground, stature_m)
    agree[~by_head] = size_agreement(others)
    agree[by_head] = _head_agreement(detections.filter(by_head), fitted, stature_m)
    return agree


def _head_agreement(found: Detections, fitted: Fitted, stature_m: float) -> FloatArray:
    """(N,) 1 for a head of exactly the expected height; 0 where the ground expects nobody."""
    expected = expected_head_px(found.head_middle_px, fitted, stature_m)
    log_ratio = np.log(found.head_px / np.where(expected > 0, expected, np.nan))
    spread = np.where(log_ratio < 0, _SMALLER_HEAD_SD, _TALLER_HEAD_SD)
    return np.nan_to_num(np.exp(-0.5 * (log_ratio / spread) ** 2), nan=0.0)


def expected_head_px(middle_px: FloatArray, fitted: Fitted, stature_m: float) -> FloatArray:
    """(N,) heights of heads of standing people, from the middles (N, 2) of their heads; NaN if not known."""
    above_m = stature_m * (1 - HEAD_OF_STATURE / 2)
    # Of several planes it is the one on which the head is seen, though its feet may be on another.
    level = fitted.ground.under(fitted.camera, middle_px, above_m)
    feet_px = foot_below_px(fitted.camera, level, middle_px, above_m)
    expected_px = np.linalg.norm(feet_px - middle_px, axis=1)
    return np.asarray(HEAD_OF_STATURE * stature_m / above_m * expected_px)


def size_agreement(evidence: SizeEvidence) -> FloatArray:
    """(N,) 1 for a box of exactly the expected height, less the more the log ratio differs from 0.

    If the lower part of a person is hidden or cut off, the torso is compared instead, with less weight.
    """
    whole = _agreement(evidence.whole)
    upper = (evidence.visible > _VISIBLE_RANGE[0]) & (evidence.visible < _VISIBLE_RANGE[1])
    partial = np.where(upper, _PARTIAL_WEIGHT * _agreement(evidence.torso), 0.0)
    return np.maximum(whole, partial)


def _agreement(ratio: FloatArray) -> FloatArray:
    log_ratio = np.log(np.maximum(np.nan_to_num(ratio, nan=1e-3), 1e-3))
    return np.asarray(
        np.exp(-0.5 * (log_ratio / np.where(log_ratio < 0, _SMALLER_SD, _TALLER_SD)) ** 2)
    )


def is_outvoted(people: Detections, agree: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(N,) whether most of a person's nearest neighbours in the picture do not agree with the ground.

    Somebody in another crowd may have the right size by chance; the neighbours tell.
    """
    n = min(_NEIGHBOURS, len(people) - 1)
    if n < 1:
        return np.zeros(len(people), bool)
    _, near = cKDTree(people.middle_px).query(people.middle_px, k=n + 1)
    return np.asarray((~agree[near[:, 1:]]).mean(axis=1) > 0.5)
