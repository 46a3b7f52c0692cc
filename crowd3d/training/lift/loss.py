"""The loss that the lift is trained with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crowd3d.body.rig import Rig, chain, place_joints, with_shape
from crowd3d.maths import posterior
from crowd3d.models.lift_net import Normalised, Raw
from crowd3d.training.lift.data import Batch

_NODES = 20  # quadrature points; log c to 1e-3
# Share of each joint in the rotation loss, SMPL order: hands and toes hardly show in keypoints.
_JOINT_WEIGHT = (
    *(2.0, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 1, 0.1, 0.1),  # pelvis to feet
    *(1, 0.7, 0.7, 1, 1, 1, 1, 1, 0.3, 0.3, 0.1, 0.1),  # neck to hands
)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms."""

    rotation: float = 1.0  # negative log-likelihood, mean over joints
    joints: float = 6.0  # metres, posterior mode
    betas: float = 0.1
    placement: float = 0.1  # range and height of the torso


def lift_loss(
    raw: Raw, seen: Normalised, batch: Batch, rig: Rig, weights: LossWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and its terms, each a mean over the batch."""
    joint_weight = raw.fisher.new_tensor(_JOINT_WEIGHT)
    log_c, mode = posterior.log_normalizer_and_mode(raw.fisher, _NODES)
    rotation = log_c - (raw.fisher * batch.rotations).sum((-1, -2))
    rotation_term = (rotation * joint_weight).sum(1).mean() / joint_weight.sum()
    rest = with_shape(rig.joints, batch.betas)
    truth = place_joints(rig.parents, chain(rig.parents, batch.rotations), rest)
    guess = place_joints(rig.parents, chain(rig.parents, mode), rest)
    joints_term = (guess - truth).norm(dim=-1)[:, 1:22].mean()
    betas_term = _gaussian(raw.betas, raw.betas_logvar, batch.betas).mean()
    extent = torch.log(batch.range_statures * seen.scale)
    placement_term = _gaussian(raw.extent, raw.extent_logvar, extent).mean()
    placement_term = (
        placement_term + _gaussian(raw.height, raw.height_logvar, batch.torso_height).mean()
    )
    terms = {
        "rotation": rotation_term,
        "joints_m": joints_term,
        "betas": betas_term,
        "placement": placement_term,
    }
    total = weights.rotation * rotation_term + weights.joints * joints_term
    total = total + weights.betas * betas_term + weights.placement * placement_term
    return total, terms


def _gaussian(mean: Tensor, logvar: Tensor, truth: Tensor) -> Tensor:
    """Negative log-likelihood without its constant."""
    return 0.5 * (logvar + (truth - mean) ** 2 * torch.exp(-logvar))
