"""Files of formats that no library here writes, made from their descriptions."""

import struct
from itertools import accumulate
from typing import Any

import numpy as np
import pyvips

SIZE = WIDTH, HEIGHT = 96, 64
COLOURS = ((200, 100, 50), (20, 60, 220))  # of the left and the right half


def halves() -> Any:
    """A picture that tells left from right and red from blue."""
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2], pixels[:, WIDTH // 2 :] = COLOURS
    return pixels


def jpeg(pixels: Any) -> bytes:
    return bytes(pyvips.Image.new_from_array(pixels).jpegsave_buffer(Q=95, subsample_mode="off"))


def psd(pixels: Any) -> bytes:
    """A flattened 8-bit RGB document (Adobe Photoshop File Formats): no layers, raw merged picture."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, HEIGHT, WIDTH, 8, 3)
    return head + bytes(12) + struct.pack(">H", 0) + pixels.transpose(2, 0, 1).tobytes()


def tiff(directories: list[dict[int, tuple[str, list[int]]]], blobs: list[bytes]) -> bytes:
    """A little-endian TIFF: the first directory, and the others, which may lie below it.

    Args:
        directories: tag -> kind and values; kind is B, H, I (1, 2, 4 bytes), "blob" for the place of one of the
            blobs, or "below" for that of another directory.
    """
    kinds = {"B": 1, "H": 3, "I": 4}
    starts = list(accumulate((6 + 12 * len(one) for one in directories), initial=8))
    tail, places = b"", []
    for blob in blobs:
        places.append(starts[-1] + len(tail))
        tail += blob
    out = b"II*\0" + struct.pack("<I", 8)
    for one in directories:
        out += struct.pack("<H", len(one))
        for tag, (kind, values) in sorted(one.items()):
            if kind in ("blob", "below"):
                kind, values = "I", [(places if kind == "blob" else starts)[values[0]]]
            packed = struct.pack(f"<{len(values)}{kind}", *values)
            if len(packed) > 4:
                tail, packed = tail + packed, struct.pack("<I", starts[-1] + len(tail))
            out += struct.pack("<HHI", tag, kinds[kind], len(values)) + packed.ljust(4, b"\0")
        out += bytes(4)
    return out + tail


def dng(preview: bytes | None, orientation: int = 1) -> bytes:
    """A raw picture as cameras write it: a thumbnail, and below it a JPEG preview."""
    thumbnail = np.full((32, 32, 3), 9, np.uint8).tobytes()
    first: dict[int, Any] = {
        **{254: ("I", [1]), 256: ("I", [32]), 257: ("I", [32]), 258: ("H", [8]), 259: ("H", [1])},
        **{262: ("H", [2]), 273: ("blob", [0]), 274: ("H", [orientation]), 277: ("H", [3])},
        **{278: ("I", [32]), 279: ("I", [len(thumbnail)]), 50706: ("B", [1, 4, 0, 0])},
    }
    if preview is None:
        return tiff([first], [thumbnail])
    below: dict[int, Any] = {
        **{254: ("I", [1]), 256: ("I", [WIDTH]), 257: ("I", [HEIGHT]), 259: ("H", [7])},
        **{262: ("H", [6]), 273: ("blob", [1]), 277: ("H", [3]), 279: ("I", [len(preview)])},
    }
    return tiff([{**first, 330: ("below", [1])}, below], [thumbnail, preview])
