"""Camera of a panorama from Google's photo sphere metadata in XMP (GPano namespace, 2019 text)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from crowd3d.errors import CameraError
from crowd3d.scene.camera import Camera
from optim.panorama import EQUIRECTANGULAR, KINDS

_MAX_BYTES = 4_000_000
_BINDING = re.compile(
    rb'xmlns:([\w.-]{1,40})\s*=\s*["\']http://ns\.google\.com/photos/1\.0/panorama/["\']'
)
_USUAL_PREFIX = b"GPano"
_MOST_PREFIXES = 8
_LARGEST_PX = 1e7  # no picture is larger
_LARGEST_CROP = 1.5  # in full widths; one that is a little wider than a turn shows some of it twice
# How far rows may be from the horizon: a crop may go beyond the poles, and a cylinder never reaches them.
_FARTHEST_RAD, _FARTHEST_TANGENT = math.radians(135.0), math.tan(math.radians(86.0))
_ASK = "give --projection and --fov"


@dataclass(frozen=True)
class GPano:
    """Which part of the whole sphere or cylinder a picture shows, in pixels of the picture as stitched.

    Attributes:
        cropped_top: of the picture below the top of the whole; negative if the picture begins above it.
        ignored: entries that cannot be sizes, as they are written.
    """

    projection: str
    full_width: float | None
    full_height: float | None
    cropped_width: float | None
    cropped_top: float | None
    ignored: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What was wrong with the entries, in words."""
        if not self.ignored:
            return ()
        return (f"of the picture's panorama metadata {', '.join(self.ignored)} was ignored",)


def parse(xmp: bytes) -> GPano | None:
    """Read the GPano entries of an XMP packet, under any prefix; None if none tells a panorama's projection."""
    packet = xmp[:_MAX_BYTES]
    prefixes = sorted({_USUAL_PREFIX, *_BINDING.findall(packet)[:_MOST_PREFIXES]})
    entry = re.compile(
        rb"(?<![\w.:-])(?:%s):(\w{1,60})\s*(?:=\s*[\"']([^\"']{0,200})[\"']|>([^<]{0,200})<)"
        % b"|".join(re.escape(prefix) for prefix in prefixes)
    )
    entries = {}
    for name, attribute, element in entry.findall(packet):
        entries[name.decode()] = (attribute or element).decode("utf-8", "replace").strip()
    projection = entries.get("ProjectionType", "").lower()
    if projection not in KINDS:
        return None
    sizes = {
        name: _number(entries[name], least)
        for name, least in (
            ("FullPanoWidthPixels", 1.0),
            ("FullPanoHeightPixels", 1.0),
            ("CroppedAreaImageWidthPixels", 1.0),
            ("CroppedAreaTopPixels", -_LARGEST_PX),
        )
        if name in entries
    }
    ignored = [f"{name}={entries[name][:20]!r}" for name, size in sizes.items() if size is None]
    return GPano(
        projection,
        sizes.get("FullPanoWidthPixels"),
        sizes.get("FullPanoHeightPixels"),
        sizes.get("CroppedAreaImageWidthPixels"),
        sizes.get("CroppedAreaTopPixels"),
        tuple(ignored),
    )


def camera(pano: GPano, width: int, height: int) -> Camera | None:
    """Make the camera of a picture with the given size, which may have been scaled after stitching.

    The principal point is in the middle column, in the horizon's row. That row follows from the crop entries,
    or is the middle row if they are missing. A crop that is wider than a turn is one turn; rows beyond a pole
    stay where they are. Without the full width, a picture twice as wide as high is a whole sphere; None if it
    may be any part of a cylinder.

    Raises:
        CameraError: the entries contradict the picture, or do not tell which part of a sphere it is.
    """
    if pano.full_width is None:
        if pano.projection != EQUIRECTANGULAR:
            return None
        if not is_whole_sphere(width, height):
            raise CameraError(
                f"the picture's metadata says {pano.projection}, but not how wide the whole sphere is "
                f"(FullPanoWidthPixels), and {width} x {height} px is no whole sphere (2:1); {_ASK}"
            )
        return Camera.from_fov(width, height, 360.0, pano.projection)
    cropped = pano.cropped_width or pano.full_width
    scale = width / cropped
    if pano.full_width < cropped <= _LARGEST_CROP * pano.full_width:
        focal_px = width / (2 * math.pi)
    else:
        focal_px = pano.full_width * scale / (2 * math.pi)
    horizon = height / 2
    if pano.full_height is not None and pano.cropped_top is not None:
        horizon = (pano.full_height / 2 - pano.cropped_top) * scale
    farthest = _FARTHEST_RAD if pano.projection == EQUIRECTANGULAR else _FARTHEST_TANGENT
    if max(horizon, height - horizon) > farthest * focal_px:
        raise CameraError(
            f"the picture's own panorama metadata cannot be right (the horizon would be in row {horizon:.4g} "
            f"of {height}, beyond a pole); {_ASK}"
        )
    try:
        return Camera(width, height, focal_px, (width / 2, horizon), projection=pano.projection)
    except CameraError as error:
        raise CameraError(
            f"the picture's own panorama metadata cannot be right ({error}); {_ASK}"
        ) from None


def is_whole_sphere(width: int, height: int) -> bool:
    """Whether an equirectangular picture of that size can be a whole sphere: twice as wide as high."""
    return abs(width - 2 * height) <= 0.01 * width


def _number(text: str, least: float) -> float | None:
    """A size in pixels; None if it cannot be one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if least <= value <= _LARGEST_PX else None
