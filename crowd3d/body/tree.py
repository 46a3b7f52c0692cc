"""Names, order and tree of SMPL's joints, and the orders of COCO's and Human3.6M's keypoints."""

from __future__ import annotations

JOINT_NAMES = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
_PAIRS = {1: 2, 4: 5, 7: 8, 10: 11, 13: 14, 16: 17, 18: 19, 20: 21, 22: 23}
_SWAP = _PAIRS | {right: left for left, right in _PAIRS.items()}
# Row j of a mirrored pose is row JOINT_MIRROR[j] with the signs of y and z of its axis flipped.
JOINT_MIRROR = tuple(_SWAP.get(j, j) for j in range(len(PARENTS)))

COCO_NAMES = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
N_JOINTS, N_KEYPOINTS, N_BETAS = 24, 17, 10

TORSO_KEYPOINTS = (5, 6, 11, 12)  # both shoulders and both hips
TORSO_JOINTS = (16, 17, 1, 2)  # the same among SMPL's joints

COCO_MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
H36M_MIRROR = (0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13)
# The 14 of the 17 Human3.6M joints that evaluations use: hips to ankles, thorax, crown, arms.
H36M_14 = (1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16)
