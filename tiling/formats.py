"""Which format a file has, by its first bytes and not by its name, and what reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tiling.errors import ImageError

# Names of pictures that are read, as endings in small letters.
SUFFIXES = tuple(
    ".jpg .jpeg .png .tif .tiff .webp .bmp .avif .heic .heif .jxl .jp2 .j2k .jpx .psd .dng".split()
)
# Endings of other pictures, which whoever searches a folder should name rather than pass over.
OTHER_SUFFIXES = tuple(
    (
        ".gif .svg .pdf .exr .hdr .tga .ppm .pgm .pnm .ico .psb .xcf .fits .jpe .jfif .mpo .jpf .jpm .j2c .jpc "
        ".heics .avifs .hif .dib .insp .cr2 .cr3 .nef .arw .orf .rw2 .raf .pef .srw .raw"
    ).split()
)
HEAD_BYTES = 64
_URL = re.compile(r"(https?|ftp|s3|gs|file|data):/?", re.IGNORECASE)


@dataclass(frozen=True)
class Format:
    """A format of picture files.

    Attributes:
        name: as people call it.
        loader: the libvips loader; or empty, if `tiling.foreign` decodes it.
    """

    name: str
    loader: str = ""


JPEG, PNG, TIFF = Format("JPEG", "jpegload"), Format("PNG", "pngload"), Format("TIFF", "tiffload")
WEBP, AVIF = Format("WebP", "webpload"), Format("AVIF", "heifload")
HEIC, JXL, JPEG2000 = Format("HEIC"), Format("JPEG XL"), Format("JPEG 2000")
BMP, PSD = Format("BMP"), Format("PSD")
_MAGIC = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"BM", BMP),
    (b"8BPS\0\1", PSD),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG2000),
    (b"\xff\x4f\xff\x51", JPEG2000),
    (b"\xff\x0a", JXL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JXL),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def format_of(head: bytes) -> Format | None:
    """The format of a file from its first 64 bytes; None if it is none of those that are read."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}
        if brands & _AVIF_BRANDS:
            return AVIF
        return HEIC if brands & _HEIC_BRANDS else None
    return next((found for magic, found in _MAGIC if head.startswith(magic)), None)


def sniff(path: Path) -> Format:
    """The format of a file.

    Raises:
        ImageError: an address, no such file, not a regular file, empty, unreadable or of another format.
    """
    refuse_url(str(path))
    if not path.exists():
        raise ImageError(f"{path}: no such file")
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise ImageError(f"{path}: is {kind}, give the path of one picture")
    try:
        with open(path, "rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror})") from error
    if not head:
        raise ImageError(f"{path}: the file is empty (0 bytes)")
    found = format_of(head)
    if found is None:
        raise ImageError(
            f"{path}: not a JPEG, PNG, TIFF, WebP, AVIF, HEIC, JPEG XL, JPEG 2000, BMP, PSD or DNG picture "
            f"(it starts with {head[:8]!r}); convert it to one of these first"
        )
    return found


def refuse_url(name: str) -> None:
    """Raise ImageError for the address of something that is not on this machine."""
    if _URL.match(name) and not Path(name).exists():
        raise ImageError(
            f"{name}: is an address; download the picture first, and give the path of the file"
        )
