"""Camera of a panorama from Google's photo sphere metadata in XMP (GPano namespace, 2019 text)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from crowd3d.errors import CameraError
from crowd3d.scene.camera import PROJECTIONS, Camera

_MAX_BYTES = 4_000_000
_ENTRY = re.compile(rb'GPano:(\w+)\s*(?:=\s*["\']([^"\']{0,200})["\']|>([^<]{0,200})<)')


@dataclass(frozen=True)
class GPano:
    """Which part of the whole sphere or cylinder a picture shows, in pixels of the picture as stitched."""

    projection: str
    full_width: float
    full_height: float | None
    cropped_width: float
    cropped_top: float | None


def parse(xmp: bytes) -> GPano | None:
    """Read the GPano entries of an XMP packet; None if there are none, or projection or sizes are missing."""
    entries = {}
    for name, attribute, element in _ENTRY.findall(xmp[:_MAX_BYTES]):
        entries[name.decode()] = (attribute or element).decode("utf-8", "replace").strip()
    projection = entries.get("ProjectionType", "").lower()
    full_width = _number(entries, "FullPanoWidthPixels")
    cropped_width = _number(entries, "CroppedAreaImageWidthPixels") or full_width
    if projection not in PROJECTIONS or not full_width or not cropped_width:
        return None
    return GPano(
        projection,
        full_width,
        _number(entries, "FullPanoHeightPixels"),
        cropped_width,
        _number(entries, "CroppedAreaTopPixels", at_least=0.0),
    )


def camera(pano: GPano, width: int, height: int) -> Camera:
    """Make the camera of a picture with the given size, which may have been scaled after stitching.

    The principal point is in the middle column, in the horizon's row. That row follows from the crop entries,
    or is the middle row if they are missing.

    Raises:
        CameraError: the entries contradict the picture.
    """
    scale = width / pano.cropped_width
    horizon = height / 2
    if pano.full_height is not None and pano.cropped_top is not None:
        horizon = (pano.full_height / 2 - pano.cropped_top) * scale
    focal_px = pano.full_width * scale / (2 * math.pi)
    try:
        return Camera(width, height, focal_px, (width / 2, horizon), projection=pano.projection)
    except CameraError as error:
        raise CameraError(
            f"the picture's own panorama metadata cannot be right ({error}); give --projection and --fov"
        ) from None


def _number(entries: dict[str, str], name: str, at_least: float = 1.0) -> float | None:
    try:
        value = float(entries[name])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) and value >= at_least else None
