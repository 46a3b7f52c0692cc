"""`Camera`: the one camera of a scene, of any projection. Most other code works on its rays only."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.errors import CameraError
from optim import fisheye, panorama, projection

MIN_FOV_RAD = math.radians(1.0)
_MAX_FOV_RAD = {
    "perspective": math.radians(170.0),
    # Stitching programs round the width of a full turn.
    **dict.fromkeys(panorama.KINDS, math.radians(360.5)),
    **dict.fromkeys(fisheye.KINDS, math.radians(300.0)),
}
PROJECTIONS = ("perspective", *panorama.KINDS, *fisheye.KINDS)


@dataclass(frozen=True)
class Camera:
    """A camera at the origin of the scene frame (x right, y down, z forward, metres).

    Pixels count from the top-left corner of the full picture; the first pixel's centre is (0.5, 0.5).

    Attributes:
        width, height: of the picture in pixels.
        focal_px: focal length; for panoramas, the pixels per radian around the camera's y axis; for fisheyes,
            the pixels per radian at the principal point.
        center_px: (u, v) principal point.
        distortion: radial (k1, k2) of a perspective picture.
        projection: one of PROJECTIONS.

    Raises:
        CameraError: a value is not finite, impossible, or does not fit the projection.
    """

    width: int
    height: int
    focal_px: float
    center_px: tuple[float, float]
    distortion: tuple[float, float] = (0.0, 0.0)
    projection: str = "perspective"

    def __post_init__(self) -> None:
        values = (self.focal_px, *self.center_px, *self.distortion)
        if self.width < 1 or self.height < 1 or not all(math.isfinite(v) for v in values):
            raise CameraError(f"camera with non-finite or empty values: {self}")
        if self.projection not in PROJECTIONS:
            raise CameraError(
                f"projection {self.projection!r} is not supported; use one of {', '.join(PROJECTIONS)}"
            )
        if not self.is_perspective and any(self.distortion):
            raise CameraError(f"a {self.projection} picture has no radial distortion to be given")
        widest_rad = _MAX_FOV_RAD[self.projection]
        if not (self.focal_px > 0 and MIN_FOV_RAD <= self.fov_rad <= widest_rad):
            raise CameraError(
                f"a focal length of {self.focal_px:.6g} px on a {self.width} px wide picture is a field of "
                f"view of {math.degrees(self.fov_rad):.3g} degrees; give one between "
                f"{math.degrees(MIN_FOV_RAD):.0f} and {math.degrees(widest_rad):.0f}"
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
    def turn_px(self) -> float | None:
        """Number of columns of a whole turn, if the picture shows one and its left and right border meet."""
        turn = 2 * math.pi * self.focal_px
        return turn if self.is_panorama and self.width > turn - 1.0 else None

    @property
    def fov_rad(self) -> float:
        """Horizontal field of view in radians."""
        if self.is_panorama:
            return self.width / self.focal_px
        if self.is_fisheye:
            return 2 * float(fisheye.theta_rad(self.width / 2 / self.focal_px, self.projection))
        return 2 * math.atan2(self.width / 2, self.focal_px)

    @property
    def K(self) -> npt.NDArray[np.float64]:
        """(3, 3) intrinsic matrix for other tools, without the distortion.

        For a panorama or a fisheye, the matrix of the perspective camera that agrees with it near its centre.
        """
        cx, cy = self.center_px
        return np.array(
            [[self.focal_px, 0, cx], [0, self.focal_px, cy], [0, 0, 1]], dtype=np.float64
        )

    def project(self, points_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 3) points in metres -> (..., 2) pixels; NaN for points that a perspective camera cannot see.

        For a panorama, the pixels are within half a turn of the picture's middle. A fisheye has pixels, often
        outside of the picture, for all points that are not straight behind it.
        """
        if self.is_panorama:
            pixels = panorama.project(points_m, self.focal_px, self.center_px, self.projection)
            turn = 2 * math.pi * self.focal_px
            pixels[..., 0] -= turn * np.floor((pixels[..., 0] - self.width / 2) / turn + 0.5)
            return pixels
        if self.is_fisheye:
            return fisheye.project(points_m, self.focal_px, self.center_px, self.projection)
        return projection.project(points_m, self.focal_px, self.center_px, self.distortion)

    def rays(self, points_px: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 2) pixels -> (..., 3) unit vectors in the camera frame, the inverse of `project`."""
        if self.is_panorama:
            return panorama.rays(points_px, self.focal_px, self.center_px, self.projection)
        if self.is_fisheye:
            return fisheye.rays(points_px, self.focal_px, self.center_px, self.projection)
        return projection.rays(points_px, self.focal_px, self.center_px, self.distortion)

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
        """Plain values for JSON."""
        return {
            "projection": self.projection,
            "width": self.width,
            "height": self.height,
            "focal_px": self.focal_px,
            "center_px": list(self.center_px),
            "distortion": list(self.distortion),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Camera:
        """The inverse of `to_dict`; raises CameraError, which says what is missing or malformed."""
        try:
            width, height = int(values["width"]), int(values["height"])
            center = values.get("center_px", (width / 2, height / 2))
            k1, k2 = values.get("distortion", (0.0, 0.0))
            return cls(
                width,
                height,
                float(values["focal_px"]),
                (float(center[0]), float(center[1])),
                (float(k1), float(k2)),
                str(values.get("projection", "perspective")),
            )
        except KeyError as error:
            raise CameraError(f"the camera has no {error.args[0]!r}") from None
        except (TypeError, ValueError, IndexError) as error:
            raise CameraError(f"the camera is malformed: {error}") from None

    @classmethod
    def from_json(cls, path: str | Path) -> Camera:
        """Read `camera.json`: width, height, focal_px and optionally center_px, distortion, projection.

        Raises:
            CameraError: the file cannot be read, or is not a camera.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise CameraError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:
            raise CameraError(f"{path} is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise CameraError(f"{path} must hold one JSON object")
        return cls.from_dict(values)
