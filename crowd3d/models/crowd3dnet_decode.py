"""From Crowd3DNet's maps to people in metres, a whole batch at once and differentiable.

All positions are in the one camera of the full picture, so that patches need no stitching (Wen et al., Crowd3D,
CVPR 2023, progressive position transform).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from crowd3d.maths.rotation import rotation_from_6d
from crowd3d.models.crowd3dnet import CHANNELS, MAP_CELLS, Maps, PatchView

MAX_PEOPLE = 64  # of one patch, as published
MIN_SCORE = 0.2
_PEAK_WINDOW = 5

TORSO_REACH = 0.25  # of the patch's side, either way from the cell
HVIP_REACH = 0.75  # of the patch's side
DELTA_REACH_M = 0.4
BODY_ROTATIONS = 22  # the root and 21 joints; SMPL's hands are not told
_EPS = 1e-9


class Centers(NamedTuple):
    """People found in a batch of patches, strongest first within each patch.

    Attributes:
        patch: (N,) index into the batch.
        cell: (N, 2) x, y of the 64x64 map.
        score: (N,).
    """

    patch: Tensor
    cell: Tensor
    score: Tensor


class Parameters(NamedTuple):
    """What the maps say at the found centres; fractions are in 0..1.

    Attributes:
        hvip: (N,) length from torso to ground point.
        torso: (N, 2) torso centre relative to the cell.
        delta: (N, 3) correction of the torso in space.
        rotations: (N, 24, 3, 3) SMPL pose, the hands straight; row 0 turns the body into the camera's frame.
        betas: (N, 10).
    """

    hvip: Tensor
    torso: Tensor
    delta: Tensor
    rotations: Tensor
    betas: Tensor


class Placement(NamedTuple):
    """Where the people are, in the full picture's pixels and in metres of its camera.

    Attributes:
        torso_px, hvip_px: (N, 2).
        torso_m, hvip_m: (N, 3).
        on_ground: (N,) False where the ground point's ray misses the plane: those rows mean nothing.
    """

    torso_px: Tensor
    hvip_px: Tensor
    torso_m: Tensor
    hvip_m: Tensor
    on_ground: Tensor


def find_centers(
    center: Tensor, min_score: float = MIN_SCORE, max_people: int = MAX_PEOPLE
) -> Centers:
    """Cells of (B, 1, H, W) that are the largest of their 5x5 neighbours and above `min_score`."""
    heat = center[:, 0]
    peak = F.max_pool2d(heat, _PEAK_WINDOW, 1, _PEAK_WINDOW // 2) == heat
    flat = torch.where(peak, heat, -torch.inf).flatten(1)
    score, index = flat.topk(min(max_people, flat.shape[1]), dim=1)
    patch, rank = torch.nonzero(score > min_score, as_tuple=True)
    index = index[patch, rank]
    width = heat.shape[-1]
    cell = torch.stack([index % width, index // width], dim=1)
    return Centers(patch, cell, score[patch, rank])


def read_parameters(maps: Maps, centers: Centers) -> Parameters:
    """The parameter maps at the found centres."""
    return parameters_of(maps.params[centers.patch, :, centers.cell[:, 1], centers.cell[:, 0]])


def parameters_of(values: Tensor) -> Parameters:
    """(N, 148) in the order of CHANNELS, hvip, torso and delta in 0..1 -> what they mean."""
    sizes = list(CHANNELS.values())
    part = dict(zip(CHANNELS, torch.split(values, sizes, dim=1), strict=True))
    six = torch.cat([part["orient"], part["pose"]], dim=1)
    body = rotation_from_6d(six.reshape(-1, BODY_ROTATIONS, 6))
    hands = torch.eye(3, dtype=body.dtype, device=body.device).expand(len(body), 2, 3, 3)
    return Parameters(
        hvip=part["hvip"][:, 0],
        torso=part["torso"],
        delta=part["delta"],
        rotations=torch.cat([body, hands], dim=1),
        betas=part["betas"],
    )


def place(cell: Tensor, parameters: Parameters, view: PatchView) -> Placement:
    """Metric position of each person.

    The ground point (HVIP) lies below the torso along the image of the plane's normal. When a point at pixel
    p rises along n, p moves along g = (K n)_xy - (K n)_z p: right for cameras pitched down, up or level, where
    the published form, towards the vanishing point, changes sides.

    Args:
        cell: (N, 2) x, y of the centres.
        parameters: N rows.
        view: N rows, the patch of each person (`PatchView.select`).
    """
    normal, offset = unit_plane(view.plane)
    side = view.side_px[:, None]
    in_patch = cell / MAP_CELLS + (2 * parameters.torso - 1) * TORSO_REACH
    torso_px = view.left_top_px + side * in_patch
    Kn = (view.intrinsics @ normal[..., None])[..., 0]
    rise = Kn[:, :2] - Kn[:, 2:] * torso_px
    rise_length = rise.norm(dim=1, keepdim=True).clamp_min(_EPS)
    drop_px = parameters.hvip[:, None] * HVIP_REACH * side
    hvip_px = torso_px - drop_px * rise / rise_length
    ray = _rays(hvip_px, view.intrinsics)
    descent = -(ray * normal).sum(1)  # of the ray towards the plane, per metre of depth
    depth = offset / descent.clamp_min(_EPS)
    hvip_m = depth[:, None] * ray
    # X + h n is seen at p if Z (p_hvip - p) = -h g(p): h = drop Z / |g|.
    height = drop_px * depth[:, None] / rise_length
    torso_m = hvip_m + height * normal + (2 * parameters.delta - 1) * DELTA_REACH_M
    return Placement(torso_px, hvip_px, torso_m, hvip_m, (descent > _EPS) & (offset > 0))


def unit_plane(plane: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 4) planes of any scale -> unit normals (N, 3), offsets (N,)."""
    length = plane[:, :3].norm(dim=1, keepdim=True)
    unit = plane / length
    return unit[:, :3], unit[:, 3]


def _rays(pixel: Tensor, intrinsics: Tensor) -> Tensor:
    """(N, 2) pixels -> (N, 3) directions with z = 1."""
    one = torch.ones_like(pixel[:, :1])
    rays: Tensor = torch.linalg.solve(intrinsics, torch.cat([pixel, one], dim=1))
    return rays
