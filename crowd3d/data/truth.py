"""What a data set says of its pictures, in one form for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crowd3d.scene.plane import Plane

FloatArray = npt.NDArray[np.float64]

GHOST_BELOW = 0.03  # visible share of a person whom nobody need find

# The order of joints in `joints_m`, by name. COCO's 17 have their own fields.
JOINT_SETS = {
    "smpl24": 24,
    "coco17": 17,
    "mupots17": 17,  # head top, neck, arms right and left, legs right and left, pelvis, spine, head
    "panoptic19": 19,  # neck, nose, middle of the hips, left arm and leg, right arm and leg, face
}


@dataclass
class FrameTruth:
    """The people of one picture, one row each; NaN where the data set is silent.

    Attributes:
        image_name: file name of the picture; scene: what it belongs to.
        boxes_px: (N, 4) xyxy.
        keypoints_px: (N, 17, 3) COCO order: u, v, and COCO's flag: 0 unknown, 1 hidden, 2 seen.
        torso_m, hvip_m: (N, 3) torso centre and its foot on the ground, camera frame; hvip_px: (N, 2).
        joints_m: (N, J, 3) joints in the camera frame, in the order `joint_set` names; J may be 0.
        pose, betas, transl_m: (N, 24, 3), (N, 10), (N, 3) of the body `body`; empty name = unknown.
        gender: N names: neutral, male, female.
        kind: N names: LargeCrowd's normal, severe_occlusion, truncation, ghost; "normal" elsewhere.
        is_ignored: (N,) a crowd or an invalid annotation: neither to be found nor a mistake to find.
        K: (3, 3) intrinsic matrix or None; size: width and height or None; planes: the ground, camera frame.
        values: further arrays of a data set by its own names, one row a person.
    """

    image_name: str
    scene: str
    boxes_px: FloatArray
    keypoints_px: FloatArray
    torso_m: FloatArray
    hvip_m: FloatArray
    hvip_px: FloatArray
    joints_m: FloatArray
    joint_set: str
    pose: FloatArray
    betas: FloatArray
    transl_m: FloatArray
    body: str
    gender: list[str]
    kind: list[str]
    is_ignored: npt.NDArray[np.bool_]
    K: FloatArray | None = None
    size: tuple[int, int] | None = None
    planes: list[Plane] = field(default_factory=list)
    values: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.boxes_px)

    @classmethod
    def unknown(cls, image_name: str, scene: str, n: int, joint_set: str = "smpl24") -> FrameTruth:
        """n people of whom nothing is known yet."""

        def nan(*row: int) -> FloatArray:
            return np.full((n, *row), np.nan)

        keypoints = nan(17, 3)
        keypoints[..., 2] = 0
        return cls(
            image_name,
            scene,
            boxes_px=nan(4),
            keypoints_px=keypoints,
            torso_m=nan(3),
            hvip_m=nan(3),
            hvip_px=nan(2),
            joints_m=nan(JOINT_SETS[joint_set], 3),
            joint_set=joint_set,
            pose=nan(24, 3),
            betas=nan(10),
            transl_m=nan(3),
            body="",
            gender=["neutral"] * n,
            kind=["normal"] * n,
            is_ignored=np.zeros(n, dtype=bool),
        )


@dataclass
class DataSet:
    """Truth by picture, in the order of the data set.

    Attributes:
        name: of the format, one of `crowd3d.data.FORMATS`.
        frames: by file name of the picture, or by its path below the root where names repeat.
    """

    name: str
    frames: dict[str, FrameTruth]

    def __len__(self) -> int:
        return len(self.frames)
