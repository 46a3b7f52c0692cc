"""Colours as they are written and as light reflects from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def linear(hex_colors: str | tuple[str, ...] | list[str]) -> npt.NDArray[np.float32]:
    """sRGB hex -> (N, 3) linear reflectance."""
    names = [hex_colors] if isinstance(hex_colors, str) else list(hex_colors)
    values = np.array([[int(name[i : i + 2], 16) for i in (0, 2, 4)] for name in names]) / 255.0
    low = values / 12.92
    return np.asarray(
        np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, low), np.float32
    )
