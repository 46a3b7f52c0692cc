"""One picture, however large, read in pieces at any scale."""

from __future__ import annotations

import hashlib
import math
import os
import threading
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tiling.damage import Damage
from tiling.decoding import Decoded, Decoding
from tiling.errors import ImageError
from tiling.formats import refuse_url
from tiling.loading import (
    MIN_SIDE_PX,
    PictureFile,
    exif_model,
    exif_numbers,
    exif_orientation,
    find,
    open_header,
)
from tiling.needs import check_needs, needs_of
from tiling.pyramid import Store
from tiling.resample import Pixels, resample, tap_range
from tiling.samples import OUTSIDE_GREY, bands_of

DEFAULT_MAX_PIXELS = 4_000_000_000
MAX_READ_PIXELS = 400_000_000  # of one answer: a larger one is surely a mistake of the caller


def open_image(
    path: str | os.PathLike[str],
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_memory_gb: float = math.inf,
    *,
    damaged: bool = False,
    least_side_px: int = MIN_SIDE_PX,
) -> ImageSource:
    """Opens a picture by its header; decodes no pixel yet.

    Args:
        path: a JPEG, PNG, TIFF/BigTIFF, WebP, AVIF, HEIC, JPEG XL, JPEG 2000, BMP, PSD or DNG file; the format
            is found from its first bytes.
        max_pixels: larger pictures are refused before anything is decoded.
        max_memory_gb: so are, by the first read, pictures with which the program takes more.
        damaged: read what is left of a damaged picture, which is refused otherwise; see `ImageSource.damage`.
        least_side_px: smaller pictures are refused.

    Raises:
        ImageError: missing, not a picture, damaged header, or outside the limits.
        ResourceError: the decoder of its format is not installed.
    """
    refuse_url(os.fspath(path))
    file = find(Path(path))
    header = open_header(file, max_pixels, least_side_px)
    bands_of(
        header, file.path, file.first
    )  # unsupported samples are refused now, not in the middle of a run
    return ImageSource(file, header, max_memory_gb, damaged=damaged)


class Picture(Protocol):
    """Anything that is read like a picture: an `ImageSource`, or another view of one."""

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def identity(self) -> str:
        """As `ImageSource.identity`."""
        ...

    def read(
        self, x: float, y: float, w: float, h: float, out_size: tuple[int, int] | None = None
    ) -> Pixels:
        """As `ImageSource.read`."""
        ...

    def check_unchanged(self) -> None:
        """As `ImageSource.check_unchanged`."""
        ...


def thumbnail(picture: Picture, max_side: int) -> Pixels:
    """A whole picture, its longer side `max_side` px or less; never enlarged."""
    scale = min(1.0, max_side / max(picture.width, picture.height))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.read(0, 0, picture.width, picture.height, size)


class ImageSource:
    """Random access to an upright picture as 8-bit sRGB.

    The first read decodes the file once, top to bottom, into a pyramid of halvings (in memory up to
    32 megapixels, in an unnamed temporary file beyond); a tiled TIFF is read in place, and its own
    pyramid, if it has one, is used instead. Reads are thread-safe.

    Attributes:
        path: the file.
        width, height: upright size in pixels, EXIF orientation applied.
        needs: memory and temporary space that a run with this picture takes.
    """

    def __init__(
        self,
        file: PictureFile,
        header: Any,
        max_memory_gb: float = math.inf,
        *,
        damaged: bool = False,
    ) -> None:
        self.path = file.path
        self.needs = needs_of(header, file.path, file.loader)
        self._max_memory_gb = max_memory_gb
        self._decoding = Decoding(file, header, damaged)
        self._header = header
        self._orientation = exif_orientation(header)
        self._decoded: Decoded | None = None
        self._lock = threading.Lock()
        self._stamp = _stamp(file.path)
        sides = int(header.width), int(header.height)
        self.width, self.height = sides[::-1] if self._orientation >= 5 else sides

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the decoded pixels; a later read decodes the file again."""
        with self._lock:
            self._decoded = None

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the file's bytes: the same for a copy, another after any edit."""
        return _digest(self.path)

    def check_unchanged(self) -> None:
        """Nothing, if the file is still the one that was opened; costs microseconds.

        Raises:
            ImageError: it was written or replaced meanwhile, or is gone.
        """
        stamp = _stamp(self.path)
        if stamp == self._stamp:
            return
        # Touched, moved back or given other rights: the bytes decide, if they were seen before.
        if stamp is None or "identity" not in self.__dict__ or _digest(self.path) != self.identity:
            raise ImageError(f"{self.path}: the file changed while it was read; start again")
        self._stamp = stamp

    @property
    def damage(self) -> Damage | None:
        """What is wrong with a picture that was opened as damaged; None if nothing is."""
        return self._pyramid().damage

    @property
    def remarks(self) -> list[str]:
        """What had to be found out or left out in reading the pixels, in words."""
        return self._pyramid().remarks

    @property
    def xmp(self) -> bytes:
        """The file's XMP metadata packet, empty if it has none."""
        return bytes(self._header.get("xmp-data")) if self._header.get_typeof("xmp-data") else b""

    @property
    def exif(self) -> dict[str, float]:
        """The numeric entries of the file's EXIF record by name; empty if it has none."""
        return exif_numbers(self._header)

    @property
    def camera_model(self) -> str:
        """Maker and model of the camera by the file's EXIF record; empty if it tells neither."""
        return exif_model(self._header)

    def prepare(self) -> None:
        """Decodes the file now instead of at the first read.

        Raises:
            ImageError: the file is truncated or damaged.
            ResourceError: memory or temporary space is short; nothing was decoded then.
        """
        self._pyramid()

    def read(
        self, x: float, y: float, w: float, h: float, out_size: tuple[int, int] | None = None
    ) -> Pixels:
        """Pixels of a region, resampled to a given size.

        Shrinking averages (no aliasing), growing interpolates bilinearly. The region may be
        fractional and may leave the picture: output pixels whose centre lies outside are grey 114.

        Args:
            x, y: top-left corner of the region, picture pixels; the first pixel covers [0, 1).
            w, h: size of the region, picture pixels.
            out_size: (width, height) of the answer; the rounded size of the region if None.

        Returns:
            (out_h, out_w, 3) uint8 RGB.

        Raises:
            ImageError: the region or the answer has no or an absurd size, or the file is damaged.
        """
        out_w, out_h = out_size or (max(1, round(w)), max(1, round(h)))
        if not (all(map(math.isfinite, (x, y, w, h))) and w > 0 and h > 0):
            raise ImageError(f"{self.path}: cannot read the region x={x} y={y} w={w} h={h}")
        if not (out_w > 0 and out_h > 0 and out_w * out_h <= MAX_READ_PIXELS):
            raise ImageError(
                f"{self.path}: an answer of {out_w} x {out_h} px is out of range, read less"
            )
        outside_x = _outside(x, w, out_w, self.width)
        outside_y = _outside(y, h, out_h, self.height)
        if outside_x.all() or outside_y.all():
            return np.full((out_h, out_w, 3), OUTSIDE_GREY, dtype=np.uint8)
        box = _to_stored(self._orientation, (x, y, w, h), (self.width, self.height))
        size = (out_h, out_w) if self._orientation >= 5 else (out_w, out_h)
        pixels = _to_upright(self._orientation, self._read_stored(*box, *size))
        if outside_x.any() or outside_y.any():
            pixels = np.array(pixels)
            pixels[:, outside_x] = OUTSIDE_GREY
            pixels[outside_y] = OUTSIDE_GREY
        return np.ascontiguousarray(pixels)

    def thumbnail(self, max_side: int) -> Pixels:
        """The whole picture, its longer side `max_side` px or less; never enlarged."""
        return thumbnail(self, max_side)

    def _read_stored(
        self, x: float, y: float, w: float, h: float, out_w: int, out_h: int
    ) -> Pixels:
        """`read` in the file's own orientation; beyond the border the nearest pixel is repeated."""
        shrink = min(w / out_w, h / out_h)
        levels = self._pyramid().levels
        level = next(
            (level for level in reversed(levels) if level.scale <= shrink * (1 + 1e-9)), levels[0]
        )
        x, y, w, h = (value / level.scale for value in (x, y, w, h))
        store = level.store
        left, right = tap_range(x, w, out_w, store.width)
        top, bottom = tap_range(y, h, out_h, store.height)
        if (w, h) == (out_w, out_h) and x == int(x) and y == int(y):
            return _as_stored(store, int(x), int(y), out_w, out_h)
        pixels = store.fetch(left, top, right - left, bottom - top)
        return resample(pixels, x - left, y - top, w, h, out_w, out_h)

    def _pyramid(self) -> Decoded:
        with self._lock:
            if self._decoded is None:
                check_needs(self.path, self.needs, self._max_memory_gb)
                # Before decoding: pixels of a file that is replaced meanwhile must not get this name.
                self.identity  # noqa: B018
                self._decoded = self._decoding.run()
                self.check_unchanged()
            return self._decoded


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What the system says of a file, and changes with every writing; None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _as_stored(store: Store, x: int, y: int, w: int, h: int) -> Pixels:
    """A region at the store's own scale; beyond the border the nearest pixel is repeated."""
    left, right = max(x, 0), min(x + w, store.width)
    top, bottom = max(y, 0), min(y + h, store.height)
    if left >= right or top >= bottom:  # nothing of it is inside: the nearest row or column is
        left, right = min(left, store.width - 1), max(right, 1)
        top, bottom = min(top, store.height - 1), max(bottom, 1)
    pixels = store.fetch(left, top, right - left, bottom - top)
    if pixels.shape[:2] == (h, w):
        return pixels
    rows = np.clip(np.arange(y, y + h), top, bottom - 1) - top
    columns = np.clip(np.arange(x, x + w), left, right - 1) - left
    return np.asarray(pixels[np.ix_(rows, columns)])


def _outside(
    start: float, length: float, n_out: int, n_in: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n_out,) whether the centre of each output pixel lies outside the picture."""
    centers = start + (np.arange(n_out) + 0.5) * (length / n_out)
    return np.asarray((centers < 0.0) | (centers > n_in))


def _to_stored(
    orientation: int, box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """A region of the upright picture in the file's own orientation (EXIF 2.32, tag 0x0112)."""
    x, y, w, h = box
    if orientation in (2, 3, 6, 7):
        x = size[0] - x - w
    if orientation in (3, 4, 7, 8):
        y = size[1] - y - h
    return (y, x, h, w) if orientation >= 5 else (x, y, w, h)


def _to_upright(orientation: int, pixels: Pixels) -> Pixels:
    """Turns a piece read in the file's own orientation upright; the inverse of `_to_stored`."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
