"""Bodies for what Crowd3DNet says of people: posed, sized and placed; batched and differentiable."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from crowd3d.body import BodyModel
from crowd3d.models.crowd3dnet_decode import Parameters, Placement
from optim.anthropometry import ADULT_STATURE_M

SMALLEST_M, TALLEST_M = 0.9, 2.1  # of people who stand up from what the chain says
_LEAST_TORSO_M = 0.1  # above the lowest point of a posed body; people lie that low
_ROUNDS = 2  # leave a millimetre
OPEN_BODY, SMPL_BODY = "open", "smpl"  # whose betas a network may speak


class PatchBodies(NamedTuple):
    """One row a person; metres, camera frame.

    Attributes:
        betas: (N, 10) of the body used.
        stature_m: (N,).
        transl_m: (N, 3) added to the raw output of the body.
        vertices: (N, V, 3); joints: (N, 24, 3); keypoints: (N, 17, 3) COCO.
    """

    betas: Tensor
    stature_m: Tensor
    transl_m: Tensor
    vertices: Tensor
    joints: Tensor
    keypoints: Tensor


def speaks_betas_of(body: BodyModel, trained_for: str) -> bool:
    """Whether a network trained for "smpl" or "open" means this body by its betas."""
    return (body.name == OPEN_BODY) == (trained_for == OPEN_BODY)


def stand(
    body: BodyModel,
    told: Parameters,
    placed: Placement,
    normal: Tensor,
    offset_m: Tensor,
    *,
    own_betas: bool,
    stature_m: float = ADULT_STATURE_M,
) -> PatchBodies:
    """Everybody with the torso where the network puts it.

    Args:
        told, placed: N rows, of `read_parameters` and `place`.
        normal: (N, 3) unit, up; offset_m: (N,).
        own_betas: take the network's betas, because they are of this body. Otherwise the pose is kept, and the
            stature is the one with which the posed body reaches from the torso down to the ground.
        stature_m: of a first body in that case.
    """
    dtype = body.v_template.dtype
    rotations = told.rotations.to(dtype)
    if own_betas:
        betas = told.betas.to(dtype)
    else:
        above = ((placed.torso_m * normal).sum(1) + offset_m).to(dtype)
        start = above.new_full(above.shape, stature_m)
        betas = body.betas_for_stature(_stature_m(body, rotations, above, normal.to(dtype), start))
    out = body(rotations, betas)
    transl = placed.torso_m.to(dtype) - body.torso(out.vertices)
    vertices = out.vertices + transl[:, None]
    return PatchBodies(
        betas,
        body.stature_m(betas),
        transl,
        vertices,
        out.joints + transl[:, None],
        body.keypoints(vertices),
    )


def _stature_m(
    body: BodyModel, rotations: Tensor, above_m: Tensor, normal: Tensor, start_m: Tensor
) -> Tensor:
    """(N,) with which the torso centre is `above_m` over the lowest point: a fixed point of proportions."""
    stature = start_m
    for _ in range(_ROUNDS):
        vertices = body(rotations, body.betas_for_stature(stature)).vertices
        reach = _torso_height(body, vertices, normal).clamp_min(_LEAST_TORSO_M)
        stature = (stature * above_m / reach).clamp(SMALLEST_M, TALLEST_M)
    return stature


def _torso_height(body: BodyModel, vertices: Tensor, normal: Tensor) -> Tensor:
    """(N,) of the torso centre above the lowest point."""
    heights = torch.einsum("nvx,nx->nv", vertices, normal)
    return (body.torso(vertices) * normal).sum(1) - heights.amin(1)
