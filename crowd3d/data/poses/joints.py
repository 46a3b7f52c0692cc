"""Where COCO's seventeen joints are in the joint sets of other people's estimators.

A set is known by its number of joints, or by the names that a file gives. What a set lacks has the score 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.body.tree import COCO_NAMES

Floats = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

N_COCO = len(COCO_NAMES)
_LACKING = -1

# Of OpenPose's BODY_25, see its documentation, "Output", keypoint ordering.
BODY_25 = np.array([0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11])
# Its older set COCO_18, which AlphaPose writes too, lacks the middle of the hips, place 8.
_COCO_18 = np.where(BODY_25 > 8, BODY_25 - 1, BODY_25)
# Each limb once, from the trunk outwards: shoulder, elbow, wrist; hip, knee, ankle.
_R_ARM, _L_ARM = ([f"{s}_{j}" for j in ("shoulder", "elbow", "wrist")] for s in ("right", "left"))
_R_LEG, _L_LEG = ([f"{s}_{j}" for j in ("hip", "knee", "ankle")] for s in ("right", "left"))
# OpenPose's MPI_15.
_MPI_15 = ["head", "neck", *_R_ARM, *_L_ARM, *_R_LEG, *_L_LEG, "chest"]
# MPII Human Pose (Andriluka et al. 2014, annotation format of joint ids 0 to 15).
_MPII_16 = [
    *_R_LEG[::-1], *_L_LEG, "pelvis", "thorax", "neck", "head", *_R_ARM[::-1], *_L_ARM
]  # fmt: skip
# CrowdPose (Li et al. 2019): twelve limbs' joints, left before right, then head and neck.
_CROWDPOSE_14 = [
    *(n for pair in zip(_L_ARM, _R_ARM, strict=True) for n in pair),
    *(n for pair in zip(_L_LEG, _R_LEG, strict=True) for n in pair),
    "head",
    "neck",
]
# MediaPipe's pose landmarks, see its documentation, "Pose landmark detection guide".
_BLAZEPOSE_33 = [
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
]  # fmt: skip


@dataclass(frozen=True)
class JointSet:
    """How many joints a set has, and the place (17,) of each of COCO's among them, -1 where there is none."""

    count: int
    places: IntArray

    @classmethod
    def of(cls, names: Sequence[str]) -> JointSet:
        """The set of those names; left_shoulder, "Left Shoulder", leftShoulder, LShoulder are the same."""
        there = {_plain(name): place for place, name in reversed(list(enumerate(names)))}
        return cls(len(names), np.array([there.get(_plain(n), _LACKING) for n in COCO_NAMES]))

    def to_coco(self, joints: Floats) -> Floats:
        """(17, 3) of (K, 3) joints, zeros where the set has no such joint."""
        found = np.zeros((N_COCO, 3))
        found[self.places >= 0] = joints[self.places[self.places >= 0]]
        return found


def _plain(name: str) -> str:
    letters = re.sub("[^a-z]", "", name.casefold())
    short = re.fullmatch("([lr])(eye|ear|shoulder|elbow|wrist|hip|knee|ankle)", letters)
    return {"l": "left", "r": "right"}[short[1]] + short[2] if short else letters


_FIRST = np.arange(N_COCO)  # Halpe and the whole-body sets begin with COCO's joints
_HALPE_26, _HALPE_68, _WHOLE_BODY_133, _HALPE_136 = (
    JointSet(n, _FIRST) for n in (26, 68, 133, 136)
)  # Fang et al. 2022 (68 has hands and no face); COCO-WholeBody, Jin et al. 2020
OPENPOSE = {
    s.count: s for s in (JointSet(25, BODY_25), JointSet(18, _COCO_18), JointSet.of(_MPI_15))
}
KNOWN = {
    s.count: s
    for s in (
        JointSet(N_COCO, _FIRST),
        *OPENPOSE.values(),
        JointSet.of(_MPII_16),
        JointSet.of(_CROWDPOSE_14),
        JointSet.of(_BLAZEPOSE_33),
        _HALPE_26,
        _HALPE_68,
        _WHOLE_BODY_133,
        _HALPE_136,
    )
}
