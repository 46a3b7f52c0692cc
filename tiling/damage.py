"""Finds damage that decoders pass over in silence.

libjpeg goes on after data that it cannot understand, with a warning; libwebp stops reading when the picture
is full, whatever is left; libtiff does not compare checksums. What is checked here is what each format offers:
that a decoder needs all of the data and no more, or the checksum. Uncompressed samples offer nothing.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyvips
import simplejpeg

from tiling.memory import nothing_collected
from tiling.tiff_tags import COMPRESSION, JPEG_TABLES, Directory

Data = bytes | mmap.mmap

# The least of each format, in bytes a pixel: a block of 8 x 8 pixels of a JPEG takes a bit or more, and deflate
# shrinks to a 1,032nd at most (zlib, "Maximum Compression Factor").
_JPEG_PIXELS_A_BYTE = 8 * 64
_DEFLATE_FACTOR = 1032
_BASELINE = 0xC0
_ARITHMETIC = {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}  # frames of JPEGs without that bound

_HARMLESS_BYTES = 8  # left over behind a picture; some writers add a few
_PADDING_BYTES = 4096  # so many, if they are all alike
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_OF_HEADERS = ("JFIF revision", "Adobe color transform", "Invalid SOS parameters")
_NOT_OF_DATA = ("Unsupported color", "Insufficient memory")

_WEBP_KINDS = (b"VP8 ", b"VP8L")
# Without so many bytes at its end no sound picture can be decoded; decoders look 8 ahead.
_WEBP_NEEDED = 16
_LONG_ZEROS = bytes(64)
_RESTARTS, _SCAN = b"\xff\xdd\0\4", b"\xff\xda"  # markers of a JPEG

_JPEG_IN_TIFF, _WEBP_IN_TIFF, _DEFLATE_IN_TIFF = 7, 50001, (8, 32946)


@dataclass(frozen=True)
class Damage:
    """What is wrong with a picture.

    Attributes:
        what: in words.
        missing: share of the picture that is missing or may be wrong, at most 1.
    """

    what: str
    missing: float = 1.0


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """The bytes of a file, mapped; raises OSError, ValueError for an empty one."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def too_few_bytes(path: Path, loader: str, width: int, height: int, sample_bytes: int) -> bool:
    """Whether a file is too small to hold a picture of the declared size.

    Args:
        sample_bytes: of one pixel.
    """
    n_bytes = path.stat().st_size
    if loader == "pngload":
        # Samples of less than a byte count as one: then the bound is eight times as loose.
        return width * height * sample_bytes > 8 * _DEFLATE_FACTOR * n_bytes
    if loader == "jpegload" and width * height > _JPEG_PIXELS_A_BYTE * n_bytes:
        with mapped(path) as data:
            return _frame_of(data) not in _ARITHMETIC
    return False


def _frame_of(data: Data) -> int:
    """The marker of a JPEG's frame (SOF0 to SOF15); 0 if there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int(marker)
        if marker == 0xFF:
            at += 1
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return 0


def of_jpeg(data: Data) -> str | None:
    """What is wrong with the data of a JPEG, in libjpeg's words; None if nothing is, or only its padding.

    All of it is decoded, but only an eighth of its size is drawn, so that it takes half of the time.
    """
    warning = _first_warning(data)
    if warning is not None and any(word in warning for word in _OF_HEADERS):
        warning = _first_warning(_with_plain_headers(data))
    if warning is None or any(word in warning for word in (*_OF_HEADERS, *_NOT_OF_DATA)):
        return None
    return None if _is_padding(warning, data) else warning


def _first_warning(data: Data) -> str | None:
    try:
        colours = simplejpeg.decode_jpeg_header(data, strict=False)[2]
    except (ValueError, KeyError):  # KeyError: an unknown colour space
        return None  # told by whoever decodes it
    try:
        simplejpeg.decode_jpeg(
            data,
            colorspace="CMYK" if colours in ("CMYK", "YCCK") else "GRAY",
            fastdct=True,
            fastupsample=True,
            min_height=1,
            min_width=1,
            min_factor=8,
            strict=True,
        )
    except ValueError as error:
        return str(error)
    return None


def _with_plain_headers(data: Data) -> bytes:
    """The same JPEG without oddities of headers: behind a warning of them libjpeg tells nothing more."""
    plain = bytearray(data)
    if (jfif := plain.find(b"JFIF\0", 0, 64)) > 0:
        plain[jfif + 5] = 1  # the revision
    if (adobe := plain.find(b"\xff\xee\0\x0eAdobe")) > 0:
        plain[adobe + 15] = min(plain[adobe + 15], 2)  # the colour transform
    scan = plain.find(_SCAN)
    if _frame_of(data) == _BASELINE and scan > 0:
        end = scan + 2 + struct.unpack_from(">H", plain, scan + 2)[0]
        plain[end - 3 : end] = bytes((0, 63, 0))  # the coefficients of the scan, always all of them
    return bytes(plain)


def _is_padding(warning: str, data: Data) -> bool:
    """Whether a warning is of nothing but a few bytes, or equal ones, behind the picture."""
    left = _LEFT_OVER.search(warning)
    if left is None:
        return False
    n = int(left[1])
    if n <= _HARMLESS_BYTES:
        return True
    end = b"\xff\xd9"
    is_padding = any(bytes(data).find(byte * n + end) >= 0 for byte in (b"\0", b"\xff"))
    return n <= _PADDING_BYTES and is_padding


@nothing_collected()
def of_webp(data: Data) -> str | None:
    """What is wrong with the data of a WebP picture; None if nothing is.

    Its arithmetic code has no checksum. But a sound picture needs its last bytes: if it can be decoded without
    them, the decoder has lost its way before.
    """
    found = _webp_chunk(data)
    if found is None:
        return None  # an animation, or nothing that libwebp can decode
    kind, start, size = found
    needed = size - _WEBP_NEEDED
    if needed <= 0:
        return None
    chunk = (
        kind + struct.pack("<I", needed) + bytes(data[start : start + needed]) + bytes(needed % 2)
    )
    short = b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
    try:
        pyvips.Image.webpload_buffer(short, fail_on="error", scale=0.125).copy_memory()
    except pyvips.Error:
        return None
    return "WebP data are left over behind the picture"


def _webp_chunk(data: Data) -> tuple[bytes, int, int] | None:
    """Kind, start and bytes of the data of a still picture."""
    at = 12
    while at + 8 <= len(data):
        kind, size = bytes(data[at : at + 4]), struct.unpack_from("<I", data, at + 4)[0]
        if kind in _WEBP_KINDS:
            return kind, at + 8, size
        at += 8 + size + size % 2
    return None


def share_behind(data: Data, loader: str, share_undecoded: float) -> float:
    """Share of a picture that may be wrong, of one whose decoder fell out of step.

    Where that happened the decoder does not tell: it goes on with wrong pixels, until the data run out.

    Args:
        share_undecoded: of the picture, behind where the decoder noticed.
    """
    if loader == "jpegload" and 0 < data.find(_RESTARTS) < data.find(_SCAN):
        return share_undecoded  # it falls into step again soon
    if loader not in CHECKS:
        return share_undecoded or 1.0
    zeros = data.find(_LONG_ZEROS, min(len(data), 4096))  # no compressed picture has so many
    return max(share_undecoded, 1.0 if zeros < 0 else 1.0 - zeros / len(data))


def part_check(first: Directory) -> Callable[[bytes], bool] | None:
    """A test of whether a tile or strip of a TIFF is whole; None where its compression offers none."""
    compression = first.first(COMPRESSION, 1)
    if compression in _DEFLATE_IN_TIFF:
        return _is_whole_deflate
    if compression == _WEBP_IN_TIFF:
        return lambda data: of_webp(data) is None
    if compression == _JPEG_IN_TIFF:
        tables = first.tags.get(JPEG_TABLES)
        head = b"" if tables is None else tables.astype("u1").tobytes()[:-2]
        return lambda data: of_jpeg(head + data[2:] if head else data) is None
    return None


def _is_whole_deflate(data: bytes) -> bool:
    unpack = zlib.decompressobj()
    try:
        rest, got = data, b"."
        while (rest or got) and not unpack.eof:
            got = unpack.decompress(
                rest, 1 << 20
            )  # in pieces: a small tile may unpack to gigabytes
            rest = unpack.unconsumed_tail
    except zlib.error:
        return False
    return unpack.eof


# Loaders whose decoders pass over damage, and what is asked instead.
CHECKS: dict[str, Callable[[Data], str | None]] = {"jpegload": of_jpeg, "webpload": of_webp}
