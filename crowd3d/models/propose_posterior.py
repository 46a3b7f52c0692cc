"""The posterior of every joint's rotation from a prior and from joints seen in space (Fang et al., CVPR 2023).

A bone that points along l at rest and is seen along d gives its joint's rotation R the likelihood exp(kappa
d^T R l). Joined with the matrix-Fisher prior exp(tr(F^T R)) that is a matrix-Fisher density again, with F +
sum kappa d l^T. Below the root the published prior speaks of R R_root^T, what remains after the root's own
turn; `Posterior` converts between the frames.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from crowd3d.maths.posterior import bone_concentration, mode, observe_bones
from crowd3d.models.propose import BINS, CUBE_M

N_JOINTS = 24
PUBLISHED_KAPPA = 100.0  # the published network's constant
# SMPL's tree, then nose, eyes and ears on the head (15), toes and heel on the feet (7 and 8).
PARENTS = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
    15, 15, 15, 15, 15, 7, 7, 7, 8, 8, 8,
)  # fmt: skip
# Joints whose several children are all seen; of any other joint only the first child counts.
_BRANCHING = (0, 9, 15)
_LEAST_SPREAD_M = CUBE_M / BINS / math.sqrt(12)  # a place inside one bin is not known better


class Posterior(NamedTuple):
    """Matrix-Fisher parameters and their most probable rotations.

    Attributes:
        fisher: (B, 24, 3, 3) of the root's rotation, and below it of what remains after the root's.
        orientation: (B, 24, 3, 3) most probable rotation of each joint from rest to the camera.
        pose: (B, 24, 3, 3) the same relative to the parent: SMPL's pose.
    """

    fisher: Tensor
    orientation: Tensor
    pose: Tensor

    def in_camera(self) -> Tensor:
        """(B, 24, 3, 3) parameters of each whole rotation; these add up over several looks at one person."""
        root = self.orientation[:, :1]
        return torch.cat([self.fisher[:, :1], self.fisher[:, 1:] @ root], dim=1)

    def relative(self) -> Tensor:
        """(B, 24, 3, 3) parameters of each rotation relative to its parent's most probable one."""
        parent = self.orientation[:, list(PARENTS[1:N_JOINTS])]
        whole = self.in_camera()
        return torch.cat([whole[:, :1], parent.transpose(-1, -2) @ whole[:, 1:]], dim=1)


def observed_children() -> list[list[int]]:
    """For each of the 24 joints, the children whose directions are seen; none for hands and toes."""
    children = [[c for c, p in enumerate(PARENTS) if p == j] for j in range(N_JOINTS)]
    return [c if j in _BRANCHING else c[:1] for j, c in enumerate(children)]


def volume_kappa(rest: Tensor, spread: Tensor) -> Tensor:
    """Concentration of each bone's direction from how wide its two ends' volumes are.

    Args:
        rest: (B, 35, 3) joints at rest, metres.
        spread: (B, 34) of `propose.Prediction`: the root has none, everything is relative to it.

    Returns:
        (B, 35) of the bone that ends in each joint; 0 for the root.
    """
    sigma = F.pad((spread * CUBE_M).clamp_min(_LEAST_SPREAD_M), (1, 0))
    parents = torch.tensor(PARENTS[1:], device=rest.device)
    length = (rest[:, 1:] - rest[:, parents]).norm(dim=-1)
    return F.pad(bone_concentration(length, sigma[:, parents], sigma[:, 1:]), (1, 0))


def posterior(
    prior: Tensor, joints: Tensor, rest: Tensor, kappa: Tensor | float = PUBLISHED_KAPPA
) -> Posterior:
    """Prior and seen bones, joined.

    Args:
        prior: (B, 24, 3, 3) matrix-Fisher parameters as the network gives them.
        joints: (B, 35, 3) seen joints, any origin and unit.
        rest: (B, 35, 3) joints of that person's body at rest, same order (PARENTS).
        kappa: concentration of each bone's direction: one number, or (B, 35) by the bone's child.

    Returns:
        Posterior; differentiable.
    """
    parents = torch.tensor([max(p, 0) for p in PARENTS], device=prior.device)
    seen = F.normalize(joints - joints[:, parents], dim=-1)
    at_rest = F.normalize(rest - rest[:, parents], dim=-1)
    weight = torch.as_tensor(kappa, dtype=prior.dtype, device=prior.device).expand(seen.shape[:2])
    children = observed_children()
    fisher = [observe_bones(prior[:, 0], *(x[:, children[0]] for x in (seen, at_rest, weight)))]
    root = mode(fisher[0])
    turned = at_rest @ root.transpose(-1, -2)
    for j in range(1, N_JOINTS):
        c = children[j]
        fisher.append(observe_bones(prior[:, j], seen[:, c], turned[:, c], weight[:, c]))
    F_all = torch.stack(fisher, dim=1)
    below = mode(F_all[:, 1:]) @ root[:, None]
    orientation = torch.cat([root[:, None], below], dim=1)
    parent = orientation[:, list(PARENTS[1:N_JOINTS])]
    pose = torch.cat([root[:, None], parent.transpose(-1, -2) @ below], dim=1)
    return Posterior(F_all, orientation, pose)
