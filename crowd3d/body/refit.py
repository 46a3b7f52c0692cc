"""Finds the shape parameters of one body model that give the stature and bones of another's."""

from __future__ import annotations

import torch
from torch import Tensor

from crowd3d.body.model import BodyModel
from crowd3d.body.tree import N_BETAS

# Bones by their two joints: arms, legs, the trunk as a whole, breadth of shoulders and hips.
_BONES = (
    (16, 18), (17, 19), (18, 20), (19, 21), (1, 4), (2, 5), (4, 7), (5, 8), (0, 12), (16, 17), (1, 2),
)  # fmt: skip
# How far each may be off, metres: two models put a shoulder or a hip at different depths of the body.
_BONE_SD_M = (0.01,) * 8 + (0.03,) * 3
_STATURE_SD_M = 0.003
_BETA_SD = 1.0  # of the population that a body's shape directions are scaled by
_ITERATIONS = 6


def refit_betas(source: BodyModel, target: BodyModel, betas: Tensor) -> Tensor:
    """Shapes of `target` as tall as the given shapes of `source`, with the same bones.

    Least squares over stature, bone lengths at rest and a standard normal prior, which decides what
    neither tells (girth, above all); Gauss-Newton from the mean body.

    Args:
        betas: (N, 10) of `source`.

    Returns:
        (N, 10) of `target`, in the precision of `betas`.
    """
    wanted, _ = _measures(source, betas.double())
    sd = betas.new_tensor([_STATURE_SD_M, *_BONE_SD_M], dtype=torch.float64)
    found = torch.zeros(len(betas), N_BETAS, dtype=torch.float64)
    for _ in range(_ITERATIONS):
        values, slope = _measures(target, found)
        J = slope / sd[:, None]
        residual = (wanted - values) / sd
        H = J.mT @ J + torch.eye(N_BETAS, dtype=torch.float64) / _BETA_SD**2
        g = (J.mT @ residual[..., None])[..., 0] - found / _BETA_SD**2
        found = found + torch.linalg.solve(H, g)
    return found.to(betas)


def _measures(body: BodyModel, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Stature and bone lengths (N, M), and their derivatives (N, M, 10); double precision."""
    joints = body.j_template.double() + torch.einsum(
        "jxb,nb->njx", body.j_shapedirs.double(), betas
    )
    ends = torch.tensor(_BONES).T
    bones = joints[:, ends[1]] - joints[:, ends[0]]
    turn = body.j_shapedirs.double()[ends[1]] - body.j_shapedirs.double()[ends[0]]
    length = bones.norm(dim=-1)
    slope = torch.einsum("nkx,kxb->nkb", bones / length.clamp_min(1e-9)[..., None], turn)
    stature = body.stature.double()
    tall = stature[0] + betas @ stature[1:]
    straight = stature[1:].expand(len(betas), 1, N_BETAS)
    return torch.cat([tall[:, None], length], 1), torch.cat([straight, slope], 1)
