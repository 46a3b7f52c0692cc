"""From the maps of crowd3d-s to people, all of a batch at once and with no limit on their number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from crowd3d.models.crowd3ds import STRIDE, Maps
from crowd3d.models.heads_s import LIMBS

# A keypoint is looked for near its regressed place: weight exp(-d^2 / (2 sigma^2)). The published model
# takes sigma from the side of the picture; we take it from the person, so that tiles of any size agree.
_SEARCH_SIGMA_OF_BOX = 0.075  # of the square root of the box area
_SEARCH_SIGMA_MIN_CELLS = 1.0
_SEARCH_RADIUS_CELLS = 12
# The keypoints of somebody found by the head are known less well before they are looked for.
_SEARCH_SIGMA_OF_HEAD = 0.35
# A box about somebody found by the head: above and below its middle, beside it, and below the ankles, in heads.
_SEEN_FACE = 0.15  # score of parts of the face of somebody found by the head, at least
_ABOVE, _BELOW, _BESIDE, _SOLES = 0.55, 0.5, 0.45, 0.35


@dataclass
class Decoded:
    """People of a batch of tiles, in tile pixels.

    Attributes:
        tile: (N,) index into the batch.
        score: (N,) of the centre, or of the head.
        box_px: (N, 4) xyxy.
        keypoints_px: (N, 17, 3) u, v, score.
        head_px: (N,) height of the head of people found by it; NaN of the others.
    """

    tile: Tensor
    score: Tensor
    box_px: Tensor
    keypoints_px: Tensor
    head_px: Tensor


@torch.inference_mode()
def decode(maps: Maps, min_score: float, min_head: float = 1.0) -> Decoded:
    """People by the peaks of the centre map above `min_score`, then by heads more probable than `min_head`."""
    found = [_by_centers(maps, min_score), _by_heads(maps, min_head)]
    parts = zip(*(vars(part).values() for part in found), strict=True)
    return Decoded(*(torch.cat(part) for part in parts))


def _by_centers(maps: Maps, min_score: float) -> Decoded:
    center = maps.center[:, 0]
    is_peak = (F.max_pool2d(center, 3, 1, 1) == center) & (center > min_score)
    tile, row, column = torch.nonzero(is_peak, as_tuple=True)
    score = center[tile, row, column]
    cell = torch.stack([row, column], dim=1).to(score.dtype)

    def at_center(values: Tensor) -> Tensor:
        return values[tile, :, row, column]

    middle = cell + at_center(maps.box_offset)
    size = at_center(maps.box_size).clamp_min(0.0)
    box_vu = torch.cat([middle - size / 2, middle + size / 2], dim=1) * STRIDE
    regressed = cell[:, None, :] + at_center(maps.keypoint_regression).reshape(-1, 17, 2)
    sigma = (_SEARCH_SIGMA_OF_BOX * size.prod(dim=1).sqrt()).clamp_min(_SEARCH_SIGMA_MIN_CELLS)
    keypoints = _refine_keypoints(maps, tile, regressed, sigma)
    unknown = torch.full_like(score, torch.nan)
    return Decoded(tile, score, box_vu[:, [1, 0, 3, 2]], keypoints, unknown)


def _by_heads(maps: Maps, min_score: float) -> Decoded:
    """Local maxima of the map of heads, each with keypoints looked for where the body is likely to be."""
    logit = maps.heads[:, 0]
    is_peak = (F.max_pool2d(logit, 3, 1, 1) == logit) & (torch.sigmoid(logit) > min_score)
    tile, row, column = torch.nonzero(is_peak, as_tuple=True)
    told = maps.heads[tile, :, row, column]
    middle = torch.stack([row, column], dim=1) + 0.5 + _between_cells(logit, tile, row, column)
    head = (told[:, 1].exp() / STRIDE)[:, None]  # cells
    limbs = told[:, 2:].reshape(-1, len(LIMBS), 2).flip(-1)
    cell = torch.stack([row, column], dim=1)[:, None] + 0.5
    likely = torch.cat(
        [middle[:, None].expand(-1, LIMBS.start, 2), cell + limbs * head[..., None]], dim=1
    )
    sigma = (_SEARCH_SIGMA_OF_HEAD * head[:, 0]).clamp_min(_SEARCH_SIGMA_MIN_CELLS)
    # Keypoints are counted from the corner of a cell in the other maps.
    keypoints = _refine_keypoints(maps, tile, likely - 0.5, sigma)
    face = keypoints[:, : LIMBS.start]
    # Of a head seen from behind the middle is known, and little of the face.
    unseen = face[..., 2] < _SEEN_FACE
    face[..., :2] = torch.where(unseen[..., None], middle[:, None].flip(-1) * STRIDE, face[..., :2])
    face[..., 2] = face[..., 2].clamp_min(_SEEN_FACE)
    low = torch.cat([likely[:, LIMBS.start :].amin(dim=1), middle - _BESIDE * head], dim=1)
    high = torch.cat([likely[:, LIMBS.start :].amax(dim=1), middle + _BESIDE * head], dim=1)
    top = middle[:, 0] - _ABOVE * head[:, 0]
    left, right = torch.minimum(low[:, 1], low[:, 3]), torch.maximum(high[:, 1], high[:, 3])
    bottom = torch.maximum(high[:, 0] + _SOLES * head[:, 0], middle[:, 0] + _BELOW * head[:, 0])
    box = torch.stack([left, top, right, bottom], dim=1) * STRIDE
    score = torch.sigmoid(told[:, 0])
    return Decoded(tile, score, box, keypoints, head[:, 0] * STRIDE)


def _between_cells(logit: Tensor, tile: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """(N, 2) where a parabola through a peak and its neighbours is highest, (v, u) in cells from the peak."""
    around = F.pad(logit[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    v, u = row + 1, column + 1
    peak = around[tile, v, u]
    shifts = []
    for before, after in (
        (around[tile, v - 1, u], around[tile, v + 1, u]),
        (around[tile, v, u - 1], around[tile, v, u + 1]),
    ):
        bend = (before - 2 * peak + after).clamp_max(-1e-3)
        shifts.append(((before - after) / (2 * bend)).clamp(-0.5, 0.5))
    return torch.stack(shifts, dim=1)


def _refine_keypoints(maps: Maps, tile: Tensor, regressed: Tensor, sigma: Tensor) -> Tensor:
    """The best cell of each keypoint's heatmap near its regressed place (N, 17, 2 in v, u cells)."""
    height, width = maps.keypoint_heat.shape[-2:]
    r = torch.arange(-_SEARCH_RADIUS_CELLS, _SEARCH_RADIUS_CELLS + 1, device=regressed.device)
    dv, du = (d.reshape(-1) for d in torch.meshgrid(r, r, indexing="ij"))
    nearest = regressed.round().long()
    v = nearest[..., :1] + dv
    u = nearest[..., 1:] + du
    inside = (v >= 0) & (v < height) & (u >= 0) & (u < width)
    v, u = v.clamp(0, height - 1), u.clamp(0, width - 1)
    joint = torch.arange(17, device=v.device)[None, :, None]
    heat = maps.keypoint_heat[tile[:, None, None], joint, v, u] * inside
    distance2 = (v - regressed[..., :1]) ** 2 + (u - regressed[..., 1:]) ** 2
    weighted = heat * torch.exp(-distance2 / (2 * sigma[:, None, None] ** 2))
    best = weighted.argmax(dim=-1, keepdim=True)
    v, u, heat = (x.gather(-1, best)[..., 0] for x in (v, u, heat))
    joint = joint[..., 0]
    offset_v = maps.keypoint_offset[tile[:, None], 2 * joint, v, u]
    offset_u = maps.keypoint_offset[tile[:, None], 2 * joint + 1, v, u]
    return torch.stack([(u + offset_u) * STRIDE, (v + offset_v) * STRIDE, heat], dim=-1)
