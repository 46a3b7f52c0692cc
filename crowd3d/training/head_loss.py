"""What the 3D heads are trained to do, and what keeps the other heads as they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crowd3d import posterior
from crowd3d.lift_rig import Rig, chain, place_joints, with_shape
from crowd3d.models.crowd3ds import Heads
from crowd3d.models.heads import HeadResult
from crowd3d.training.tile_looks import Targets

_NODES = 20  # quadrature points; log c to 1e-3
# Share of each joint in the rotation loss: hands and toes hardly show.
_ROOT, _HALF, _SLIGHT = (0,), (7, 8, 13, 14), (10, 11, 20, 21, 22, 23)
_CENTER_EMPHASIS = 20.0  # of cells where the untouched network sees somebody
_MIN_CENTER = 0.1


@dataclass(frozen=True)
class HeadLossWeights:
    """Weights of the terms."""

    rotation: float = 1.0  # negative log-likelihood, mean over joints
    joints: float = 10.0  # metres, posterior mode
    betas: float = 0.1
    depth: float = 0.1
    height: float = 0.1
    torso: float = 0.05
    hvip: float = 0.05
    kept: float = 1.0  # the lift's answer for people of all kinds, see `head_keep`
    distillation: float = 1.0  # of the six maps; only with a trunk that is trained


def head_loss(
    result: HeadResult, truth: Targets, scale: Tensor, rig: Rig, weights: HeadLossWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and its terms, each a mean over the people.

    Args:
        scale: (N,) of the normalised keypoints, the unit of torso and HVIP errors.
    """
    lifted = result.lifted
    joint_weight = lifted.fisher.new_ones(24)
    for joints, weight in ((_ROOT, 2.0), (_HALF, 0.5), (_SLIGHT, 0.1)):
        joint_weight[list(joints)] = weight
    rotation = posterior.nll(truth.rotations, lifted.fisher, _NODES)
    rest = with_shape(rig.joints, truth.betas)
    wanted = place_joints(rig.parents, chain(rig.parents, truth.rotations), rest)
    guess = place_joints(rig.parents, chain(rig.parents, lifted.rotations), rest)
    apart_range = torch.log(lifted.range_statures / truth.range_statures)
    apart_height = lifted.torso_height_statures - truth.torso_height_statures
    terms = {
        "rotation": (rotation * joint_weight).sum(1).mean() / joint_weight.sum(),
        "joints": (guess - wanted).norm(dim=-1)[:, 1:22].mean(),
        "betas": _gaussian(lifted.betas - truth.betas, 0.5 * lifted.betas_var.log()),
        "depth": _gaussian(apart_range, lifted.range_log_sd.log()),
        "height": _gaussian(apart_height, lifted.torso_height_sd.log()),
        "torso": _offset(result.torso_uv - truth.torso_uv, scale, result.torso_log_sd),
        "hvip": _offset(result.hvip_uv - truth.hvip_uv, scale, result.hvip_log_sd),
    }
    total = sum(
        (getattr(weights, name) * term for name, term in terms.items()), scale.new_zeros(())
    )
    return total, terms


def _gaussian(error: Tensor, log_sd: Tensor) -> Tensor:
    """Mean negative log-likelihood without its constant."""
    return (log_sd + 0.5 * (error * torch.exp(-log_sd)) ** 2).mean()


def _offset(error_uv: Tensor, scale: Tensor, log_sd: Tensor) -> Tensor:
    """The same of tangents (N, 2) in units of `scale`; errors are clamped, for feet behind the camera."""
    error = (error_uv / scale[:, None]).clamp(-10, 10)
    return _gaussian(error, log_sd[:, None].expand_as(error))


def distillation(heads: Heads, teacher: Heads) -> tuple[Tensor, dict[str, Tensor]]:
    """How far the six maps are from those of the untouched network, and its terms.

    Maps of scores count everywhere, more where somebody is seen; offsets and sizes where they are read: at
    people's centres, and at keypoints.
    """
    people = teacher.center * (teacher.center > _MIN_CENTER)
    joints = teacher.keypoint_heat * (teacher.keypoint_heat > _MIN_CENTER)
    joints = joints.repeat_interleave(2, dim=1)
    terms = {
        "kept_center": _scores(heads.center, teacher.center),
        "kept_heat": _scores(heads.keypoint_heat, teacher.keypoint_heat),
        "kept_box": _where(heads.box_size, teacher.box_size, people)
        + _where(heads.box_offset, teacher.box_offset, people),
        "kept_regression": _where(heads.keypoint_regression, teacher.keypoint_regression, people),
        "kept_offset": _where(heads.keypoint_offset, teacher.keypoint_offset, joints),
    }
    return torch.stack(list(terms.values())).sum(), terms


def _scores(mine: Tensor, theirs: Tensor) -> Tensor:
    weight = 1 + _CENTER_EMPHASIS * theirs
    return (weight * (mine - theirs) ** 2).sum() / theirs.sum().clamp_min(1.0)


def _where(mine: Tensor, theirs: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean absolute difference."""
    weight = weight.expand_as(theirs)
    return (weight * (mine - theirs).abs()).sum() / weight.sum().clamp_min(1.0)
