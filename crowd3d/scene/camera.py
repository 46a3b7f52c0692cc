"""`Camera`: the one camera of a scene, of any projection. Most other code works on its rays only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.errors import CameraError, nearest_name
from crowd3d.files import strict_json
from optim import fisheye, panorama, pixels
from optim import lens as lenses

MIN_FOV_RAD = math.radians(1.0)
_MAX_FOV_RAD = {
    "perspective": math.radians(170.0),
    # Stitching programs round the width of a full turn.
    **dict.fromkeys(panorama.KINDS, math.radians(360.5)),
    **dict.fromkeys(fisheye.KINDS, math.radians(300.0)),
}
PERSPECTIVE, PROJECTIONS = pixels.PERSPECTIVE, pixels.PROJECTIONS
# Of coefficients of distortion, where there are any.
COUNTS = {PERSPECTIVE: lenses.COUNTS, **dict.fromkeys(panorama.KINDS, ()), **fisheye.COUNTS}
MEMBERS = (  # of `Camera.to_dict`
    *("projection", "width", "height", "focal_px", "center_px"),
    *("distortion", "pixel_aspect"),
)


@dataclass(frozen=True)
class Camera:
    """A camera at the origin of the scene frame (x right, y down, z forward, metres).

    Pixels count from the top-left corner of the full picture; the first pixel's centre is (0.5, 0.5).

    Attributes:
        width, height: of the picture in pixels.
        focal_px: focal length; for panoramas, the pixels per radian around the camera's y axis; for fisheyes,
            the pixels per radian at the principal point.
        center_px: (u, v) principal point.
        distortion: coefficients of a perspective picture's lens, in OpenCV's order: k1, k2, then p1, p2, k3,
            k4, k5, k6, s1, s2, s3, s4 (2, 4, 5, 8 or 12 of them); of a fisheye k1, k2, k3, k4.
        projection: one of PROJECTIONS.
        pixel_aspect: fy / fx, focal length down the picture over `focal_px`, which is that across it.

    Raises:
        CameraError: a value is not finite, impossible, or does not fit the projection.
    """

    width: int
    height: int
    focal_px: float
    center_px: tuple[float, float]
    distortion: tuple[float, ...] = lenses.NONE
    projection: str = "perspective"
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        values = (self.focal_px, *self.center_px, *self.distortion, self.pixel_aspect)
        if self.width < 1 or self.height < 1 or not all(math.isfinite(v) for v in values):
            raise CameraError(f"camera with non-finite or empty values: {self}")
        if self.projection not in PROJECTIONS:
            raise CameraError(
                f"projection {self.projection!r} is not supported; use one of {', '.join(PROJECTIONS)}"
            )
        self._check_lens()
        widest_rad = _MAX_FOV_RAD[self.projection]
        fov_rad = self.fov_rad if self.is_fisheye else self._ideal_fov_rad
        if not (self.focal_px > 0 and MIN_FOV_RAD <= fov_rad <= widest_rad):
            raise CameraError(
                f"a focal length of {self.focal_px:.6g} px on a {self.width} px wide picture is a field of "
                f"view of {math.degrees(fov_rad):.3g} degrees; give one between "
                f"{math.degrees(MIN_FOV_RAD):.0f} and {math.degrees(widest_rad):.0f}"
            )

    def _check_lens(self) -> None:
        if self.is_panorama and not self.has_ideal_lens:
            raise CameraError(
                f"a {self.projection} picture has no lens: leave out distortion and pixel_aspect"
            )
        counts = COUNTS[self.projection]
        if any(self.distortion) and len(self.distortion) not in counts:
            wanted = " or ".join(map(str, counts)) if counts else "no"
            raise CameraError(
                f"a {self.projection} picture has {wanted} coefficients of distortion, not "
                f"{len(self.distortion)}"
            )
        if not 0.2 <= self.pixel_aspect <= 5.0:
            raise CameraError(
                f"a focal length {self.pixel_aspect:.3g} times as long down the picture as across it is no "
                "camera's; check fx and fy"
            )

    @classmethod
    def from_fov(
        cls, width: int, height: int, fov_deg: float, projection: str = "perspective"
    ) -> Camera:
        """Make a camera from its horizontal field of view, with the principal point at the centre.

        Raises:
            CameraError: a field of view that is impossible for the projection.
        """
        widest_deg = 180 if projection == "perspective" else 360
        if not 0 < fov_deg <= widest_deg or fov_deg == 180 == widest_deg:
            raise CameraError(
                f"a field of view of {fov_deg:g} degrees is not between 0 and {widest_deg}"
            )
        half_rad = math.radians(fov_deg) / 2
        if projection in fisheye.KINDS:
            focal_px = 0.5 * width / float(fisheye.radius_over_focal(half_rad, projection))
        else:
            focal_px = 0.5 * width / (math.tan(half_rad) if widest_deg == 180 else half_rad)
        return cls(width, height, focal_px, (width / 2, height / 2), projection=projection)

    @property
    def is_panorama(self) -> bool:
        """Whether columns are angles around a vertical axis."""
        return self.projection in panorama.KINDS

    @property
    def is_perspective(self) -> bool:
        """Whether straight lines are straight in the picture, lens distortion aside."""
        return self.projection == "perspective"

    @property
    def is_fisheye(self) -> bool:
        """Whether the distance from the principal point tells the angle to the optical axis."""
        return self.projection in fisheye.KINDS

    @property
    def has_ideal_lens(self) -> bool:
        """Whether a perspective picture has straight edges straight, and square pixels."""
        return not any(self.distortion) and self.pixel_aspect == 1.0

    @property
    def turn_px(self) -> float | None:
        """Number of columns of a whole turn, if the picture shows one and its left and right border meet."""
        turn = 2 * math.pi * self.focal_px
        return turn if self.is_panorama and self.width > turn - 1.0 else None

    @property
    def fov_rad(self) -> float:
        """Horizontal field of view in radians, as the lens shows it."""
        if not any(self.distortion) or self.focal_px <= 0:
            return self._ideal_fov_rad
        half = self.width / 2 / self.focal_px
        if self.is_fisheye:
            return 2 * float(fisheye.theta_rad(half, self.projection, self.distortion))
        return 2 * lenses.angle_of(half, self.distortion)

    @property
    def _ideal_fov_rad(self) -> float:
        """The field of view of the same focal length without a lens that bends."""
        if self.is_panorama:
            return self.width / self.focal_px
        if self.is_fisheye:
            return 2 * float(fisheye.theta_rad(self.width / 2 / self.focal_px, self.projection))
        return 2 * math.atan2(self.width / 2, self.focal_px)

    @property
    def fov_down_rad(self) -> float:
        """Vertical field of view in radians of a perspective picture, without the distortion."""
        return 2 * math.atan2(self.height / 2, self.focal_px * self.pixel_aspect)

    @property
    def K(self) -> npt.NDArray[np.float64]:
        """(3, 3) intrinsic matrix for other tools, without the distortion.

        For a panorama or a fisheye, the matrix of the perspective camera that agrees with it near its centre.
        """
        cx, cy = self.center_px
        fx, fy = self.focal_px, self.focal_px * self.pixel_aspect
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64)

    def project(self, points_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) points in metres -> (..., 2) pixels; NaN for points that a perspective camera cannot see.

        For a panorama, the pixels are within half a turn of the picture's middle. A fisheye has pixels, often
        outside of the picture, for all points that are not straight behind it.
        """
        found_px = pixels.project(points_m, *self._model)
        if self.is_panorama:
            turn = 2 * math.pi * self.focal_px
            found_px[..., 0] -= turn * np.floor((found_px[..., 0] - self.width / 2) / turn + 0.5)
        return found_px

    def rays(self, points_px: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 2) pixels -> (..., 3) unit vectors in the camera frame, the inverse of `project`."""
        return pixels.rays(points_px, *self._model)

    @property
    def _model(self) -> tuple[float, tuple[float, float], str, tuple[float, ...], float]:
        """What `optim.pixels` asks of a camera."""
        shared = (self.focal_px, self.center_px, self.projection)
        return (*shared, self.distortion, self.pixel_aspect)

    def straight_px(self, points_px: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 2) pixels of a perspective picture -> where a lens that does not bend would show the same.

        With square pixels, and the same focal length and principal point; NaN where it would show nothing.
        """
        if self.has_ideal_lens:
            return np.asarray(points_px, np.float64)
        ideal = replace(self, distortion=lenses.NONE, pixel_aspect=1.0)
        return ideal.project(self.rays(points_px))

    def scaled(self, width: int, height: int) -> Camera:
        """The camera of the same picture at another size.

        Raises:
            CameraError: the size would be impossible.
        """
        across, down = width / self.width, height / self.height
        u, v = self.center_px
        return replace(
            self,
            width=width,
            height=height,
            focal_px=self.focal_px * across,
            center_px=(u * across, v * down),
            # A panorama has one number for both: sizes differ by rounding only.
            pixel_aspect=1.0 if self.is_panorama else self.pixel_aspect * down / across,
        )

    def unwrapped(
        self, points_px: npt.ArrayLike, near_px: npt.ArrayLike
    ) -> npt.NDArray[np.float64]:
        """(..., 2) pixels; in a panorama, moved by whole turns to be as near to `near_px` as possible.

        Args:
            points_px, near_px: (..., 2), broadcast.
        """
        points = np.array(points_px, dtype=np.float64)
        if self.is_panorama:
            turn = 2 * math.pi * self.focal_px
            away = points[..., 0] - np.asarray(near_px, dtype=np.float64)[..., 0]
            points[..., 0] -= turn * np.round(away / turn)
        return points

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; pixel_aspect only where it is not that of most cameras."""
        values = {
            "projection": self.projection,
            "width": self.width,
            "height": self.height,
            "focal_px": self.focal_px,
            "center_px": list(self.center_px),
            "distortion": list(self.distortion),
        }
        if self.pixel_aspect != 1.0:
            values["pixel_aspect"] = self.pixel_aspect
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Camera:
        """The inverse of `to_dict`; raises CameraError, which says what is missing, malformed or unknown."""
        for name in values:
            if name not in MEMBERS:
                raise CameraError(
                    f"the camera has an unknown {name!r}{nearest_name(name, MEMBERS)}"
                )
        try:
            width, height = int(values["width"]), int(values["height"])
            center = _numbers(values.get("center_px", (width / 2, height / 2)), "center_px", 2)
            return cls(
                width,
                height,
                float(values["focal_px"]),
                (center[0], center[1]),
                _numbers(values.get("distortion", lenses.NONE), "distortion"),
                str(values.get("projection", "perspective")),
                float(values.get("pixel_aspect", 1.0)),
            )
        except KeyError as error:
            raise CameraError(f"the camera has no {error.args[0]!r}") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise CameraError(f"the camera is malformed: {error}") from None

    @classmethod
    def from_json(cls, path: str | Path) -> Camera:
        """Read `camera.json`: width, height, focal_px and optionally what else `to_dict` writes.

        A file that also tells gravity, height or ground is refused here: `reconstruct(camera=path)` takes it.

        Raises:
            CameraError: the file cannot be read, or is not a camera.
        """
        return cls.from_dict(strict_json.read_object(path, CameraError))


def _numbers(values: Any, name: str, count: int | None = None) -> tuple[float, ...]:
    """A list of numbers; raises ValueError."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"{name} must be a list of numbers, not {values!r}")
    if count is not None and len(values) != count:
        raise ValueError(f"{name} must be {count} numbers, not {len(values)}")
    return tuple(float(value) for value in values)
