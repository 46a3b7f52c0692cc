"""From the maps of crowd3d-s to people, all of a batch at once and with no limit on their number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from crowd3d.models.crowd3ds import STRIDE, Heads

# A keypoint is looked for near its regressed place: weight exp(-d^2 / (2 sigma^2)). The published model
# takes sigma from the side of the picture; we take it from the person, so that tiles of any size agree.
_SEARCH_SIGMA_OF_BOX = 0.075  # of the square root of the box area
_SEARCH_SIGMA_MIN_CELLS = 1.0
_SEARCH_RADIUS_CELLS = 12


@dataclass
class Decoded:
    """People of a batch of tiles, in tile pixels, strongest first within each tile.

    Attributes:
        tile: (N,) index into the batch.
        score: (N,) centre score.
        box_px: (N, 4) xyxy.
        keypoints_px: (N, 17, 3) u, v, score.
    """

    tile: Tensor
    score: Tensor
    box_px: Tensor
    keypoints_px: Tensor


@torch.inference_mode()
def decode(heads: Heads, min_score: float) -> Decoded:
    """Local maxima of the centre map above `min_score`, each with its box and keypoints."""
    center = heads.center[:, 0]
    is_peak = (F.max_pool2d(center, 3, 1, 1) == center) & (center > min_score)
    tile, row, column = torch.nonzero(is_peak, as_tuple=True)
    score = center[tile, row, column]
    cell = torch.stack([row, column], dim=1).to(score.dtype)

    def at_center(values: Tensor) -> Tensor:
        return values[tile, :, row, column]

    middle = cell + at_center(heads.box_offset)
    size = at_center(heads.box_size).clamp_min(0.0)
    box_vu = torch.cat([middle - size / 2, middle + size / 2], dim=1) * STRIDE
    regressed = cell[:, None, :] + at_center(heads.keypoint_regression).reshape(-1, 17, 2)
    sigma = (_SEARCH_SIGMA_OF_BOX * size.prod(dim=1).sqrt()).clamp_min(_SEARCH_SIGMA_MIN_CELLS)
    keypoints = _refine_keypoints(heads, tile, regressed, sigma)
    return Decoded(tile, score, box_vu[:, [1, 0, 3, 2]], keypoints)


def _refine_keypoints(heads: Heads, tile: Tensor, regressed: Tensor, sigma: Tensor) -> Tensor:
    """The best cell of each keypoint's heatmap near its regressed place (N, 17, 2 in v, u cells)."""
    height, width = heads.keypoint_heat.shape[-2:]
    r = torch.arange(-_SEARCH_RADIUS_CELLS, _SEARCH_RADIUS_CELLS + 1, device=regressed.device)
    dv, du = (d.reshape(-1) for d in torch.meshgrid(r, r, indexing="ij"))
    nearest = regressed.round().long()
    v = nearest[..., :1] + dv
    u = nearest[..., 1:] + du
    inside = (v >= 0) & (v < height) & (u >= 0) & (u < width)
    v, u = v.clamp(0, height - 1), u.clamp(0, width - 1)
    joint = torch.arange(17, device=v.device)[None, :, None]
    heat = heads.keypoint_heat[tile[:, None, None], joint, v, u] * inside
    distance2 = (v - regressed[..., :1]) ** 2 + (u - regressed[..., 1:]) ** 2
    weighted = heat * torch.exp(-distance2 / (2 * sigma[:, None, None] ** 2))
    best = weighted.argmax(dim=-1, keepdim=True)
    v, u, heat = (x.gather(-1, best)[..., 0] for x in (v, u, heat))
    joint = joint[..., 0]
    offset_v = heads.keypoint_offset[tile[:, None], 2 * joint, v, u]
    offset_u = heads.keypoint_offset[tile[:, None], 2 * joint + 1, v, u]
    return torch.stack([(u + offset_u) * STRIDE, (v + offset_v) * STRIDE, heat], dim=-1)
