"""Opens the header of a picture and describes, lazily, its pixels as 8-bit sRGB.

Only four loaders of libvips are ever called, each chosen by the first bytes of the file and not by
its name; loaders that libvips itself marks as untrusted, ImageMagick among them, are blocked as
well.
"""

from __future__ import annotations

import logging
import math
import os
import re
from pathlib import Path
from typing import Any

import pyvips

from tiling.errors import ImageError

_log = logging.getLogger(__name__)

MAX_ASPECT_RATIO = 100.0
MIN_SIDE_PX = 32
OUTSIDE_GREY = 114  # the letterbox grey detectors are trained with; also put behind transparency
_EXIF_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:/(\d+))? \(")
_SAMPLE_FORMATS = ("uchar", "ushort", "float", "double")

pyvips.block_untrusted_set(True)


def sniff_loader(path: Path) -> str:
    """Name of the libvips loader for a file, from its first bytes.

    Raises:
        ImageError: no such file, not a regular file, empty, unreadable or of another format.
    """
    if not path.exists():
        raise ImageError(f"{path}: no such file")
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise ImageError(f"{path}: is {kind}, give the path of one picture")
    try:
        with open(path, "rb") as stream:
            head = stream.read(16)
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror})") from error
    if not head:
        raise ImageError(f"{path}: the file is empty (0 bytes)")
    if head.startswith(b"\xff\xd8\xff"):
        return "jpegload"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "pngload"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiffload"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webpload"
    raise ImageError(
        f"{path}: not a JPEG, PNG, TIFF or WebP picture (it starts with {head[:8]!r}); "
        "convert it to one of these first"
    )


def load(path: Path, loader: str, **options: Any) -> Any:
    """Calls one libvips loader; decoding stops at the first damaged or missing part."""
    try:
        operation = getattr(pyvips.Image, loader)
        # revalidate: libvips would otherwise hand out the cached header of an overwritten file
        return operation(os.fspath(path), fail_on="error", revalidate=True, **options)
    except pyvips.Error as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> ImageError:
    """The one-line error for a picture whose header or pixels libvips cannot read."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith("unable to")] or lines
    return ImageError(
        f"{path}: the picture is truncated or damaged ({(reasons or ['no details'])[-1]}); "
        "fetch or export the file again"
    )


def check_limits(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Refuses dimensions outside the limits; reads no pixel.

    Raises:
        ImageError: too many pixels, a side under 32 px, or an aspect ratio over 100:1.
    """
    size = f"{width} x {height} px"
    if width * height > max_pixels:
        raise ImageError(
            f"{path}: {size} is {width * height:,} pixels, the limit is {max_pixels:,}; "
            "raise max_pixels if this is intended"
        )
    if min(width, height) < MIN_SIDE_PX:
        raise ImageError(f"{path}: {size} is too small, each side needs {MIN_SIDE_PX} px or more")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ImageError(
            f"{path}: {size} is a strip of more than {MAX_ASPECT_RATIO:.0f}:1; crop or rotate it"
        )


def exif_orientation(image: Any) -> int:
    """EXIF orientation 1..8 of an opened picture; 1 where it is absent or out of range."""
    if not image.get_typeof("orientation"):
        return 1
    value = int(image.get("orientation"))
    return value if 1 <= value <= 8 else 1


def exif_numbers(image: Any) -> dict[str, float]:
    """Name -> value of all EXIF entries that are a plain number or a fraction, as libvips prints them."""
    numbers = {}
    for field in image.get_fields():
        match = _EXIF_NUMBER.match(str(image.get(field))) if field.startswith("exif-ifd") else None
        if match is not None:
            value, divisor = float(match[1]), float(match[2] or 1)
            numbers[field.split("-", 2)[2]] = value / divisor if divisor else math.nan
    return numbers


def exif_model(image: Any) -> str:
    """Maker and model of the camera, with a space between them; empty if the EXIF record tells neither."""
    parts = []
    for name in ("Make", "Model"):
        field = f"exif-ifd0-{name}"
        said = str(image.get(field)) if image.get_typeof(field) else ""
        twice = said.rpartition(", ASCII, ")[
            0
        ]  # libvips prints "Canon (Canon, ASCII, 6 components, 6 bytes)"
        parts.append(twice[: (len(twice) - len(" (")) // 2].strip())
    return " ".join(part for part in parts if part)


def to_srgb8(image: Any, path: Path) -> Any:
    """The same picture as lazily converted 3-band 8-bit sRGB.

    An embedded ICC profile is honoured, transparency is composited on the letterbox grey, and float
    samples are taken as linear light with 1.0 as white.

    Raises:
        ImageError: samples of a type that is no photograph (complex, 32-bit integer).
    """
    if image.format not in _SAMPLE_FORMATS:
        raise ImageError(
            f"{path}: samples of type {image.format} are not supported; "
            "export 8-bit, 16-bit or float samples"
        )
    try:
        image = _to_three_bands(image)
        return image if image.format == "uchar" else image.cast("uchar")
    except pyvips.Error as error:
        raise damaged(path, error) from error


def _to_three_bands(image: Any) -> Any:
    alpha = None
    if image.hasalpha():
        alpha = image[image.bands - 1]
        # libvips scales alpha with the colour samples: 1.0, 255 or 65535 is opaque
        if image.format in ("float", "double"):
            full = 1.0 if image.interpretation == "scrgb" else 255.0
        else:
            full = 65535.0 if image.format == "ushort" else 255.0
        alpha = alpha.cast("float") / full
        image = image.extract_band(0, n=image.bands - 1)
    colour = _to_srgb(image)
    if alpha is None:
        return colour
    return (colour * alpha + (1.0 - alpha) * OUTSIDE_GREY).rint().cast("uchar")


def _to_srgb(image: Any) -> Any:
    is_float = image.format in ("float", "double")
    if is_float and image.bands < 3:
        grey = image[0]
        image = grey.bandjoin([grey, grey]).copy(interpretation="scrgb")
    elif image.interpretation == "multiband":
        deep = image.format == "ushort"
        image = image.extract_band(0, n=3) if image.bands >= 3 else image[0]
        names = ("rgb16", "grey16") if deep else ("srgb", "b-w")
        image = image.copy(interpretation=names[0] if image.bands == 3 else names[1])
    if not is_float and image.get_typeof("icc-profile-data"):
        profile = bytes(image.get("icc-profile-data"))
        if b"sRGB" not in profile and b"s\0R\0G\0B" not in profile:
            try:
                return image.icc_transform("srgb", embedded=True, intent="relative", depth=8)
            except pyvips.Error as error:
                _log.warning("unusable colour profile ignored: %s", str(error).splitlines()[0])
    return image.colourspace("srgb")
