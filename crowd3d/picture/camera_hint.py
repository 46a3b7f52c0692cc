"""`CameraHint`: what the user or the picture's own metadata say about the camera, before people are found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crowd3d.errors import CameraError
from crowd3d.picture import gpano
from crowd3d.picture.exif import focal_prior
from crowd3d.scene.camera import PROJECTIONS, Camera
from crowd3d.scene.known import KnownCamera
from optim import fisheye

AUTO = "auto"


@dataclass(frozen=True)
class CameraHint:
    """What the user says about the camera; give at most one of the first three fields.

    Attributes:
        focal_px: focal length in pixels of the full picture; for panoramas, pixels per radian.
        fov_deg: horizontal field of view.
        camera_json: a file that `Camera.from_json` can read.
        projection: one of PROJECTIONS, or "auto": taken from the picture's metadata, else perspective.
    """

    focal_px: float | None = None
    fov_deg: float | None = None
    camera_json: Path | None = None
    projection: str = AUTO

    def resolve(
        self, width: int, height: int, xmp: bytes = b"", exif: Mapping[str, float] | None = None
    ) -> KnownCamera:
        """Combine the hint with a picture's metadata.

        Args:
            width, height: of the picture, in pixels.
            xmp: its XMP packet; exif: its EXIF numbers by name.

        Raises:
            CameraError: a value is impossible, or contradicts another value or the picture.
        """
        if self.projection not in (AUTO, *PROJECTIONS):
            raise CameraError(
                f"projection {self.projection!r} is not supported; use one of "
                f"{', '.join((AUTO, *PROJECTIONS))}"
            )
        if self.camera_json is not None:
            return self._from_file(self.camera_json, width, height)
        size_px = (width, height)
        pano = gpano.parse(xmp)
        if self.projection != AUTO:
            projection, source = self.projection, "given"
        elif pano is not None:
            projection, source = pano.projection, "the picture's GPano metadata"
        else:
            projection, source = "perspective", "assumed: the picture has no GPano metadata"
        camera: Camera | None = None
        doubts: tuple[str, ...] = ()
        if self.focal_px is not None:
            camera = _from_focal(self.focal_px, width, height, projection)
        elif self.fov_deg is not None:
            camera = Camera.from_fov(width, height, self.fov_deg, projection)
        elif pano is not None and pano.projection == projection != "perspective":
            camera, doubts = gpano.camera(pano, width, height), pano.doubts
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
            prior = focal_prior(exif, width, height) if exif and is_flat else None
            is_assumed = self.projection == AUTO and pano is None
            return KnownCamera(size_px, None, projection, False, prior, source, doubts, is_assumed)
        is_sure = not camera.is_perspective
        return KnownCamera(size_px, camera, projection, is_sure, source=source, doubts=doubts)

    def _from_file(self, path: Path, width: int, height: int) -> KnownCamera:
        camera = Camera.from_json(path)
        if (camera.width, camera.height) != (width, height):
            raise CameraError(
                f"{path} is for a picture of {camera.width} x {camera.height} px, "
                f"this one has {width} x {height}"
            )
        if self.projection not in (AUTO, camera.projection):
            raise CameraError(
                f"{path} is a {camera.projection} camera, but the projection given is {self.projection}"
            )
        return KnownCamera.of(camera, "camera.json")


def _from_focal(focal_px: float, width: int, height: int, projection: str) -> Camera:
    if not (math.isfinite(focal_px) and focal_px > 0):
        raise CameraError(f"a focal length of {focal_px} px is not positive")
    return Camera(width, height, float(focal_px), (width / 2, height / 2), projection=projection)
