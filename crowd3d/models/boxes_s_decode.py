"""From the maps of boxes-s to boxes of people, all of a batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crowd3d.models.boxes_s import BINS, SIDES, STRIDES
from tiling import box_iou

_SAME_IOU = 0.6  # of two boxes of a window with more the likelier stays; as published


@dataclass
class Boxes:
    """People of a batch of windows, by window and then the likeliest first.

    Attributes:
        tile: (N,) index into the batch.
        score: (N,) probability.
        box_px: (N, 4) xyxy in window pixels, inside the window.
    """

    tile: Tensor
    score: Tensor
    box_px: Tensor


@torch.inference_mode()
def decode(maps: Sequence[Tensor], min_score: float) -> Boxes:
    """Boxes with a probability above `min_score`, one for each person.

    Args:
        maps: of `BoxesS`, in the order of `STRIDES`.
    """
    levels = [_of_level(x, s, min_score) for x, s in zip(maps, STRIDES, strict=True)]
    tile, score, box = (torch.cat(parts) for parts in zip(*levels, strict=True))
    height, width = (side * STRIDES[0] for side in maps[0].shape[-2:])
    box = box.clamp_min(0.0).minimum(box.new_tensor([width, height, width, height]))
    kept = _distinct(*(x.cpu().numpy() for x in (tile, score, box.double())))
    chosen = torch.from_numpy(kept).to(tile.device)
    return Boxes(tile[chosen], score[chosen], box[chosen])


def _of_level(told: Tensor, stride: int, min_score: float) -> tuple[Tensor, Tensor, Tensor]:
    """Tile, score and box of every cell of a map that is likely enough."""
    chance = torch.sigmoid(told[:, 0])
    tile, row, column = torch.nonzero(chance > min_score, as_tuple=True)
    bins = told[tile, 1:, row, column].reshape(-1, SIDES, BINS).softmax(dim=2)
    cells = torch.arange(BINS, dtype=bins.dtype, device=bins.device)
    distance = (bins * cells).sum(dim=2)
    middle = torch.stack([column, row], dim=1) + 0.5
    box = torch.cat([middle - distance[:, :2], middle + distance[:, 2:]], dim=1) * stride
    return tile, chance[tile, row, column], box


def _distinct(
    tile: npt.NDArray[np.int64], score: npt.NDArray[np.float32], box: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Indices of the boxes that stay (greedy non-maximum suppression), by tile, then by score."""
    kept: list[int] = []
    left = np.lexsort((-score, tile))
    while left.size:
        best, others = left[0], left[1:]
        kept.append(int(best))
        overlap = box_iou(np.broadcast_to(box[best], (len(others), 4)), box[others])
        left = others[(tile[others] != tile[best]) | (overlap <= _SAME_IOU)]
    return np.array(kept, np.int64)
