"""Depth of people from the size of their boxes: the formula of Moon et al. (ICCV 2019, section 5).

k is the distance at which a 2 m x 2 m square would fill the extended box. The true depth is gamma k, where
gamma is proportional to the real extent of the person in the box.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crowd3d.errors import DataError
from crowd3d.maths.box import EXTENSION, Box

REFERENCE_M = 2.0  # side of the square in the definition of k
GAMMA_PER_M = EXTENSION / REFERENCE_M  # 0.625: gamma of an extent of one metre

Floats = npt.NDArray[np.float64]


def k_m(boxes: Box, focal_px: float | tuple[float, float]) -> Floats:
    """(N,) k = sqrt(fx fy A_real / A_image) of each box, in metres.

    Args:
        boxes: N extended boxes.
        focal_px: one focal length, or fx and fy.

    Raises:
        DataError: the boxes are not extended; call `Box.extend` first.
    """
    if not boxes.extended:
        raise DataError("k is defined on extended boxes; call Box.extend first")
    fx, fy = (focal_px, focal_px) if isinstance(focal_px, (int, float)) else focal_px
    return REFERENCE_M * np.sqrt(fx * fy / boxes.area_px2)


def gamma_of_extent(extent_m: npt.ArrayLike) -> Floats:
    """gamma of a person who spans `extent_m` along the longer side of the box; a body fit gives this extent."""
    return GAMMA_PER_M * np.asarray(extent_m, np.float64)
