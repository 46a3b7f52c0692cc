"""Bodies from the output of Crowd3DNet: posed, sized and placed; batched and differentiable."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from crowd3d.body import BodyModel
from crowd3d.models.crowd3dnet_decode import Parameters, Placement
from optim.anthropometry import ADULT_STATURE_M

# Limits of a stature that is computed from the height of the torso.
SMALLEST_M, TALLEST_M = 0.9, 2.1
# Smallest height of the torso over the lowest point of a posed body, as for lying people.
_LEAST_TORSO_M = 0.1
_ROUNDS = 2  # of the fixed point; the error left is a millimetre
OPEN_BODY, SMPL_BODY = "open", "smpl"  # the bodies for whose betas a network may be trained


class PatchBodies(NamedTuple):
    """Posed and placed bodies, one row per person; metres, camera frame.

    Attributes:
        betas: (N, 10) of the body used.
        stature_m: (N,) standing height.
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
    """Whether the betas of a network trained for "smpl" or "open" are betas of this body."""
    return (body.name == OPEN_BODY) == (trained_for == OPEN_BODY)


def patch_bodies(
    body: BodyModel,
    told: Parameters,
    placed: Placement,
    normal: Tensor,
    offset_m: Tensor,
    *,
    own_betas: bool,
    stature_m: float = ADULT_STATURE_M,
) -> PatchBodies:
    """Pose everybody and move the torso to where the network places it.

    Args:
        told, placed: N rows of the network's output, from `read_parameters` and `place` of
            `crowd3d.models.crowd3dnet_decode`.
        normal: (N, 3) unit vector pointing up; offset_m: (N,) of the ground.
        own_betas: use the network's betas, because they are betas of this body. Otherwise the pose is kept, and
            the stature is chosen so that the posed body reaches from the torso down to the ground.
        stature_m: initial stature in that case.
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
    """(N,) statures with which the torso centre is `above_m` over the lowest point; fixed-point iteration."""
    stature = start_m
    for _ in range(_ROUNDS):
        vertices = body(rotations, body.betas_for_stature(stature)).vertices
        reach = _torso_height(body, vertices, normal).clamp_min(_LEAST_TORSO_M)
        stature = (stature * above_m / reach).clamp(SMALLEST_M, TALLEST_M)
    return stature


def _torso_height(body: BodyModel, vertices: Tensor, normal: Tensor) -> Tensor:
    """(N,) height of the torso centre above the lowest vertex, along `normal` (N, 3)."""
    heights = torch.einsum("nvx,nx->nv", vertices, normal)
    return (body.torso(vertices) * normal).sum(1) - heights.amin(1)
