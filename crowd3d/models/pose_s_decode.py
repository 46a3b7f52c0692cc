"""From the maps of pose-s to the keypoints of the person in the middle of each window.

The formula and its constants are those of the nodes of the published graph, whose maps have 64 x 64 cells. Its
picture was always a square, and distances are in cells, so that windows of other shapes need nothing more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crowd3d.models.crowd3ds import STRIDE
from crowd3d.models.pose_s import PoseMaps

# Scores are divided by the distance in cells plus this number. For keypoints it is the node `add_5/y`, for
# centres it is in the table `truediv_2_recip`: 1 / (distance to the cell (32, 32) + 1.8). Both are float16.
_NEAR_CELLS = 1.8


@torch.inference_mode()
def decode(maps: PoseMaps) -> Tensor:
    """The maps of B windows -> (B, 17, 3) u, v in pixels of the window, and score, the heat at the keypoint.

    There is always an answer; where nobody is, the scores are small.
    """
    batch, _, height, width = maps.center.shape
    rows = torch.arange(height, device=maps.center.device, dtype=maps.center.dtype)[:, None]
    columns = torch.arange(width, device=maps.center.device, dtype=maps.center.dtype)

    def nearby(scores: Tensor, v: Tensor | int, u: Tensor | int) -> Tensor:
        """Index of the best cell (B, C) of (B, C, h, w) scores, weighted by how near a place it is."""
        distance = torch.hypot(rows - v, columns - u)
        return (scores / (distance + _NEAR_CELLS)).flatten(2).argmax(dim=2)

    def at(values: Tensor, cell: Tensor) -> Tensor:
        """(B, 17, 2): what 34 channels of pairs hold at the cells (B, 17) or (B, 1)."""
        pairs = values.reshape(batch, 17, 2, -1)
        return pairs.gather(3, cell[..., None, None].expand(-1, 17, 2, 1))[..., 0]

    def place(cell: Tensor) -> Tensor:
        return torch.stack([cell // width, cell % width], dim=-1)

    center = nearby(maps.center, height // 2, width // 2)
    regressed = place(center) + at(maps.keypoint_regression, center)
    v, u = regressed[..., None, None].unbind(dim=2)
    cell = nearby(maps.keypoint_heat, v, u)
    found = (place(cell) + at(maps.keypoint_offset, cell)) * STRIDE
    score = maps.keypoint_heat.flatten(2).gather(2, cell[..., None])
    return torch.cat([found.flip(-1), score], dim=-1)
