"""A picture of any size, painted tile by tile into a file, so that memory does not grow with it."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips


class Canvas:
    """Pixels in a raw file beside the picture they become: bytes for three bands, 16 bits for one.

    Args:
        path: of the picture; its ending says the format.
    """

    def __init__(self, path: Path, width: int, height: int, bands: int) -> None:
        self._path, self._shape = path, (width, height, bands)
        self._kind = np.dtype(np.uint8 if bands == 3 else np.uint16)
        handle, name = tempfile.mkstemp(suffix=".raw", dir=path.parent)
        self._raw, self._file = Path(name), os.fdopen(handle, "r+b")
        self._file.truncate(width * height * bands * self._kind.itemsize)

    def __enter__(self) -> Canvas:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._raw.unlink(missing_ok=True)

    def paint(self, x: int, y: int, pixels: npt.NDArray[np.generic]) -> None:
        """Set the pixels (h, w, bands) whose top-left one is at x, y."""
        width, _, bands = self._shape
        size = bands * self._kind.itemsize
        for row, line in enumerate(np.ascontiguousarray(pixels, self._kind)):
            self._file.seek(((y + row) * width + x) * size)
            self._file.write(line.tobytes())

    def save(self, **options: int | bool) -> None:
        """Compress it; an incomplete picture never has the name."""
        width, height, bands = self._shape
        self._file.flush()
        kind, meaning = ("uchar", "srgb") if bands == 3 else ("ushort", "grey16")
        # libvips reads the mapped file in place, from top to bottom.
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        picture = pyvips.Image.new_from_memory(mapped, width, height, bands, kind)
        picture = picture.copy(interpretation=meaning)
        # Pages that were read would count as memory of this process until the end.
        if hasattr(mmap, "MADV_DONTNEED"):
            picture.set_progress(True)
            picture.signal_connect("eval", lambda *_: mapped.madvise(mmap.MADV_DONTNEED))
        partial = self._path.with_suffix(f".part{self._path.suffix}")
        picture.write_to_file(str(partial), **options)
        os.replace(partial, self._path)
