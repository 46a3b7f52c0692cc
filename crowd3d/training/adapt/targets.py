"""Targets of Crowd3DNet's maps: where the centre map has its bumps, and which cell tells of whom."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from crowd3d.models.crowd3dnet import MAP_CELLS
from crowd3d.models.crowd3dnet_decode import MAX_PEOPLE, find_centers

_LEAST_RADIUS = 2.0  # cells, of the smallest box
_MORE_RADIUS = 7.0  # cells more, of a box as large as the map
_PUSH = 0.2  # of the missing distance
_NEAR = 0.25  # of the map's half: centres farther apart are left alone
_INSIDE = 0.96  # where a centre pushed to the border goes


def radius_cells(box_cells: Tensor) -> Tensor:
    """(N, 4) xyxy boxes in cells -> (N,) radius of their centres' bumps."""
    diagonal = (box_cells[:, 2:] - box_cells[:, :2]).norm(dim=1) / (MAP_CELLS * math.sqrt(2))
    radius: Tensor = 1 + _MORE_RADIUS * diagonal.square()
    return radius.clamp_min(_LEAST_RADIUS)


def pushed_apart(center: Tensor, radius: Tensor) -> Tensor:
    """Centres moved off each other where their bumps would merge (Sun et al., ROMP, 2021).

    Args:
        center: (N, 2) in -1..1 of the map; radius: (N,) cells.
    """
    moved = center.clone()
    for i in range(len(moved)):
        away = moved - moved[i]
        distance = away.norm(dim=1)
        distance[i] = torch.inf
        j = int(distance.argmin())
        gap = float(distance[j])
        wanted = 2 * float(radius[i] + radius[j] + 1) / MAP_CELLS
        if 0 < gap < min(wanted, _NEAR):
            step = _PUSH * (wanted - gap) / gap * away[j] / 2
            moved[i], moved[j] = moved[i] - step, moved[j] + step
    moved = moved.clamp(-1, 1)
    return torch.where(moved.abs() == 1, _INSIDE * moved, moved)


def center_map(cell: Tensor, radius: Tensor) -> Tensor:
    """(1, 64, 64): a Gaussian bump of height 1 at each cell (N, 2), the higher one where they meet."""
    at = torch.arange(MAP_CELLS, dtype=radius.dtype)
    sigma = (2 * radius.floor() + 1)[:, None, None] / 6
    dx = at[None, None, :] - cell[:, 0, None, None]
    dy = at[None, :, None] - cell[:, 1, None, None]
    bumps = torch.exp(-(dx.square() + dy.square()) / (2 * sigma.square()))
    bumps = torch.where(
        dx.abs().maximum(dy.abs()) <= radius.floor()[:, None, None], bumps, torch.zeros_like(bumps)
    )
    empty = radius.new_zeros(1, MAP_CELLS, MAP_CELLS)
    return torch.cat([empty, bumps]).amax(0, keepdim=True)


def nearest_peaks(center: Tensor, patch: Tensor, cell: Tensor, reach_cells: float) -> Tensor:
    """(N, 2) cells that tell of labelled people: their patch's nearest peak, whatever its score.

    Args:
        center: (B, 1, 64, 64); patch: (N,) of each label; cell: (N, 2) of its centre.
        reach_cells: a peak farther off is somebody else's, and the label's own cell is taken.
    """
    peaks = find_centers(center, -torch.inf, MAX_PEOPLE)
    out = cell.clone()
    for k in range(len(cell)):
        own = peaks.cell[peaks.patch == patch[k]]
        if len(own):
            distance = (own - cell[k]).double().norm(dim=1)
            nearest = int(distance.argmin())
            if distance[nearest] <= reach_cells:
                out[k] = own[nearest]
    return out
