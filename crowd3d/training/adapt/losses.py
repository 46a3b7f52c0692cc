"""The losses that Crowd3DNet is trained and adapted with (Wen et al., CVPR 2023): pure functions.

Each gives one number. Points in the picture are in patch units: the patch's side spans -1 to 1. The loss of
nobody is 0. The adaptation uses a part of the terms, see `ADAPTATION`.
"""

from __future__ import annotations

from typing import NamedTuple

import roma
import torch
from torch import Tensor

# Weights as published: for the second stage of training, and for the adaptation to one picture.
TRAINING = {
    "center": 160.0,
    "keypoints": 400.0,
    "mpjpe": 200.0,
    "pa_mpjpe": 360.0,
    "pose": 80.0,
    "shape": 6.0,
    "prior": 1.6,
    "hvip": 500.0,
    "torso": 800.0,
    "root": 200.0,
    "below_ground": 800.0,
    "upright": 10.0,
}
ADAPTATION = {"keypoints": 400.0, "prior": 1.6, "below_ground": 800.0, "upright": 25.0}

MOST = 1000.0  # what a weighted term may cost; larger ones are scaled down to it
KEYPOINT_LIMIT = 1.5  # labels farther out, in patch units, are not used
# COCO order: limbs' ends count double, shoulders less.
KEYPOINT_WEIGHTS = (1, 0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 1, 1, 2, 2, 1, 1, 1, 1, 2, 2)

_HIPS, _SHOULDERS, _ANKLES = (1, 2), (16, 17), (7, 8)  # of the 24 joints
_TINY = 1e-8
# Joint, axis and sign of a bend that no knee or elbow allows (Bogo et al., SMPLify, 2016).
_HINGES = ((4, 0, -1.0), (5, 0, -1.0), (18, 1, 1.0), (19, 1, -1.0))
_PRIOR_SCALE, _HINGE_SCALE = 100.0, 5.0
_SHAPE_SCALE, _UNLABELLED_SCALE = 20.0, 10.0


class Mixture(NamedTuple):
    """Gaussians over the 69 numbers of a pose without its root.

    Attributes:
        log_weight: (K,); mean: (K, 69); precision_root: (K, 69, 69) lower triangles L of L L^T, the precisions.
    """

    log_weight: Tensor
    mean: Tensor
    precision_root: Tensor


def center_loss(heat: Tensor, target: Tensor) -> Tensor:
    """Focal loss of centre maps, per centre (Law & Deng, CornerNet, 2018, eq. 1; alpha 2, beta 4).

    Args:
        heat: (B, 1, H, W), taken as a probability; target: the same, 1 at centres and falling around them.
    """
    p = heat.clamp(1e-4, 1 - 1e-4)
    is_center = target >= 1
    found = ((1 - p) ** 2 * p.log())[is_center].sum()
    elsewhere = ((1 - target) ** 4 * p**2 * (1 - p).log())[~is_center].sum()
    return -(found + elsewhere) / is_center.sum().clamp_min(1)


def keypoint_loss(points: Tensor, target: Tensor, is_seen: Tensor, weights: Tensor) -> Tensor:
    """Weighted distance |du| + |dv| in patch units, mean over seen keypoints.

    Args:
        points, target: (N, K, 2); is_seen: (N, K); weights: (K,).
    """
    used = is_seen & (target.abs() <= KEYPOINT_LIMIT).all(dim=-1)
    apart = (points - target).abs().sum(dim=-1) * weights
    return apart[used].sum() / used.sum().clamp_min(1)


def mpjpe_loss(joints: Tensor, target: Tensor) -> Tensor:
    """(N, 24, 3) metres, both about the middle of their hips: mean distance."""
    hips = list(_HIPS)
    ours = joints - joints[:, hips].mean(1, keepdim=True)
    theirs = target - target[:, hips].mean(1, keepdim=True)
    return _mean(_length(ours - theirs))


def pa_mpjpe_loss(joints: Tensor, target: Tensor) -> Tensor:
    """(N, 24, 3) metres, each moved, turned and scaled onto its target (Umeyama 1991): mean distance."""
    ours = joints - joints.mean(1, keepdim=True)
    theirs = target - target.mean(1, keepdim=True)
    turn = roma.special_procrustes(theirs.transpose(-1, -2) @ ours)
    turned = ours @ turn.transpose(-1, -2)
    scale = (theirs * turned).sum((1, 2)) / ours.square().sum((1, 2)).clamp_min(_TINY)
    return _mean(_length(scale[:, None, None] * turned - theirs))


def pose_loss(rotations: Tensor, target: Tensor) -> Tensor:
    """(N, J, 3, 3): mean Frobenius distance."""
    return _mean((rotations - target).square().sum((-2, -1)).clamp_min(_TINY**2).sqrt())


def shape_loss(betas: Tensor, target: Tensor | None = None) -> Tensor:
    """(N, 10): distance to labels, or without them the size of all but the first."""
    if target is None:
        return _mean(betas[:, 1:].square()) / _UNLABELLED_SCALE
    return _mean(_length(betas - target)) / _SHAPE_SCALE


def prior_loss(pose: Tensor, mixture: Mixture) -> Tensor:
    """How unlikely a pose is by its nearest Gaussian, and how far knees and elbows bend the wrong way.

    Args:
        pose: (N, 24, 3) axis-angle.
    """
    body = pose[:, 1:].flatten(1)
    away = torch.einsum("nkd,kde->nke", body[:, None] - mixture.mean, mixture.precision_root)
    nll = (0.5 * away.square().sum(-1) - mixture.log_weight).amin(1)
    joints, axes, signs = zip(*_HINGES, strict=True)
    bend = pose[:, list(joints), list(axes)] * pose.new_tensor(signs)
    return _mean(nll) / _PRIOR_SCALE + _mean(bend.exp().square().sum(1)) / _HINGE_SCALE


def point_loss(points: Tensor, target: Tensor) -> Tensor:
    """Mean distance: (N, 2) ground points or torso centres in patch units, or (N, 3) roots in metres."""
    return _mean(_length(points - target))


def below_ground_loss(vertices: Tensor, normal: Tensor, offset_m: Tensor) -> Tensor:
    """How deep the lowest vertex of each body is under its plane, metres.

    Args:
        vertices: (N, V, 3); normal: (N, 3) unit, up; offset_m: (N,).
    """
    height = torch.einsum("nvx,nx->nv", vertices, normal) + offset_m[:, None]
    return _mean((-height).amax(1).clamp_min(0))


def upright_loss(joints: Tensor, normal: Tensor) -> Tensor:
    """1 - cos of the angle between ankles-to-shoulders and the plane's normal.

    Args:
        joints: (N, 24, 3); normal: (N, 3) unit, up.
    """
    rise = joints[:, list(_SHOULDERS)].mean(1) - joints[:, list(_ANKLES)].mean(1)
    return _mean(1 - torch.cosine_similarity(rise, normal, dim=1))


def total(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Weighted sum; a term above MOST is scaled down to it, so that none drowns the others."""
    out = torch.zeros(())
    for name, value in terms.items():
        weighted = weights[name] * value
        out = out.to(weighted) + weighted * (MOST / weighted.detach().clamp_min(MOST))
    return out


def fit_mixture(pose: Tensor, count: int = 8, seed: int = 0, floor_rad: float = 0.05) -> Mixture:
    """A mixture of `count` Gaussians from poses (M, 24, 3): k-means, then each cluster's moments.

    Args:
        floor_rad: standard deviation added in every direction.
    """
    body = pose[:, 1:].flatten(1).double()
    count = min(count, len(body))
    generator = torch.Generator().manual_seed(seed)
    mean = body[torch.randperm(len(body), generator=generator)[:count]]
    for _ in range(20):
        nearest = torch.cdist(body, mean).argmin(1)
        mean = torch.stack(
            [body[nearest == k].mean(0) if (nearest == k).any() else mean[k] for k in range(count)]
        )
    roots, weights = [], []
    for k in range(count):
        own = body[nearest == k] - mean[k]
        covariance = own.T @ own / max(len(own), 1) + floor_rad**2 * torch.eye(own.shape[1])
        roots.append(torch.linalg.cholesky(torch.linalg.inv(covariance.double())))
        weights.append(max(len(own), 1) / len(body))
    root = torch.stack(roots)
    # The determinants belong to the weights, and the best one counts as nothing, so that losses start at zero.
    log_weight = torch.tensor(weights).double().log() + root.diagonal(dim1=1, dim2=2).log().sum(1)
    return Mixture((log_weight - log_weight.max()).float(), mean.float(), root.float())


def _length(difference: Tensor) -> Tensor:
    return difference.square().sum(-1).clamp_min(_TINY**2).sqrt()


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(values.numel(), 1)
