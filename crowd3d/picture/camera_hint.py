"""`CameraHint`: what the user or the picture's own metadata say about the camera, before people are found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from crowd3d.config import Config
from crowd3d.errors import CameraError, ConfigError
from crowd3d.picture import camera_files, gpano
from crowd3d.picture.exif import focal_prior
from crowd3d.scene.camera import PROJECTIONS, Camera
from crowd3d.scene.known import NOTHING_KNOWN, KnownCamera, KnownGround
from optim import fisheye

if TYPE_CHECKING:
    from crowd3d.scene.level_regions import LevelRegions

AUTO = "auto"


@dataclass(frozen=True)
class CameraHint:
    """What the user says about camera and ground: given values are kept, the others are fitted to the people.

    Give at most one of focal_px, fov_deg, camera_json and camera, and either plane or gravity and height_m.

    Attributes:
        focal_px: focal length in pixels of the full picture; for panoramas, pixels per radian.
        fov_deg: horizontal field of view.
        camera_json: a file that `crowd3d.picture.camera_files` reads; it may tell the ground too.
        projection: one of PROJECTIONS, or "auto": taken from the picture's metadata, else perspective.
        camera: the camera itself.
        gravity: direction down in the camera frame (x right, y down, z forward), of any length.
        height_m: height of the camera above the ground on which people stand.
        plane: that ground as nx, ny, nz, d of n.X + d = 0 in the camera frame, metres.
        regions: a file of polygons in the picture that name levels of ground (`crowd3d.scene.level_regions`). A
            height that is known is over the first level of the file.
    """

    focal_px: float | None = None
    fov_deg: float | None = None
    camera_json: Path | None = None
    projection: str = AUTO
    camera: Camera | None = None
    gravity: tuple[float, float, float] | None = None
    height_m: float | None = None
    plane: tuple[float, float, float, float] | None = None
    regions: Path | None = None

    def resolve(
        self,
        width: int,
        height: int,
        xmp: bytes = b"",
        exif: Mapping[str, float] | None = None,
        model: str = "",
    ) -> KnownCamera:
        """Combine the hint with a picture's metadata.

        Args:
            width, height: of the picture, in pixels.
            xmp: its XMP packet; exif: its EXIF numbers by name; model: maker and model of the camera.

        Raises:
            CameraError: a value is impossible, or contradicts another value or the picture.
            DataError: the file of regions is malformed, or of another picture.
        """
        if self.projection not in (AUTO, *PROJECTIONS):
            raise CameraError(
                f"projection {self.projection!r} is not supported; use one of "
                f"{', '.join((AUTO, *PROJECTIONS))}"
            )
        known = self._camera(width, height, xmp, exif or {}, model)
        ground = self.ground
        if ground != NOTHING_KNOWN and known.ground != NOTHING_KNOWN:
            raise CameraError(
                f"{self.camera_json} tells the ground already; leave out --gravity, --camera-height and "
                "--plane, or take it out of the file"
            )
        known = replace(known, ground=ground) if known.ground == NOTHING_KNOWN else known
        return replace(known, regions=self._regions(known))

    def must_agree_with(self, config: Config) -> None:
        """Raises ConfigError if regions and settings both tell which levels there are."""
        if self.regions is None or (config.max_planes == 1 and config.ground in (AUTO, "levels")):
            return
        raise ConfigError(
            "regions name the levels of the ground already; leave out --max-planes (max_planes) and --ground "
            "(ground), or Crowd3DNet, which stands everybody on one level"
        )

    def _regions(self, known: KnownCamera) -> LevelRegions | None:
        if self.regions is None:
            return None
        if known.projection in fisheye.KINDS:
            raise CameraError(
                f"regions of levels cannot be used in a {known.projection} picture; leave out --regions"
            )
        from crowd3d.scene import level_regions  # with shapely, which `--help` need not wait for

        return level_regions.read(self.regions, known.size_px)

    @property
    def ground(self) -> KnownGround:
        """Gravity and height, apart from what a camera's file tells; raises CameraError."""
        if self.plane is None:
            return KnownGround(self.gravity, self.height_m)
        if self.gravity is not None or self.height_m is not None:
            raise CameraError("a plane tells gravity and height already; give either it or those")
        return KnownGround.of_plane(self.plane)

    def _camera(
        self, width: int, height: int, xmp: bytes, exif: Mapping[str, float], model: str
    ) -> KnownCamera:
        """What is known apart from gravity and height, unless a file tells them."""
        ways = (self.focal_px, self.fov_deg, self.camera_json, self.camera)
        if sum(way is not None for way in ways) > 1:
            raise CameraError("give only one of focal_px, fov_deg, camera_json and camera")
        if self.camera_json is not None:
            return self._from_file(self.camera_json, width, height)
        if self.camera is not None:
            one = camera_files.Intrinsics.of_camera("the camera given", self.camera)
            return _for_picture(one, width, height)
        size_px = (width, height)
        pano = gpano.parse(xmp)
        if self.projection != AUTO:
            projection, source = self.projection, "given"
        elif pano is not None:
            projection, source = pano.projection, "the picture's GPano metadata"
        else:
            projection, source = "perspective", "assumed: the picture has no GPano metadata"
        camera: Camera | None = None
        notes: tuple[str, ...] = ()
        if self.focal_px is not None:
            camera = _from_focal(self.focal_px, width, height, projection)
        elif self.fov_deg is not None:
            camera = Camera.from_fov(width, height, self.fov_deg, projection)
        elif pano is not None and pano.projection == projection != "perspective":
            camera, notes = gpano.camera(pano, width, height), pano.doubts
        elif projection == "equirectangular":
            if not gpano.is_whole_sphere(width, height):
                raise CameraError(
                    f"an equirectangular picture of {width} x {height} px is not a whole sphere "
                    "(twice as wide as high); give its field of view with --fov"
                )
            camera = Camera.from_fov(width, height, 360.0, projection)
        elif projection in fisheye.KINDS:
            raise CameraError(
                f"a {projection} picture does not tell its field of view; give it with --fov (across the "
                "picture's width, in degrees), --focal-px or --camera"
            )
        if camera is None:
            is_flat = projection == "perspective"
            prior = focal_prior(exif, width, height, model) if is_flat else None
            is_assumed = self.projection == AUTO and pano is None
            return KnownCamera(
                size_px,
                None,
                projection,
                focal_prior=prior,
                source=source,
                notes=notes,
                projection_is_assumed=is_assumed,
            )
        is_sure = not camera.is_perspective
        return KnownCamera(size_px, camera, projection, is_sure, source=source, notes=notes)

    def _from_file(self, path: Path, width: int, height: int) -> KnownCamera:
        found = camera_files.read(path)
        try:
            known = _for_picture(camera_files.chosen(found, width, height), width, height)
        except CameraError as error:
            raise CameraError(f"{path}: {error}") from None
        if self.projection not in (AUTO, known.projection):
            raise CameraError(
                f"{path} is a {known.projection} camera, but the projection given is {self.projection}"
            )
        return known


def _for_picture(one: camera_files.Intrinsics, width: int, height: int) -> KnownCamera:
    camera, notes = one.for_picture(width, height)
    return replace(KnownCamera.of(camera, one.kind), ground=one.ground, notes=notes)


def _from_focal(focal_px: float, width: int, height: int, projection: str) -> Camera:
    if not (math.isfinite(focal_px) and focal_px > 0):
        raise CameraError(f"a focal length of {focal_px} px is not positive")
    return Camera(width, height, float(focal_px), (width / 2, height / 2), projection=projection)
