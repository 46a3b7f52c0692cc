"""Fit lifted poses to keypoints: damped Gauss-Newton, all people at once, analytic derivatives.

For each person it minimises a sum of three terms: the robust reprojection error in the virtual camera, the
negative log-density of the network's matrix Fisher distribution for every joint, and the prior of the range. A
step that does not lower this sum is not taken. So by this sum the result is never worse than where it started.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crowd3d.body.rig import Posed, Rig, descendants, pose_rig, with_shape
from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.maths.rotation import skew, small_turns
from crowd3d.models.lift_net import MIN_SCORE

# Joints that move COCO keypoints; ankles, toes, wrists and hands do not. The root is fixed: other evidence may
# have determined the heading, and the keypoints were already used for it. (In renders, with a fixed root limbs
# lie equally well on the true keypoints, and MPJPE goes from 80.2 to 79.3 mm in sharp pictures, 111.3 to 109.4
# in poor.)
_MOVING = (1, 2, 3, 4, 5, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19)
# Error of each keypoint relative to the mean error: detectors are worst at hips and best at faces.
_SPREAD = (0.7, 0.7, 0.7, 0.8, 0.8, 0.9, 0.9, 1.0, 1.0, 1.1, 1.1, 1.3, 1.3, 1.0, 1.0, 1.0, 1.0)
_SURE = 0.5  # keypoints with at least this score get their full precision
_MIN_DEPTH = 0.05  # metres; smaller depths are raised to this before dividing


@dataclass(frozen=True)
class RefineOptions:
    """Numbers of the fit."""

    iterations: int = 8
    keypoint_sd: float = 0.025  # of an average keypoint with a good score, in statures
    cutoff: float = 2.0  # standard deviations beyond which a keypoint is an outlier (Geman-McClure)
    prior: float = 2.5  # weight of the Fisher density, fitted on validation motion
    damping: float = 0.1  # initial value, relative to the diagonal


@dataclass(frozen=True)
class _State:
    """Current estimate for N people: local rotations, and place of the torso centre in the virtual camera."""

    rotations: Tensor
    place: Tensor  # (N, 3): tangents u, v and log of the depth in metres


@dataclass(frozen=True)
class _Problem:
    """Everything that stays the same in all steps."""

    rig: Rig
    betas: Tensor
    uv: Tensor  # (N, 17, 2)
    precision: Tensor  # (N, 17) square root of the weight of each keypoint
    axes: Tensor  # (N, 3, 3) virtual camera from the upright frame
    fisher: Tensor  # (N, 24, 3, 3), already times the prior's weight
    curvature: Tensor  # (N, 24, 3, 3) second derivative of its negative log-density at the mode
    log_depth: Tensor  # (N,)
    log_depth_sd: Tensor
    cutoff: float


def virtual_axes(elevation: Tensor) -> Tensor:
    """(N,) radians below the horizon -> (N, 3, 3) rotations, upright frame to virtual camera."""
    c, s, zero = elevation.cos(), elevation.sin(), torch.zeros_like(elevation)
    one = torch.ones_like(zero)
    rows = torch.stack([one, zero, zero, zero, c, -s, zero, s, c], dim=-1)
    return rows.reshape(-1, 3, 3)


@torch.no_grad()
def fit_keypoints(
    rig: Rig,
    keypoints: Tensor,
    elevation: Tensor,
    rotations: Tensor,
    fisher: Tensor,
    betas: Tensor,
    range_statures: Tensor,
    range_log_sd: Tensor,
    options: RefineOptions,
) -> tuple[Tensor, Tensor]:
    """Fit rotations and range of N people to their keypoints.

    Args:
        rig: of the body that is fitted.
        keypoints: (N, 17, 3) tangents and scores in the virtual cameras, see `crowd3d.maths.upright`.
        elevation: (N,) radians below the horizon of the virtual cameras' axes.
        rotations, fisher: (N, 24, 3, 3) of the lift, root in the upright frame; betas: (N, 10).
        range_statures, range_log_sd: (N,) distance in statures and standard deviation of its logarithm.

    Returns:
        rotations (N, 24, 3, 3), range_statures (N,).
    """
    score = keypoints[..., 2].clamp(0, 1)
    score = torch.where(score > MIN_SCORE, score, torch.zeros_like(score))
    spread = options.keypoint_sd * keypoints.new_tensor(_SPREAD) / range_statures[:, None]
    stature = with_shape(rig.stature, betas)
    A = options.prior * rotations @ fisher.transpose(-1, -2)
    A = (A + A.transpose(-1, -2)) / 2
    trace = A.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    problem = _Problem(
        rig=rig,
        betas=betas,
        uv=keypoints[..., :2],
        precision=(score / _SURE).clamp_max(1) / spread,
        axes=virtual_axes(elevation),
        fisher=options.prior * fisher,
        curvature=trace * torch.eye(3).to(A) - A,
        log_depth=torch.log(range_statures * stature),
        log_depth_sd=range_log_sd,
        cutoff=options.cutoff,
    )
    state = _descend(problem, _start(problem, rotations), options)
    return state.rotations, state.place[:, 2].exp() / stature


def _start(problem: _Problem, rotations: Tensor) -> _State:
    """The network's pose, moved sideways so that its projection has the same weighted mean as the keypoints."""
    zero = torch.zeros_like(problem.log_depth)
    state = _State(rotations, torch.stack([zero, zero, problem.log_depth], dim=-1))
    projected, _ = _project(problem, state, pose_rig(problem.rig, rotations, problem.betas))
    weight = problem.precision[..., None] ** 2
    shift = (weight * (problem.uv - projected)).sum(1) / weight.sum(1).clamp_min(1e-9)
    return _State(rotations, torch.cat([shift, state.place[:, 2:]], dim=1))


def _project(problem: _Problem, state: _State, posed: Posed) -> tuple[Tensor, Tensor]:
    """Tangents (N, 17, 2) and points (N, 17, 3) in the virtual camera."""
    points = posed.points[:, :17]
    points = points - points[:, list(TORSO_KEYPOINTS)].mean(1, keepdim=True)
    depth = state.place[:, 2].exp()
    center = torch.cat([state.place[:, :2] * depth[:, None], depth[:, None]], dim=1)
    seen = points @ problem.axes.transpose(-1, -2) + center[:, None]
    return seen[..., :2] / seen[..., 2:].clamp_min(_MIN_DEPTH), seen


def _energy(problem: _Problem, state: _State, posed: Posed) -> Tensor:
    """(N,) the sum that is minimised."""
    projected, _ = _project(problem, state, posed)
    squared = ((projected - problem.uv).norm(dim=-1) * problem.precision) ** 2
    robust = squared / (1 + squared / problem.cutoff**2)
    prior = -(problem.fisher * state.rotations).sum((1, 2, 3))
    depth = ((state.place[:, 2] - problem.log_depth) / problem.log_depth_sd) ** 2
    total: Tensor = 0.5 * robust.sum(1) + prior + 0.5 * depth
    return total


def _descend(problem: _Problem, state: _State, options: RefineOptions) -> _State:
    """Levenberg-Marquardt, with a separate damping for each person."""
    posed = pose_rig(problem.rig, state.rotations, problem.betas)
    energy = _energy(problem, state, posed)
    damping = torch.full_like(energy, options.damping)
    for _ in range(options.iterations):
        H, g = _normal_equations(problem, state, posed)
        diagonal = H.diagonal(dim1=-2, dim2=-1)
        damped = H + torch.diag_embed(damping[:, None] * diagonal + 1e-3)
        factor, failed = torch.linalg.cholesky_ex(damped)
        step = -torch.cholesky_solve(g[..., None], factor)[..., 0]
        step = torch.where((failed == 0)[:, None], torch.nan_to_num(step), torch.zeros_like(step))
        trial = _apply(state, posed, step)
        trial_posed = pose_rig(problem.rig, trial.rotations, problem.betas)
        trial_energy = _energy(problem, trial, trial_posed)
        better = trial_energy < energy
        state = _State(
            _choose(better, trial.rotations, state.rotations),
            _choose(better, trial.place, state.place),
        )
        posed = Posed(
            _choose(better, trial_posed.world, posed.world),
            _choose(better, trial_posed.joints, posed.joints),
            _choose(better, trial_posed.parts, posed.parts),
        )
        energy = torch.where(better, trial_energy, energy)
        damping = torch.where(better, damping / 4, damping * 5).clamp(1e-4, 1e4)
    return state


def _choose(which: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, b)


def _apply(state: _State, posed: Posed, step: Tensor) -> _State:
    """Turn every moving joint by its part of the step; all joints below it in the tree turn along."""
    moving = list(_MOVING)
    turns = small_turns(step[:, :-3].reshape(-1, len(moving), 3).clamp(-0.6, 0.6))
    # A turn in the upright frame multiplies the world rotation W from the left; W R^-1 is the parent's
    # rotation.
    parent = posed.world[:, moving] @ state.rotations[:, moving].transpose(-1, -2)
    turned = parent.transpose(-1, -2) @ turns @ parent @ state.rotations[:, moving]
    rotations = state.rotations.clone()
    # One Newton step towards the nearest rotation; otherwise rounding errors would grow with every product.
    rotations[:, moving] = 1.5 * turned - 0.5 * turned @ turned.transpose(-1, -2) @ turned
    return _State(rotations, state.place + step[:, -3:].clamp(-0.5, 0.5))


def _normal_equations(problem: _Problem, state: _State, posed: Posed) -> tuple[Tensor, Tensor]:
    """Gauss-Newton matrix (N, P, P) and gradient (N, P); P is 3 for each moving joint and 3 for the place."""
    projected, seen = _project(problem, state, posed)
    residual = (projected - problem.uv) * problem.precision[..., None]
    squared = (residual**2).sum(-1)
    weight = 1 / (1 + squared / problem.cutoff**2)  # square root of Geman-McClure's
    J = _point_jacobian(problem, state, posed, seen)
    depth = seen[..., 2].clamp_min(_MIN_DEPTH)[..., None, None]
    J = (J[..., :2, :] - projected[..., None] * J[..., 2:, :]) / depth
    J = J * (problem.precision * weight)[..., None, None]
    J, r = J.flatten(1, 2), (residual * weight[..., None]).flatten(1)
    H, g = J.transpose(1, 2) @ J, (J.transpose(1, 2) @ r[..., None])[..., 0]
    prior_H, prior_g = _fisher_terms(problem, state, posed)
    for index in range(len(_MOVING)):
        at = slice(3 * index, 3 * index + 3)
        H[:, at, at] += prior_H[:, index]
    g[:, :-3] += prior_g.flatten(1)
    precision = problem.log_depth_sd**-2
    H[:, -1, -1] += precision
    g[:, -1] += precision * (state.place[:, 2] - problem.log_depth)
    return H, g


def _point_jacobian(problem: _Problem, state: _State, posed: Posed, seen: Tensor) -> Tensor:
    """(N, 17, 3, P) derivatives of the points in the virtual camera.

    A turn of joint j by w moves point k by w x (S_kj - b_kj p_j). S is the sum of the parts of the point that
    hang on j or on joints below it, b the sum of their weights, and p_j the place of joint j.
    """
    moving = list(_MOVING)
    below = descendants(problem.rig)[moving].to(seen)
    parts = posed.parts[:, :17]
    hanging = torch.einsum("ji,nkia->nkja", below, parts)
    share = (problem.rig.weights[:17] @ below.T)[None, :, :, None]
    arms = hanging - share * posed.joints[:, None, moving]
    arms = arms - arms[:, list(TORSO_KEYPOINTS)].mean(1, keepdim=True)
    turned = -problem.axes[:, None, None] @ skew(arms)
    turned = turned.permute(0, 1, 3, 2, 4).flatten(3)
    depth = state.place[:, 2].exp()
    zero, one = torch.zeros_like(depth), depth
    u, v = state.place[:, 0] * depth, state.place[:, 1] * depth
    place = torch.stack([one, zero, u, zero, one, v, zero, zero, depth], dim=-1).reshape(-1, 3, 3)
    return torch.cat([turned, place[:, None].expand(-1, 17, -1, -1)], dim=-1)


def _fisher_terms(problem: _Problem, state: _State, posed: Posed) -> tuple[Tensor, Tensor]:
    """Curvature (N, M, 3, 3) and gradient (N, M, 3) of -tr(F^T R) in turns of the upright frame."""
    moving = list(_MOVING)
    R = state.rotations[:, moving]
    A = R @ problem.fisher[:, moving].transpose(-1, -2)
    B = A - A.transpose(-1, -2)
    gradient = -torch.stack([B[..., 1, 2], B[..., 2, 0], B[..., 0, 1]], dim=-1)
    parent = posed.world[:, moving] @ R.transpose(-1, -2)
    curvature = parent @ problem.curvature[:, moving] @ parent.transpose(-1, -2)
    return curvature, (parent @ gradient[..., None])[..., 0]
