"""`KnownCamera`: what is known about a picture's camera and ground before people are found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crowd3d.errors import CameraError
from crowd3d.scene.camera import Camera

if TYPE_CHECKING:
    from crowd3d.scene.level_regions import LevelRegions
    from crowd3d.scene.plane import Plane

_NOT_A_ROTATION = 1e-3  # largest error of R R^T that rounding explains
_ZENITH_DEG = 75.0  # a camera that looks up more steeply sees no ground that people stand on
_HIGHEST_M = 100_000.0


@dataclass(frozen=True)
class KnownGround:
    """What a surveyor knows: where down is, and how high the camera is above the ground.

    Attributes:
        gravity: (3,) unit vector down in the camera frame; None if it is not known.
        height_m: of the camera above the ground, at a right angle to it; None if it is not known.

    Raises:
        CameraError: a value that no camera over people on a ground has.
    """

    gravity: tuple[float, float, float] | None = None
    height_m: float | None = None

    def __post_init__(self) -> None:
        if self.gravity is not None:
            object.__setattr__(self, "gravity", _direction_down(self.gravity))
        if self.height_m is not None and not 0 < self.height_m < _HIGHEST_M:
            raise CameraError(
                f"a camera height of {self.height_m:g} m is not above the ground; give metres, "
                "the ground being where people stand"
            )

    @classmethod
    def of_plane(cls, plane: Sequence[float]) -> KnownGround:
        """From nx, ny, nz, d: the ground n.X + d = 0 in the camera frame; any length and sign of n.

        Raises:
            CameraError: no plane below the camera.
        """
        *normal, offset = _finite(
            plane, 4, "a plane is nx, ny, nz, d of n.X + d = 0 in the camera frame"
        )
        length = math.hypot(*normal)
        if length < 1e-9 or offset == 0:
            raise CameraError(
                f"the plane {_said(plane)} goes through the camera or has no normal; d is the camera's "
                "height"
            )
        down = -math.copysign(1.0, offset) / length
        x, y, z = (down * value for value in normal)
        return cls((x, y, z), abs(offset) / length)

    @classmethod
    def of_pose(cls, R: object, t: object = None) -> KnownGround:
        """From a calibrated camera's pose, x_camera = R x_world + t.

        The world is in metres, its z axis points up, and z = 0 is the ground. Without `t` the height is not
        known.

        Raises:
            CameraError: no rotation, or a camera that cannot see the ground of such a world.
        """
        turn = np.array(_finite(_flat(R), 9, "R must be a 3 x 3 rotation")).reshape(3, 3)
        if np.abs(turn @ turn.T - np.eye(3)).max() > _NOT_A_ROTATION or np.linalg.det(turn) < 0:
            raise CameraError("R is not a rotation: its rows must be unit vectors at right angles")
        x, y, z = (float(value) for value in -turn[:, 2])
        height_m = None
        if t is not None:
            height_m = -float(turn[:, 2] @ _finite(_flat(t), 3, "t must be 3 numbers"))
        looks_up_deg = math.degrees(math.asin(min(max(-z, -1.0), 1.0)))
        if (height_m is not None and height_m <= 0) or looks_up_deg > _ZENITH_DEG:
            where = "" if height_m is None else f"{height_m:.3g} m above the ground, "
            raise CameraError(
                f"R and t put the camera {where}looking {looks_up_deg:.0f} degrees up; they must be "
                "x_camera = R x_world + t with the world in metres, z up and the ground at z = 0. "
                "Leave them out if the world is another"
            )
        return cls((x, y, z), height_m)

    @property
    def normal(self) -> npt.NDArray[np.float64] | None:
        """(3,) unit vector up; None if it is not known."""
        return None if self.gravity is None else -np.array(self.gravity)

    @property
    def plane(self) -> Plane | None:
        """The ground; None if it is not known completely."""
        if self.normal is None or self.height_m is None:
            return None
        from crowd3d.scene.plane import Plane  # with shapely, which `--help` need not wait for

        return Plane(self.normal, self.height_m)


NOTHING_KNOWN = KnownGround()


@dataclass(frozen=True)
class KnownCamera:
    """What the user, the picture's metadata or an earlier fit say about the camera.

    Attributes:
        size_px: width and height of the picture.
        camera: the camera; None if the focal length is not known.
        projection: one of `crowd3d.scene.camera.PROJECTIONS`.
        center_is_known: whether the principal point was given; otherwise it is only assumed.
        focal_prior: focal length in pixels and standard deviation of its logarithm, from the picture's EXIF;
            None if there is none.
        source: how the projection was decided, in words.
        ground: what is known of gravity and height.
        notes: what was wrong with what was given or the picture says, and what was done about it, in words.
        projection_is_assumed: whether neither the user nor the picture says that it is perspective.
        regions: which level of ground people stand on, by where their feet are seen; None if not told. A height
            in `ground` then is over the first of them.
    """

    size_px: tuple[int, int]
    camera: Camera | None = None
    projection: str = "perspective"
    center_is_known: bool = False
    focal_prior: tuple[float, float] | None = None
    source: str = "assumed"
    ground: KnownGround = NOTHING_KNOWN
    notes: tuple[str, ...] = ()
    projection_is_assumed: bool = False
    regions: LevelRegions | None = None

    @classmethod
    def of(cls, camera: Camera, source: str = "given") -> KnownCamera:
        """From a camera that is completely known, principal point included."""
        size_px = (camera.width, camera.height)
        return cls(size_px, camera, camera.projection, center_is_known=True, source=source)

    @property
    def turn_px(self) -> float | None:
        """`Camera.turn_px`; None if the camera is not known."""
        return self.camera.turn_px if self.camera is not None else None

    @property
    def center_is_free(self) -> bool:
        """Whether the principal point may be fitted to the people."""
        return not self.center_is_known and self.projection == "perspective"

    @property
    def is_complete(self) -> bool:
        """Whether camera and ground are both known, so that nothing is to be fitted."""
        return self.camera is not None and self.center_is_known and self.ground.plane is not None


def _direction_down(gravity: Sequence[float]) -> tuple[float, float, float]:
    wanted = "gravity is the direction down: x right, y down, z forward in the picture"
    x, y, z = _finite(gravity, 3, wanted)
    length = math.hypot(x, y, z)
    if length < 1e-9:
        raise CameraError("gravity is a direction, not 0, 0, 0")
    if y < -0.5 * length:
        raise CameraError(
            f"gravity {_said(gravity)} points up in the picture, whose y axis points down; "
            "turn the signs, or turn the picture if it is upside down"
        )
    return x / length, y / length, z / length


def _flat(values: object) -> list[Any]:
    """Rows of a matrix, or a column, as one list."""
    if not isinstance(values, list | tuple | np.ndarray):
        return []
    return [number for row in values for number in (row if np.ndim(row) else [row])]


def _finite(values: Sequence[float], count: int, wanted: str) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise CameraError(f"{wanted}; that is {count} finite numbers, not {_said(values)}")
    return numbers


def _said(values: object) -> str:
    text = ", ".join(map(str, values)) if isinstance(values, list | tuple) else str(values)
    return text if len(text) <= 60 else f"{text[:57]}..."
