"""Makes odd pictures by the hundred, and counts what becomes of each.

`python tests/malformed/corpus.py`, or with `--damaged`. Every picture is read in a process of its own, whose
time and memory are measured. It may be read or refused with one line; anything else, a traceback, a signal,
more than 30 seconds or 2 GB, is a fault.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyvips

MOST_SECONDS, MOST_BYTES = 30.0, 2_000_000_000
_READ = """
import resource, sys
import tiling
try:
    with tiling.open_image(sys.argv[1], damaged=sys.argv[2] == "damaged") as source:
        source.prepare()
        source.thumbnail(64)
        print("read", source.damage is not None)
except tiling.TilingError as error:
    print("refused", error)
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _picture(side: int) -> np.ndarray:
    """Edges at all sizes and some noise, as photographs have."""
    v, u = np.mgrid[:side, :side]
    grey = sum(40 * np.cos(u / k + v / (k + 5) + k) for k in (3, 17)) + 20 * (
        (u // 37 + v // 23) % 3
    )
    noise = np.random.default_rng(0).normal(0, 6, (side, side, 3))
    return np.clip(grey[..., None] + [100, 120, 90] + noise, 0, 255).astype(np.uint8)


def sound(side: int = 320) -> dict[str, bytes]:
    """One sound file of every kind, by name."""
    image = pyvips.Image.new_from_array(_picture(side))
    tiles = {"tile": True, "tile_width": 64, "tile_height": 64}
    found = {
        "plain.jpg": image.jpegsave_buffer(Q=90),
        "progressive.jpg": image.jpegsave_buffer(interlace=True),
        "restarts.jpg": image.jpegsave_buffer(restart_interval=4),
        "grey.jpg": image[0].jpegsave_buffer(),
        "cmyk.jpg": image.colourspace("cmyk").jpegsave_buffer(),
        "plain.png": image.pngsave_buffer(),
        "interlaced.png": image.pngsave_buffer(interlace=True),
        "palette.png": image.pngsave_buffer(palette=True),
        "alpha.png": image.bandjoin(99).pngsave_buffer(),
        "deep.png": image.colourspace("rgb16").pngsave_buffer(),
        "lossy.webp": image.webpsave_buffer(),
        "lossless.webp": image.webpsave_buffer(lossless=True),
        "plain.avif": image.heifsave_buffer(compression="av1"),
        "float.tif": image.colourspace("scrgb").tiffsave_buffer(),
        "pyramid.tif": image.tiffsave_buffer(compression="deflate", pyramid=True, **tiles),
        "big.tif": image.tiffsave_buffer(compression="lzw", bigtiff=True, **tiles),
    }
    for compression in ("none", "deflate", "lzw", "webp", "jpeg", "packbits"):
        found[f"strips_{compression}.tif"] = image.tiffsave_buffer(compression=compression)
        found[f"tiles_{compression}.tif"] = image.tiffsave_buffer(compression=compression, **tiles)
    return {**found, **_by_pillow(image.numpy())}


def _by_pillow(pixels: np.ndarray) -> dict[str, bytes]:
    from PIL import Image

    found = {}
    for name, kind in (("plain.bmp", "BMP"), ("plain.jp2", "JPEG2000")):
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, kind)
        found[name] = data.getvalue()
    height, width = pixels.shape[:2]
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3) + bytes(14)
    found["plain.psd"] = head + pixels.transpose(2, 0, 1).tobytes()
    return found


def odd(data: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Ways in which a file goes wrong, each with its name."""
    rng = np.random.default_rng(seed)
    n = len(data)
    for share in (0.02, 0.5, 0.95):
        yield f"cut{share}", data[: int(n * share)]
    start, length = n // 2, max(64, n // 10)
    yield "zeroed", data[:start] + bytes(length) + data[start + length :]
    yield "overwritten", data[:start] + rng.bytes(length) + data[start + length :]
    yield "closed", data[:start] + data[start + length :]
    yield "appended", data + rng.bytes(999)
    yield "twice", data + data
    for k in range(8):  # single bytes, in the header and anywhere
        spoilt = bytearray(data)
        for at in rng.integers(0, min(n, 300) if k < 4 else n, 1 + 2 * k):
            spoilt[at] = rng.integers(256)
        yield f"bytes{k}", bytes(spoilt)
    spoilt = bytearray(data)
    at = int(rng.integers(8, min(n, 200)))
    spoilt[at : at + 4] = b"\xff\xff\xff\x7f"  # some size, perhaps
    yield "huge", bytes(spoilt)


def corpus(folder: Path) -> Iterator[Path]:
    """Writes all of them, sound ones too."""
    for seed, (name, data) in enumerate(sorted(sound().items())):
        for how, content in [("sound", data), *odd(data, seed)]:
            path = folder / f"{how}_{name}"
            path.write_bytes(content)
            yield path


def verdict(path: Path, mode: str = "strict") -> str:
    """What becomes of a picture: "read", "refused", or a fault in words."""
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _READ, str(path), mode],
            capture_output=True,
            text=True,
            timeout=2 * MOST_SECONDS,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        return "fault: no end"
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != 2 or "Traceback" in done.stderr:
        return f"fault: exit code {done.returncode}, {(done.stderr or done.stdout)[-300:]!r}"
    if time.monotonic() - start > MOST_SECONDS:
        return "fault: too slow"
    if int(lines[1]) > MOST_BYTES:
        return f"fault: {int(lines[1]):,} bytes"
    if path.name.startswith(("sound_", "appended_")) and not lines[0].startswith("read"):
        return f"fault: sound, but {lines[0]}"
    return lines[0].split()[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--damaged", action="store_true", help="read on as with --damaged")
    mode = "damaged" if parser.parse_args().damaged else "strict"
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for path in corpus(Path(scratch)):
            found = verdict(path, mode)
            counts[found.split(":")[0]] += 1
            if found.startswith("fault"):
                print(f"{path.name}: {found}")
    most = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"{sum(counts.values())} pictures: {dict(counts)}; at most {most / 1e6:.0f} MB")
    return 1 if counts["fault"] else 0


if __name__ == "__main__":
    sys.exit(main())
