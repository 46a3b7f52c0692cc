"""Copies of pictures into which a camera has written its focal length."""

from __future__ import annotations

import math
import struct
from pathlib import Path

from PIL import ExifTags, Image

from crowd3d.files import atomic

_FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
_START, _APP1 = b"\xff\xd8", b"\xff\xe1"  # markers of JPEG
_NAME = "with-exif.jpg"


def with_focal_length(picture: Path, focal_px: float) -> Path:
    """A copy beside a JPEG, of the same pixels, with the 35 mm equivalent in whole millimetres in its EXIF."""
    with Image.open(picture) as opened:
        diagonal_px = math.hypot(*opened.size)
    exif = Image.Exif()
    equivalent_mm = round(focal_px / diagonal_px * _FULL_FRAME_DIAGONAL_MM)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = equivalent_mm
    record = exif.tobytes()
    segment = _APP1 + struct.pack(">H", len(record) + 2) + record
    copy = picture.with_name(_NAME)
    atomic.write_bytes(copy, _START + segment + picture.read_bytes().removeprefix(_START))
    return copy
