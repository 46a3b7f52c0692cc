"""Who is in front of whom, and which limbs of those behind are really those of the people in front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from crowd3d.maths.box import meeting
from crowd3d.scene.detections import PeopleSeen

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_NEARER = 0.02  # of a person's height: whose feet are lower by more than this stands nearer
_SAME_PLACE = 0.05  # of the nearer one's height: two limbs so near are one
_LIMBS = np.arange(5, 17)  # shoulders to ankles


def in_front(box_px: FloatArray) -> tuple[IntArray, IntArray]:
    """Pairs (one behind, one in front) of people whose boxes (N, 4) overlap.

    On one ground, who stands nearer to the camera has feet lower in the picture.
    """
    behind, front = meeting(box_px, box_px)
    height = box_px[:, 3] - box_px[:, 1]
    nearer = box_px[front, 3] > box_px[behind, 3] + _NEARER * height[behind]
    return behind[nearer], front[nearer]


def borrowed_limbs(keypoints_px: FloatArray, box_px: FloatArray) -> npt.NDArray[np.bool_]:
    """(N, 17) which keypoints (N, 17, 3) are those of somebody in front.

    A limb that is hidden has no peak of its own in the network's maps, and that of the nearer person is taken.
    """
    behind, front = in_front(box_px)
    height = box_px[:, 3] - box_px[:, 1]
    places = keypoints_px[..., :2]
    away = np.linalg.norm(places[behind] - places[front], axis=-1)
    same = away < _SAME_PLACE * height[front, None]
    same &= keypoints_px[front, :, 2] >= keypoints_px[behind, :, 2] / 2
    borrowed = np.zeros(keypoints_px.shape[:2], bool)
    pair, limb = np.nonzero(same[:, _LIMBS])
    borrowed[behind[pair], _LIMBS[limb]] = True
    return borrowed


def own_limbs(people: PeopleSeen) -> PeopleSeen:
    """People without the limbs of others: these have the score 0, in all looks."""
    own = ~borrowed_limbs(people.keypoints_px, people.box_px)
    keypoints, looks = people.keypoints_px.copy(), people.looks_px.copy()
    keypoints[..., 2] *= own
    looks[..., 2] *= own[:, None]
    return replace(people, keypoints_px=keypoints, looks_px=looks)
