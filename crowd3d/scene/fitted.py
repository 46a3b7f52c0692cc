"""`Fitted`: camera and ground as one solution, with its covariance."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.ground import Ground
from crowd3d.scene.plane import Plane
from optim.ground.surface import Surface

# With fewer, camera and ground are uncertain, and so is the predicted height of people.
FEW_PEOPLE = 12


@dataclass(frozen=True)
class Fitted:
    """One solution for camera and ground.

    Attributes:
        camera: the camera.
        planes: at least one.
        covariance: (4, 4) of log focal, pitch, roll, log offset.
        report: what was assumed, who was left out and why; plain JSON values.
        plane_index: (N,) plane of every person to whom it was fitted, -1 if unknown; may be empty.
        surface: the ground over the first plane, as of `Ground`.
    """

    camera: Camera
    planes: list[Plane]
    covariance: npt.NDArray[np.float64]
    report: dict[str, object]
    plane_index: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    surface: Surface | None = None

    @property
    def ground(self) -> Ground:
        """What people stand on."""
        return Ground(self.planes, self.surface)

    @property
    def joint_covariance(self) -> npt.NDArray[np.float64]:
        """(4 + K, 4 + K) of camera and ground together: `covariance`, followed by the surface's numbers."""
        if self.surface is None:
            return self.covariance
        joint = self.surface.covariance.copy()
        joint[:4, :4] = self.covariance  # with doubts that the surface's own does not know of
        return joint

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """(3,) unit vector, up: that of the first plane, which levels of ground share."""
        return self.planes[0].normal
