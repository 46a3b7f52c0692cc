"""Camera and ground as one solution, with how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.plane import Plane

FEW_PEOPLE = 12  # fewer leave camera and ground, and so how tall somebody should look, in doubt


@dataclass(frozen=True)
class Fitted:
    """One solution for camera and ground.

    Attributes:
        planes: at least one.
        covariance: (4, 4) over log focal, pitch, roll, log offset.
        plane_index: (N,) plane of every person it was fitted to, -1 where unknown; may be empty.
        report: what was assumed, who was left out and why; plain JSON values.
    """

    camera: Camera
    planes: list[Plane]
    covariance: npt.NDArray[np.float64]
    report: dict[str, object]
    plane_index: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
