"""Pictures that libvips does not decode here.

BMP, JPEG 2000 and PSD are read by Pillow, HEIC by pi-heif and JPEG XL by imagecodecs, as a whole and into
memory. The size is known from the header before, and only the decoder that the first bytes ask for is called.
"""

from __future__ import annotations

import importlib
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from tiling.errors import ImageError, ResourceError
from tiling.formats import BMP, HEIC, JPEG2000, JXL, PSD, Format

MOST_PIXELS = 500_000_000  # of a picture that is decoded as a whole
BYTES_A_PIXEL = 12  # Pillow keeps four, its decoder up to as many, and so does the copy
_PILLOW = {BMP: "BMP", JPEG2000: "JPEG2000", PSD: "PSD", HEIC: "HEIF"}
_EXTRAS = {HEIC: ("pi_heif", "heic"), JXL: ("imagecodecs", "jxl")}  # module, extra
_MODES = {
    "1": "L",
    "P": "RGB",
    "PA": "RGBA",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
    "RGBX": "RGB",
}
_limit = threading.Lock()


@dataclass(frozen=True)
class Header:
    """What is known of a picture before it is decoded."""

    width: int
    height: int
    bands: int
    fields: dict[str, Any]


def open_header(path: Path, form: Format) -> Any:
    """A blank libvips picture with the size, bands and metadata of the file's; decodes no pixel.

    Raises:
        ImageError: the header is damaged, or the picture is too large to be decoded as a whole.
        ResourceError: the decoder is not installed; says how to get it.
    """
    header = _jxl_header(path) if form == JXL else _pillow_header(path, form)
    if header.width * header.height > MOST_PIXELS:
        raise ImageError(
            f"{path}: {header.width} x {header.height} px is too much for a {form.name} picture, which is "
            f"decoded as a whole (at most {MOST_PIXELS:,} pixels); convert it to a tiled TIFF first"
        )
    blank = pyvips.Image.black(max(header.width, 1), max(header.height, 1), bands=header.bands)
    return _described(blank, header.bands, header.fields)


def decode(path: Path, form: Format) -> Any:
    """The picture in memory, as `open_header` describes it.

    Raises:
        ImageError: it is damaged.
        ResourceError: the decoder is not installed.
    """
    if form == JXL:
        pixels, fields = _jxl_pixels(path), {}
    else:
        with _opened(path, form) as picture:
            fields = _fields(picture)
            pixels = np.asarray(picture.convert(_mode_of(picture)))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return _described(
        pyvips.Image.new_from_array(np.ascontiguousarray(pixels)), pixels.shape[2], fields
    )


def _described(image: Any, bands: int, fields: dict[str, Any]) -> Any:
    grey, colour = {"uchar": ("b-w", "srgb"), "ushort": ("grey16", "rgb16")}.get(
        image.format, ("b-w", "scrgb")
    )
    kind = "cmyk" if fields.get("is-cmyk") else colour if bands > 2 else grey
    image = image.copy(interpretation=kind)
    for name, value in fields.items():
        if isinstance(value, bytes):
            image.set_type(pyvips.GValue.blob_type, name, value)
        elif isinstance(value, str):
            image.set_type(pyvips.GValue.gstr_type, name, value)
    return image


def _module(form: Format) -> Any:
    """The optional decoder of a format."""
    name, extra = _EXTRAS[form]
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ResourceError(
            f"{form.name} pictures need a decoder that is not installed; pip install 'crowd3d[{extra}]'"
        ) from None


# -- by Pillow


@contextmanager
def _opened(path: Path, form: Format) -> Iterator[Any]:
    """The file, opened by the one decoder of its format; its errors become ImageError."""
    from PIL import Image

    if form == HEIC:
        _module(form).register_heif_opener()
    kind = _PILLOW[form]
    try:
        with _limit:  # ours is checked instead
            kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                picture = Image.open(path, formats=[kind])
            finally:
                Image.MAX_IMAGE_PIXELS = kept
        with picture:
            yield picture
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        RuntimeError,
    ) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ImageError(
            f"{path}: the {form.name} picture is truncated or damaged, or of a kind that is not read "
            f"({reason}); export it again, as JPEG or TIFF"
        ) from None


def _pillow_header(path: Path, form: Format) -> Header:
    with _opened(path, form) as picture:
        bands = len(_mode_of(picture).removesuffix(";16")) if picture.mode != "I;16" else 1
        width, height = picture.size
        return Header(width, height, bands, _fields(picture))


def _mode_of(picture: Any) -> str:
    """The mode in which the pixels are taken: grey, RGB or CMYK, with or without transparency."""
    mode = str(picture.mode)
    if mode == "P" and "transparency" in picture.info:
        return "RGBA"
    return _MODES.get(mode, mode)


def _fields(picture: Any) -> dict[str, Any]:
    """Metadata under the names that libvips gives them. Pixels come upright already."""
    from PIL import ExifTags

    fields: dict[str, Any] = {}
    for name, ours in (("icc_profile", "icc-profile-data"), ("xmp", "xmp-data")):
        value = picture.info.get(name)
        if isinstance(value, bytes) and value:
            fields[ours] = value
    if picture.mode == "CMYK":
        fields["is-cmyk"] = True
    exif = picture.getexif()
    for place, entries in ((0, exif), (2, exif.get_ifd(ExifTags.IFD.Exif))):
        for tag, value in entries.items():
            if tag in ExifTags.TAGS and hasattr(value, "numerator") and math.isfinite(float(value)):
                fields[f"exif-ifd{place}-{ExifTags.TAGS[tag]}"] = f"{float(value):f} (by Pillow)"
    return fields


# -- JPEG XL by imagecodecs


def _jxl_pixels(path: Path) -> Any:
    codecs = _module(JXL)
    try:
        return np.asarray(codecs.jpegxl_decode(path.read_bytes()))
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ImageError(
            f"{path}: the JPEG XL picture is truncated or damaged ({reason}); fetch or export the file again"
        ) from None


def _jxl_header(path: Path) -> Header:
    _module(JXL)
    with open(path, "rb") as stream:
        head = stream.read(1 << 16)
    stream_head = _jxl_codestream(head)
    width, height = jxl_size(stream_head) if stream_head is not None else (0, 0)
    if not width:
        raise ImageError(
            f"{path}: the JPEG XL picture is truncated or damaged (no size in its header)"
        )
    return Header(width, height, 3, {})


def _jxl_codestream(head: bytes) -> bytes | None:
    """The codestream's beginning; it may stand in a box (ISO/IEC 18181-2)."""
    if head.startswith(b"\xff\x0a"):
        return head
    at = 0
    while at + 8 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind in (b"jxlc", b"jxlp"):
            return head[at + (8 if kind == b"jxlc" else 12) :]
        if size < 8:
            return None
        at += size
    return None


def jxl_size(codestream: bytes) -> tuple[int, int]:
    """Upright width and height from a JPEG XL codestream; zeros if it is none.

    ISO/IEC 18181-1: SizeHeader, and the orientation that follows it in ImageMetadata.
    """
    if not codestream.startswith(b"\xff\x0a") or len(codestream) < 12:
        return 0, 0
    bits = int.from_bytes(codestream[2:16], "little")

    def take(n: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << n) - 1), bits >> n
        return value

    def side(is_small: bool) -> int:
        return 8 * (take(5) + 1) if is_small else take((9, 13, 18, 30)[take(2)]) + 1

    is_small = take(1) == 1
    height = side(is_small)
    ratio = take(3)
    if ratio == 0:
        width = side(is_small)
    else:
        up, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        width = height * up // down
    has_orientation = take(1) == 0 and take(1) == 1
    return (height, width) if has_orientation and take(3) >= 4 else (width, height)
