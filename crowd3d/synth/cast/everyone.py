"""`Cast`: everyone in a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass
class Cast:
    """Everyone in the scene, one row a person, in the ground frame.

    Attributes:
        position_m: (N, 2) x and z of the pelvis.
        level: (N,) index of the plane.
        yaw_rad: (N,) heading; 0 faces the viewer.
        stature_m: (N,); child, seated: (N,) bool.
        pose: (N, 24, 3) axis-angle, the root upright.
        carrier: (N,) whose shoulders somebody is on, as a row before their own; -1 = nobody's.
    """

    position_m: FloatArray
    level: npt.NDArray[np.int64]
    yaw_rad: FloatArray
    stature_m: FloatArray
    child: npt.NDArray[np.bool_]
    seated: npt.NDArray[np.bool_]
    pose: FloatArray
    carrier: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.level)
