"""Band-limited noise as wrapped textures, and hashes: procedural detail that needs no image files."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

SIZE = 512  # texels of a texture's side
_ROW = 1024  # remap wants maps of at most 32767 rows


def texture(rng: np.random.Generator, power: float = 1.0, low: float = 1.0) -> FloatArray:
    """(SIZE, SIZE) wrapped noise of mean 0 and deviation 1.

    Args:
        power: amplitude falls with this power of the frequency (0 = white).
        low: lowest frequency, in cycles per side.
    """
    frequency = np.fft.fftfreq(SIZE)[:, None] ** 2 + np.fft.rfftfreq(SIZE)[None, :] ** 2
    radius = np.sqrt(frequency) * SIZE
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE)))
    spectrum *= np.where(radius >= low, 1.0, 0.0) / np.maximum(radius, 1.0) ** power
    values = np.fft.irfft2(spectrum, (SIZE, SIZE))
    return np.asarray(values / values.std(), dtype=np.float32)


def sample(noise: FloatArray, u: npt.ArrayLike, v: npt.ArrayLike) -> FloatArray:
    """Bilinear samples; one unit of u or v is one whole texture.

    Args:
        u, v: (N,).
    """
    count = len(np.asarray(u))
    rows = -(-count // _ROW)
    maps = []
    for values in (u, v):
        texels = np.zeros(rows * _ROW, np.float32)
        texels[:count] = np.mod(np.asarray(values, np.float32), 1.0) * SIZE
        maps.append(texels.reshape(rows, _ROW))
    found = cv2.remap(noise, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(found, np.float32).reshape(-1)[:count]


def hashed(*integers: npt.ArrayLike) -> FloatArray:
    """(N,) integers -> (N,) evenly spread numbers in 0..1 that look random."""
    mixed: npt.NDArray[np.uint32] = np.asarray(2166136261, dtype=np.uint32)
    for values in integers:
        word = np.asarray(values).astype(np.int64).astype(np.uint32)
        mixed = (mixed ^ word) * np.uint32(2654435761)
        mixed = mixed ^ (mixed >> np.uint32(15))
    mixed = (mixed * np.uint32(2246822519)) ^ (mixed >> np.uint32(13))
    return np.asarray((mixed >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24))


def smoothstep(low: npt.ArrayLike, high: npt.ArrayLike, x: npt.ArrayLike) -> FloatArray:
    """0 below `low`, 1 above `high`, smooth between."""
    span = np.asarray(high, np.float32) - np.asarray(low, np.float32)
    t = np.clip(
        (np.asarray(x, np.float32) - np.asarray(low, np.float32)) / np.maximum(span, 1e-6), 0, 1
    )
    return np.asarray(t * t * (3 - 2 * t), np.float32)
