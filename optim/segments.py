"""What one person says about camera and ground: a segment between two heights above the ground.

The state is theta = (log focal length in pixels, pitch, roll, log camera height in metres). Pitch is how far
the camera looks down, roll how far its right side is lower than its left; both in radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .anthropometry import (
    ANKLE_HEIGHT,
    LEAN_SD_RAD,
    POSTURE_SD,
    SHOULDER_HEIGHT,
    STATURE_SD,
)
from .placement import COCO_SIGMAS
from .projection import FloatArray

_SHOULDERS, _ANKLES = [5, 6], [15, 16]
_MIN_SCORE = 0.2  # of shoulders and ankles
_JOINT_NOISE = 0.5 * float(COCO_SIGMAS[5] + COCO_SIGMAS[15]) * 2 * 0.25 / np.sqrt(2)
_BOX_NOISE = 0.03  # of a box's height, for each of its ends
_FREE = 1e3  # standard deviation of what says nothing
_MIN_FALL = 1e-4  # rays that fall less than this never meet the ground


@dataclass(frozen=True)
class Segments:
    """Observed segments, normalised: pixels minus principal point, distortion removed.

    Attributes:
        bottom, top: (N, 2) ends.
        bottom_m, top_m: heights of the ends above the ground for a person of mean stature.
        end_sd: standard deviation of an end over the length of the segment.
        has_direction: whether the direction of a segment says something about the vertical.
        person: (N,) row of the person in the input.
    """

    bottom: FloatArray
    top: FloatArray
    bottom_m: float
    top_m: float
    end_sd: float
    has_direction: bool
    person: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bottom)


def from_keypoints(keypoints: FloatArray, center_px: FloatArray, stature_m: float) -> Segments:
    """Mid-ankle to mid-shoulder of everybody whose shoulders and ankles are seen; (N, 17, 3) pixels + score."""
    finite = np.isfinite(keypoints).all(axis=(1, 2))
    seen = keypoints[:, _SHOULDERS + _ANKLES, 2].min(axis=1, initial=np.inf) >= _MIN_SCORE
    person = np.flatnonzero(finite & seen)
    points = keypoints[person, :, :2] - center_px
    return Segments(
        bottom=points[:, _ANKLES].mean(axis=1),
        top=points[:, _SHOULDERS].mean(axis=1),
        bottom_m=ANKLE_HEIGHT * stature_m,
        top_m=SHOULDER_HEIGHT * stature_m,
        end_sd=_JOINT_NOISE / (SHOULDER_HEIGHT - ANKLE_HEIGHT),
        has_direction=True,
        person=person,
    )


def from_boxes(boxes_px: FloatArray, center_px: FloatArray, stature_m: float) -> Segments:
    """Bottom to top of the boxes of standing people; (N, 4) xyxy pixels."""
    usable = np.isfinite(boxes_px).all(axis=1) & (boxes_px[:, 3] > boxes_px[:, 1])
    person = np.flatnonzero(usable)
    box = boxes_px[person]
    middle = box[:, [0, 2]].mean(axis=1)
    return Segments(
        bottom=np.stack([middle, box[:, 3]], axis=1) - center_px,
        top=np.stack([middle, box[:, 1]], axis=1) - center_px,
        bottom_m=0.0,
        top_m=stature_m,
        end_sd=_BOX_NOISE,
        has_direction=False,
        person=person,
    )


def normal_of(pitch: npt.ArrayLike, roll: npt.ArrayLike) -> FloatArray:
    """(..., 3) unit normal, pointing up, in the camera frame (x right, y down, z forward)."""
    p, r = np.asarray(pitch, dtype=np.float64), np.asarray(roll, dtype=np.float64)
    return np.stack([np.cos(p) * np.sin(r), -np.cos(p) * np.cos(r), -np.sin(p) + 0 * r], axis=-1)


def angles_of(normal: FloatArray) -> tuple[float, float]:
    """Pitch and roll of an up normal; the inverse of `normal_of`."""
    return float(np.arcsin(np.clip(-normal[2], -1, 1))), float(np.arctan2(normal[0], -normal[1]))


def whitened_residuals(theta: FloatArray, seen: Segments) -> FloatArray:
    """Deviation of the seen upper ends from the predicted ones, in standard deviations.

    The lower end is put on the plane at its height, the upper one above it along the normal. Stature moves the
    prediction along the segment, lean across it, and both ends carry detection noise.

    Args:
        theta: (..., 4).

    Returns:
        (..., N, 2) along and across the predicted segment; large where the lower end is above the horizon.
    """
    log_focal, pitch, roll, log_height = np.moveaxis(theta, -1, 0)
    focal = np.exp(log_focal)[..., None]
    height = np.exp(log_height)[..., None]
    normal = normal_of(pitch, roll)
    bottom_xy = seen.bottom / focal[..., None]
    bottom_ray = np.concatenate([bottom_xy, np.ones_like(bottom_xy[..., :1])], axis=-1)
    fall = -np.einsum("...nc,...c->...n", bottom_ray, normal)
    above = np.maximum(height - seen.bottom_m, 0.05)
    depth = above / np.maximum(fall, _MIN_FALL)
    top_point = bottom_ray + ((seen.top_m - seen.bottom_m) / depth)[..., None] * normal[..., None, :]
    top_depth = np.maximum(top_point[..., 2:], 1e-3)
    predicted = top_point[..., :2] / top_depth * focal[..., None]
    segment = predicted - seen.bottom
    length = np.maximum(np.linalg.norm(segment, axis=-1, keepdims=True), 1e-9)
    along = segment / length
    miss = seen.top - predicted
    along_miss = (miss * along).sum(axis=-1)
    across_miss = miss[..., 0] * along[..., 1] - miss[..., 1] * along[..., 0]
    observed = np.linalg.norm(seen.top - seen.bottom, axis=-1)
    reference = np.sqrt(length[..., 0] * np.maximum(observed, 1e-9))  # fair to long and short predictions
    ends = 2 * seen.end_sd**2
    along_sd = reference * np.sqrt(STATURE_SD**2 + POSTURE_SD**2 + ends)
    across_sd = reference * (np.sqrt(LEAN_SD_RAD**2 + ends) if seen.has_direction else _FREE)
    residual = np.stack([along_miss / along_sd, across_miss / across_sd], axis=-1)
    missed = np.maximum(_MIN_FALL - fall, 0.0)[..., None] * 1e3 + (fall < _MIN_FALL)[..., None] * 10.0
    return np.asarray(residual + missed)
