"""What a detection is worth in its tile, and where it is in the picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crowd3d.picture.windows import Windows
from tiling import Tile

# Outside the range of heights in which a network is at its best, quality falls off by a Gaussian in the
# logarithm of the height.
_HEIGHT_FALLOFF = 0.3
_BORDER_PX = 6.0  # a box that ends so near an inner border of its tile counts as cut


def size_suitability(
    height_px: npt.NDArray[np.float64], best_px: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """(N,) heights in the network's input -> (N,) in 0..1, 1 where the network is at its best."""
    low, high = best_px
    height = np.maximum(height_px, 1.0)
    excess = np.log(np.maximum(np.maximum(low / height, height / high), 1.0))
    return np.asarray(np.exp(-0.5 * (excess / _HEIGHT_FALLOFF) ** 2))


def box_to_picture(
    box_px: npt.NDArray[np.float64], tile: Tile, view: Windows
) -> npt.NDArray[np.float64]:
    """(N, 4) boxes in the picture that enclose the middles of the four sides of each box in the tile."""
    left, top, right, bottom = box_px.T
    u, v = (left + right) / 2, (top + bottom) / 2
    sides = np.stack([left, v, u, top, right, v, u, bottom], axis=-1).reshape(-1, 4, 2)
    sides = view.to_picture(tile, sides)
    return np.concatenate([sides.min(axis=1), sides.max(axis=1)], axis=1)


def is_cut(
    box_px: npt.NDArray[np.float64], tile: Tile, continues: tuple[bool, bool, bool, bool]
) -> npt.NDArray[np.bool_]:
    """(N,) whether a box reaches a border of the tile beyond which the picture continues."""
    limits = np.array([_BORDER_PX, _BORDER_PX, tile.out_w - _BORDER_PX, tile.out_h - _BORDER_PX])
    beyond = np.concatenate([box_px[:, :2] < limits[:2], box_px[:, 2:] > limits[2:]], axis=1)
    return np.asarray((beyond & np.array(continues)).any(axis=1))
