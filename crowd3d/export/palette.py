"""The colours of people: soft, and well apart for consecutive ids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

N_COLORS = 24
_GOLDEN = 0.618033988749895  # consecutive hues lie as far apart as they can


def _oklch(lightness: float, chroma: float, hue_rad: float) -> list[float]:
    """One colour of equal perceived lightness as linear-light RGB (Ottosson 2020, Oklab)."""
    a, b = chroma * np.cos(hue_rad), chroma * np.sin(hue_rad)
    root = np.array(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    return [float(v) for v in np.clip(to_rgb @ root**3, 0.0, 1.0)]


def linear_palette() -> npt.NDArray[np.float64]:
    """(24, 3) linear-light RGB in 0..1, as glTF wants it."""
    shades = ((0.78, 0.115), (0.70, 0.125), (0.84, 0.095))
    return np.array(
        [_oklch(*shades[k % 3], 2 * np.pi * (k * _GOLDEN % 1.0)) for k in range(N_COLORS)]
    )


def srgb(linear: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Linear light 0..1 -> sRGB 0..1 (IEC 61966-2-1)."""
    light = np.asarray(linear, dtype=np.float64)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def color_index(ids: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """(N,) ids -> rows of the palette; a person has one colour in all files."""
    return np.asarray(ids, dtype=np.int64) % N_COLORS


def person_colors(ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(N,) ids -> (N, 3) sRGB in 0..1."""
    return srgb(linear_palette())[color_index(ids)]
