"""What reading a picture takes, estimated from its header before anything is decoded."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiling.errors import ResourceError
from tiling.foreign import BYTES_A_PIXEL
from tiling.pyramid import MEMORY_BYTES

# The program with its networks, measured by benchmarks/speed.py; a picture mapped from a file adds little.
PROGRAM_BYTES = 1_100_000_000
_PYRAMID = 4  # bytes a pixel: three samples, and a third more for the halvings
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_BYTES_OF = {"uchar": 1, "ushort": 2, "float": 4, "double": 8}


@dataclass(frozen=True)
class Needs:
    """What a run with one picture takes.

    Attributes:
        decoding_bytes: memory that the picture itself takes.
        temporary_bytes: of a file that vanishes with the program.
        as_a_whole: what kind of file it is, if it can only be decoded as a whole; else empty.
        remedy: command that makes a file of it that can be read in parts; empty if there is none.
    """

    decoding_bytes: int
    temporary_bytes: int
    as_a_whole: str = ""
    remedy: str = ""

    @property
    def memory_bytes(self) -> int:
        """Of the whole program, at most."""
        return PROGRAM_BYTES + self.decoding_bytes

    @property
    def in_words(self) -> str:
        """The sizes, and the reason if they are large."""
        sizes = f"{self.memory_bytes / 1e9:.1f} GB of memory"
        if self.temporary_bytes:
            sizes += f" and {self.temporary_bytes / 1e9:.1f} GB in {tempfile.gettempdir()}"
        return sizes + (f", for {self.as_a_whole} is decoded as a whole" if self.as_a_whole else "")


def needs_of(header: Any, path: Path, loader: str) -> Needs:
    """The needs of a picture; memory is that of libvips 8.18, measured.

    Args:
        header: the opened, undecoded picture.
    """
    pixels = header.width * header.height
    kind, whole, remedy = "", 0, ""
    if loader == "jpegload" and _has(header, "interlaced"):
        # libjpeg keeps all coefficients, two bytes each.
        is_reduced = _has(header, "jpeg-chroma-subsample") and "4:2:0" in str(
            header.get("jpeg-chroma-subsample")
        )
        kind, whole = "a progressive JPEG", pixels * (3 if is_reduced else 6)
        remedy = f"jpegtran -copy all -maxmemory 1000m -outfile baseline.jpg {path.name}"
    elif loader == "pngload" and _has(header, "interlaced"):
        kind = "an interlaced PNG"
        whole = pixels * header.bands * _BYTES_OF.get(header.format, 1)
        remedy = f"vips copy {path.name} plain.png"
    elif loader == "webpload":
        kind, whole = "a WebP picture", pixels * 4
    elif loader == "heifload":
        kind, whole = "an AVIF picture", pixels * 8
    elif not loader:
        kind, whole = "a picture of this format", pixels * BYTES_A_PIXEL
    stored = 0
    if not _has(header, "tile-width"):
        stored = pixels * _PYRAMID
    elif int(header.get("n-pages")) == 1 and not _has(header, "n-subifds"):
        stored = pixels
    is_mapped = pixels * _PYRAMID > MEMORY_BYTES
    return Needs(
        whole + (0 if is_mapped else stored),
        stored if is_mapped else 0,
        kind,
        remedy,
    )


def _has(header: Any, field: str) -> bool:
    """Whether the picture has a field that is not 0."""
    return bool(header.get_typeof(field)) and header.get(field) not in (0, "0")


def check_needs(path: Path, needs: Needs, max_memory_gb: float = math.inf) -> None:
    """Refuse a picture that does not fit.

    Raises:
        ResourceError: too little memory or temporary space; the message says what to do.
    """
    remedy = f"; make one that is read in parts: {needs.remedy}" if needs.remedy else ""
    if needs.memory_bytes > max_memory_gb * 1e9:
        raise ResourceError(
            f"{path}: takes {needs.in_words}, but the limit is {max_memory_gb:g} GB{remedy}"
        )
    free = available_bytes()
    # What the program itself takes is an upper limit, and the system may find room for it.
    if needs.as_a_whole and needs.decoding_bytes > free:
        raise ResourceError(
            f"{path}: takes {needs.in_words}, but {free / 1e9:.1f} GB are free{remedy}"
        )
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needs.temporary_bytes > free:
        raise ResourceError(
            f"{path}: takes {needs.temporary_bytes / 1e9:.1f} GB of temporary space, but "
            f"{free / 1e9:.1f} GB are free in {folder}; set TMPDIR to a larger disk"
        )


def available_bytes() -> float:
    """Memory that this process may still take; infinite where the system does not tell."""
    return min([*_of_system(), *_of_group()], default=math.inf)


def _of_system() -> Iterator[float]:
    if _MEMINFO.exists():
        for line in _MEMINFO.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                yield 1024.0 * int(line.split()[1])


def _of_group() -> Iterator[float]:
    """What is left of the limit of a container (cgroup v2)."""
    try:
        limit = (_CGROUP / "memory.max").read_text("ascii").strip()
        used = int((_CGROUP / "memory.current").read_text("ascii"))
        if limit != "max":
            yield float(int(limit) - used)
    except (OSError, ValueError):
        return
