"""Opens the header of a picture, within limits.

Each loader is chosen by the first bytes of the file and not by its name; loaders that libvips itself marks as
untrusted, ImageMagick among them, are blocked as well.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyvips

from tiling import foreign
from tiling.damage import mapped, too_few_bytes
from tiling.errors import ImageError
from tiling.formats import JPEG, PNG, TIFF, Format, sniff
from tiling.memory import nothing_collected
from tiling.tiff_tags import (
    COMPRESSION,
    DNG_VERSION,
    ORIENTATION,
    PHOTOMETRIC,
    SUBFILE,
    Directory,
    directories,
)

MAX_ASPECT_RATIO = 100.0
MIN_SIDE_PX = 32
_EXIF_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:/(\d+))? \(")
_BYTES_OF = {"uchar": 1, "ushort": 2, "float": 4, "double": 8}
_MOST_TEXT_BYTES = 64_000_000  # of a PNG, unpacked
_RAW = (32803, 34892)  # photometric: a sensor's colour filters, and linear raw
_JPEGS = (6, 7)  # compressions of a TIFF
# Compressions that libtiff has here: none, CCITT, LZW, JPEG, deflate, PackBits, WebP.
_COMPRESSIONS = {1, 2, 3, 4, 5, *_JPEGS, 8, 32773, 32946, 50001}

pyvips.block_untrusted_set(True)


@dataclass(frozen=True)
class PictureFile:
    """A file, and what in it is read.

    Attributes:
        form: its format; of a raw picture JPEG, for its preview is read.
        span: (offset, bytes) of that preview; None if the file itself is the picture.
        first: the tags of a TIFF's first picture.
        remark: what is read instead of the file's main picture, in words; or empty.
    """

    path: Path
    form: Format
    span: tuple[int, int] | None = None
    first: Directory | None = None
    remark: str = ""

    @property
    def loader(self) -> str:
        """Name of the libvips loader; empty if there is none for it."""
        return self.form.loader

    def data(self) -> bytes:
        """The bytes of the picture."""
        with mapped(self.path) as data:
            start, n = self.span or (0, len(data))
            return data[start : start + n]


def find(path: Path) -> PictureFile:
    """What is to be read of a file.

    Raises:
        ImageError: it is no picture, or a raw one without a preview.
    """
    form = sniff(path)
    if form == PNG:
        _refuse_long_texts(path)
    if form != TIFF:
        return PictureFile(path, form)
    inside = directories(path)
    first = inside[0] if inside else None
    if not any(DNG_VERSION in one.tags or one.first(PHOTOMETRIC) in _RAW for one in inside):
        if first is not None and first.first(COMPRESSION, 1) not in _COMPRESSIONS:
            raise ImageError(
                f"{path}: TIFF compression {first.first(COMPRESSION)} is not read; "
                "store the picture with deflate or LZW"
            )
        return PictureFile(path, form, first=first)
    spans = [
        one.parts[0]
        for one in inside
        if len(one.parts) == 1
        and one.first(COMPRESSION) in _JPEGS
        and one.first(PHOTOMETRIC) not in _RAW
    ]
    if spans:
        span = max(spans, key=lambda part: part[1])
        return PictureFile(path, JPEG, span, first, "the preview inside of a raw picture was read")
    if first is not None and first.first(PHOTOMETRIC) not in _RAW and not first.first(SUBFILE) & 1:
        return PictureFile(path, form, first=first)  # finished, and merely stored as DNG
    raise ImageError(
        f"{path}: a raw picture without a JPEG preview; develop it, and export a JPEG or TIFF picture"
    )


def open_header(file: PictureFile, max_pixels: int, least_side_px: int = MIN_SIDE_PX) -> Any:
    """The undecoded picture, for random access, within the limits.

    Raises:
        ImageError: a damaged header, sizes outside of the limits, or more pixels than the file can hold.
        ResourceError: a decoder is not installed.
    """
    if not file.loader:
        header = foreign.open_header(file.path, file.form)
        check_limits(file.path, header.width, header.height, max_pixels, least_side_px)
        return header
    header = load(file, access="random")
    check_limits(file.path, header.width, header.height, max_pixels, least_side_px)
    sample_bytes = header.bands * _BYTES_OF.get(header.format, 1)
    if file.span is None and too_few_bytes(
        file.path, file.loader, header.width, header.height, sample_bytes
    ):
        raise ImageError(
            f"{file.path}: declares {header.width} x {header.height} px, which "
            f"{file.path.stat().st_size:,} bytes cannot hold; the picture is truncated or damaged, "
            "fetch or export the file again"
        )
    return header


def load(file: PictureFile, *, fail_on: str = "error", **options: Any) -> Any:
    """Calls the one loader of a file; it stops at what `fail_on` names: none, truncated, error or warning."""
    if not file.loader:
        return foreign.decode(file.path, file.form)
    try:
        with nothing_collected():
            if file.span is not None:
                buffer = getattr(pyvips.Image, f"{file.loader}_buffer")
                image = buffer(file.data(), fail_on=fail_on, **options)
                return _turned(image, file.first)
            operation = getattr(pyvips.Image, file.loader)
            # revalidate: libvips would otherwise hand out the cached header of an overwritten file
            return operation(os.fspath(file.path), fail_on=fail_on, revalidate=True, **options)
    except pyvips.Error as error:
        raise damaged(file.path, error) from error


def _turned(image: Any, first: Directory | None) -> Any:
    """A preview with the orientation of its raw picture, unless it is turned by itself."""
    if first is None or exif_orientation(image) != 1:
        return image
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", first.first(ORIENTATION, 1))
    return image


def damaged(path: Path, error: Exception | str, *, can_read_on: bool = False) -> ImageError:
    """The one-line error for a picture whose header or pixels cannot be read."""
    hint = ", or read on with --damaged" if can_read_on else ""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith("unable to")] or lines
    return ImageError(
        f"{path}: the picture is truncated or damaged ({(reasons or ['no details'])[-1][:200]}); "
        f"fetch or export the file again{hint}"
    )


def check_limits(
    path: Path, width: int, height: int, max_pixels: int, least_side_px: int = MIN_SIDE_PX
) -> None:
    """Refuses dimensions outside the limits; reads no pixel.

    Raises:
        ImageError: too many pixels, a side that is too short, or an aspect ratio over 100:1.
    """
    size = f"{width} x {height} px"
    if width * height > max_pixels:
        raise ImageError(
            f"{path}: {size} is {width * height:,} pixels, the limit is {max_pixels:,}; "
            "raise max_pixels if this is intended"
        )
    if min(width, height) < least_side_px:
        raise ImageError(f"{path}: {size} is too small, each side needs {least_side_px} px or more")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ImageError(
            f"{path}: {size} is a strip of more than {MAX_ASPECT_RATIO:.0f}:1; crop or rotate it"
        )


def _refuse_long_texts(path: Path) -> None:
    """Raise ImageError if the compressed texts of a PNG, which libvips unpacks at once, are huge."""
    left = _MOST_TEXT_BYTES
    with mapped(path) as data:
        at = 8
        while at + 12 <= len(data):
            size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
            if kind in (b"zTXt", b"iTXt", b"iCCP"):
                text = data[at + 8 : at + 8 + size]
                left -= _unpacked_bytes(_compressed_part(kind, text), left)
                if left <= 0:
                    raise ImageError(
                        f"{path}: its texts unpack to more than {_MOST_TEXT_BYTES // 1_000_000} MB, "
                        "which no photograph needs; export the picture without metadata"
                    )
            at += 12 + size


def _compressed_part(kind: bytes, text: bytes) -> bytes:
    """What of a text is compressed; empty if nothing is."""
    after_key = text.find(b"\0") + 1
    if kind != b"iTXt":
        return text[after_key + 1 :]
    if not text[after_key : after_key + 1].strip(b"\0"):
        return b""
    after_language = text.find(b"\0", after_key + 2) + 1
    return text[text.find(b"\0", after_language) + 1 :]


def _unpacked_bytes(rest: bytes, most: int) -> int:
    """Bytes of a zlib stream once unpacked; `most` or a little more if it takes more."""
    unpack, total = zlib.decompressobj(), 0
    try:
        while rest and not unpack.eof and total < most:
            total += len(unpack.decompress(rest, 1 << 20))
            rest = unpack.unconsumed_tail
    except zlib.error:
        pass  # libvips leaves out a text that it cannot unpack
    return total


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
