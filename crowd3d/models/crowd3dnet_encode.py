"""From people in metres to what Crowd3DNet's maps should say: the inverse of `crowd3dnet_decode`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from crowd3d.maths.rotation import rotation_to_6d
from crowd3d.models.crowd3dnet import CHANNELS, MAP_CELLS, Maps, PatchView
from crowd3d.models.crowd3dnet_decode import (
    BODY_ROTATIONS,
    HVIP_REACH,
    TORSO_REACH,
    Parameters,
    unit_plane,
)


class Encoded(NamedTuple):
    """What the maps say of each person.

    Attributes:
        cell: (N, 2) x, y of the centre.
        parameters: N rows.
        is_inside: (N,) the torso is inside the patch, and the ground point within reach.
    """

    cell: Tensor
    parameters: Parameters
    is_inside: Tensor


def project(points_m: Tensor, intrinsics: Tensor) -> Tensor:
    """(N, ..., 3) points in front of cameras (N, 3, 3) -> (N, ..., 2) pixels."""
    flat = points_m.flatten(1, -2) if points_m.ndim > 2 else points_m[:, None]
    seen = flat @ intrinsics.transpose(-1, -2)
    pixels: Tensor = (seen[..., :2] / seen[..., 2:]).reshape(*points_m.shape[:-1], 2)
    return pixels


def encode(torso_m: Tensor, rotations: Tensor, betas: Tensor, view: PatchView) -> Encoded:
    """What `place` and `read_parameters` turn into these people again.

    Args:
        torso_m: (N, 3); rotations: (N, 24, 3, 3); betas: (N, 10).
        view: N rows, the patch in which each is told.
    """
    normal, offset = unit_plane(view.plane)
    height = (torso_m * normal).sum(1) + offset
    torso_px = project(torso_m, view.intrinsics)
    hvip_px = project(torso_m - height[:, None] * normal, view.intrinsics)
    in_patch = (torso_px - view.left_top_px) / view.side_px[:, None]
    cell = (in_patch * MAP_CELLS).floor().clamp(0, MAP_CELLS - 1)
    torso = ((in_patch - cell / MAP_CELLS) / TORSO_REACH + 1) / 2
    hvip = (hvip_px - torso_px).norm(dim=1) / view.side_px / HVIP_REACH
    is_inside = ((in_patch >= 0) & (in_patch < 1)).all(1) & (hvip <= 1) & (torso_m[:, 2] > 0)
    centred = torch.full_like(torso_m, 0.5)  # no correction in space
    return Encoded(cell.long(), Parameters(hvip, torso, centred, rotations, betas), is_inside)


def to_maps(encoded: Encoded, patch: Tensor, n_patches: int, score: float = 1.0) -> Maps:
    """Maps (n_patches) that say just this: one cell of `score` for each person, zero elsewhere.

    Args:
        patch: (N,) index of each person's patch.
    """
    told = encoded.parameters
    six = rotation_to_6d(told.rotations[:, :BODY_ROTATIONS]).flatten(1)
    values = torch.cat([told.hvip[:, None], told.torso, told.delta, six, told.betas], dim=1)
    params = values.new_zeros(n_patches, sum(CHANNELS.values()), MAP_CELLS, MAP_CELLS)
    center = values.new_zeros(n_patches, 1, MAP_CELLS, MAP_CELLS)
    x, y = encoded.cell.unbind(1)
    params[patch, :, y, x] = values
    center[patch, 0, y, x] = score
    return Maps(center, params)


def tell(
    torso_m: Tensor, rotations: Tensor, betas: Tensor, view: PatchView, score: float = 1.0
) -> Maps:
    """Maps of the patches of a view (B rows) that say just who of these people (N rows) is in each."""
    parts = []
    for k in range(len(view.side_px)):
        row = view.select(torch.full((len(torso_m),), k, device=torso_m.device))
        told = encode(torso_m, rotations, betas, row)
        keep = torch.nonzero(told.is_inside)[:, 0]
        inside = Parameters(*(values[keep] for values in told.parameters))
        encoded = Encoded(told.cell[keep], inside, told.is_inside[keep])
        parts.append(to_maps(encoded, torch.zeros_like(keep), 1, score))
    return Maps(*(torch.cat(maps) for maps in zip(*parts, strict=True)))
