"""What 3DCrowdNet is shown: the box of a 2D pose, and that pose in the crop's heat maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crowd3d.errors import DataError
from crowd3d.maths.box import Box
from crowd3d.models.crowdnet3d import HEATMAP_CELLS, HEATMAPS

MIN_SCORE = 0.1  # of a joint that is shown, as published
_POSE_MARGIN = 1.2  # box over the joints' extent
_MIN_SIDE_PX = 2.0
# Place of COCO's joints among the heat maps: SMPL's 24, nose, eyes, ears, top of the head.
_FROM_COCO = [24, 25, 26, 27, 28, 16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8]
_PELVIS, _NECK = 0, 12
_HIPS, _SHOULDERS = [11, 12], [5, 6]

Floats = npt.NDArray[np.float64]


def box_of_pose(keypoints_px: Floats, min_score: float = MIN_SCORE) -> Box:
    """Tight boxes: the seen joints' extent, enlarged by 1.2 about its middle.

    Args:
        keypoints_px: (N, 17, 3) u, v, score.

    Raises:
        DataError: somebody has no joint above `min_score`.
    """
    seen = keypoints_px[..., 2] > min_score
    if not seen.any(axis=1).all():
        row = int(np.argmin(seen.any(axis=1)))
        raise DataError(f"person {row} has no joint with a score above {min_score}")
    places = np.where(seen[..., None], keypoints_px[..., :2], np.nan)
    low, high = np.nanmin(places, axis=1), np.nanmax(places, axis=1)
    size = np.maximum(_POSE_MARGIN * (high - low), _MIN_SIDE_PX)
    return Box(np.concatenate([(low + high - size) / 2, size], axis=1), "xywh", extended=False)


def prompt(
    keypoints_px: Floats, boxes: Box, *, by_score: bool = False, min_score: float = MIN_SCORE
) -> tuple[Tensor, Tensor]:
    """The pose as `CrowdNet3D` takes it; pelvis and neck lie between hips and between shoulders.

    Args:
        keypoints_px: (N, 17, 3) u, v, score in the full picture.
        boxes: N extended and square boxes that the crops show.
        by_score: peaks as high as a joint's score, for networks trained so; 0 or 1 as published otherwise.
        min_score: joints below are not shown; nor are those outside the crop.

    Returns:
        joints (N, 30, 2) in cells of the heat map, amplitude (N, 30, 1); float32.

    Raises:
        DataError: the boxes are tight.
    """
    if not boxes.extended:
        raise DataError("crops show extended boxes; call Box.extend first")
    coco = np.asarray(keypoints_px, np.float64)
    joints = np.zeros((len(coco), HEATMAPS, 3))
    joints[:, _FROM_COCO] = coco
    for place, pair in ((_PELVIS, _HIPS), (_NECK, _SHOULDERS)):
        joints[:, place, :2] = coco[:, pair, :2].mean(axis=1)
        joints[:, place, 2] = coco[:, pair, 2].prod(axis=1)
    inside_box = (joints[..., :2] - boxes.left_top_px[:, None]) / boxes.size_px[:, None]
    cells = inside_box * HEATMAP_CELLS
    shown = (joints[..., 2] > min_score) & ((cells >= 0) & (cells < HEATMAP_CELLS)).all(axis=-1)
    amplitude = np.where(shown, joints[..., 2] if by_score else 1.0, 0.0)
    cells[~shown] = 0
    return torch.from_numpy(cells).float(), torch.from_numpy(amplitude[..., None]).float()
