"""The cost of a scene and its block-sparse normal equations.

Every person has the unknowns (P,): place of the torso centre on the plane (2, metres from the plane's
origin along its tangents), its height above the plane, the logarithm of the body's scale, and the pose
parameters of `Bodies`. What people share is in `view`. Costs are twice a negative log-likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from optim.projection import FloatArray
from optim.refine.separation import RADIUS_OF_STATURE, Overlaps, overlap_cost, overlaps
from optim.refine.view import Shared, lens, plane_offsets, point_derivative, turn

IntArray = npt.NDArray[np.int64]

N_KEYPOINTS = 17
PLACE, HEIGHT, SCALE, POSE = slice(0, 2), 2, 3, 4
_FREEDOM = 6.0  # of Student's t for residuals: beyond 2.4 standard deviations they lose weight
_CHILDREN = 0.1  # of all people; their stature is about 1.25 m, and widely spread
_CHILD_LOG_STATURE, _CHILD_LOG_SD = -0.31, 0.18
_SOFT_M = 0.01  # feet so near to the lowest point carry, too
_BEHIND_COST = 1e4
_TINY = 1e-9


class Bodies(Protocol):
    """Posed bodies of everybody, about their torso centres, turned into the camera frame of the start."""

    def __call__(self, pose: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points and their derivative.

        Args:
            pose: (N, Q) changes from the given poses, radians; the first three a rotation vector in
                the camera frame that turns the whole body.

        Returns:
            (N, K, 3) metres: 17 COCO keypoints, then points that may touch the ground;
            (N, K, 3, Q).
        """
        ...


@dataclass(frozen=True)
class Problem:
    """What does not change from step to step.

    Attributes:
        frames: (N, 17, 3, 3) two tangents and the direction of every seen ray.
        weights, sigma_rad: (N, 17).
        plane: (N,) index; normals (N, 3) and axes (N, 2, 3) are of that plane at the start.
        ground_m: (N,) what the contact points' soft minimum is above the body's sole at the given pose.
        rise_m, grade: (N,), (N, 2) of the ground over the plane, at the plane's origin and a metre of place.
        contact_sd_m, stature_m, log_scale_mean: (N,); log_scale_sd: of the population.
        pose_information: (N, Q, Q) of a quadratic prior about zero.
    """

    bodies: Bodies
    shared: Shared
    frames: FloatArray
    weights: FloatArray
    sigma_rad: FloatArray
    plane: IntArray
    normals: FloatArray
    axes: FloatArray
    ground_m: FloatArray
    rise_m: FloatArray
    grade: FloatArray
    contact_sd_m: FloatArray
    stature_m: FloatArray
    log_scale_mean: FloatArray
    log_scale_sd: float
    pose_information: FloatArray
    axes_of_first: FloatArray  # (2, 3) tangents of the first plane
    separate: bool = True  # whether people within one another cost anything


@dataclass(frozen=True)
class State:
    """One guess: theta (T,), people (N, P), and the bodies that go with it."""

    theta: FloatArray
    people: FloatArray
    points: FloatArray  # (N, K, 3) unscaled
    by_pose: FloatArray  # (N, K, 3, Q)


@dataclass(frozen=True)
class Equations:
    """Gauss-Newton equations in the shape of an arrow.

    Attributes:
        people: (N, P, P); border (N, P, T); shared (T, T): the blocks of the matrix.
        gradient, shared_gradient: (N, P) and (T,).
    """

    people: FloatArray
    border: FloatArray
    shared: FloatArray
    gradient: FloatArray
    shared_gradient: FloatArray


def state_at(problem: Problem, theta: FloatArray, people: FloatArray) -> State:
    """A guess with its bodies."""
    return State(theta, people, *problem.bodies(people[:, POSE:]))


def soft_minimum(heights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Soft minimum (N,) of heights (N, C) and its derivative (N, C), the share of load on each point."""
    lowest = heights.min(axis=1, keepdims=True)
    load = np.exp(-(heights - lowest) / _SOFT_M)
    total = load.sum(axis=1, keepdims=True)
    return lowest[:, 0] - _SOFT_M * np.log(total[:, 0]), load / total


def torso_centres(problem: Problem, state: State) -> FloatArray:
    """(N, 3) in the frame of the start, before the turn of everything."""
    offset = plane_offsets(problem.shared, state.theta)[problem.plane]
    rise = state.people[:, HEIGHT] - offset
    across = (state.people[:, None, PLACE] @ problem.axes)[:, 0]
    return np.asarray(across + rise[:, None] * problem.normals)


def person_costs(problem: Problem, state: State) -> FloatArray:
    """(N,) cost of every person alone: reprojection, contact, stature, pose."""
    residual, depth = _reprojection(problem, state)[:2]
    squares = (residual**2).sum(axis=-1)
    seen = problem.weights * _FREEDOM * np.log1p(squares / _FREEDOM)
    behind = (depth <= _TINY) & (problem.weights > 0)
    contact, _ = _contact(problem, state)
    stature = _stature_term(problem, state)[0]
    pose = _pose_residual(problem, state)
    return np.asarray(
        np.where(behind, _BEHIND_COST, seen).sum(axis=1)
        + _FREEDOM * np.log1p(contact**2 / _FREEDOM)
        + stature
        + np.einsum("nq,nqr,nr->n", pose, problem.pose_information, pose)
    )


def total_cost(problem: Problem, state: State, costs: FloatArray) -> float:
    """Of everybody, the camera's prior and people within one another."""
    total = float(costs.sum()) + float(state.theta @ problem.shared.information @ state.theta)
    if problem.separate:
        total += overlap_cost(scene_overlaps(problem, state))
    return total


def own_overlap_costs(problem: Problem, state: State) -> FloatArray:
    """(N,) of everybody with all others; pairs count for both."""
    if not problem.separate:
        return np.zeros(len(state.people))
    found = scene_overlaps(problem, state)
    both = np.repeat(found.missing**2, 2)
    each = np.bincount(found.pairs.ravel(), both, minlength=len(state.people))
    return np.asarray(each, dtype=np.float64)


def scene_overlaps(problem: Problem, state: State) -> Overlaps:
    """Who stands within whom, in the tangents of the first plane."""
    axes, normal = problem.axes_of_first, problem.shared.normals[0]
    centre = torso_centres(problem, state)
    radii = RADIUS_OF_STATURE * problem.stature_m * np.exp(state.people[:, SCALE])
    return overlaps(centre @ axes.T, centre @ normal, radii, np.zeros(2))


def normal_equations(problem: Problem, state: State) -> Equations:
    """All blocks at a guess."""
    n, unknowns = state.people.shape
    size = problem.shared.size
    residual, _, weight, by_person, by_shared = _keypoint_rows(problem, state)
    contact, by_contact = _contact(problem, state)
    contact_weight = 1 / (1 + contact**2 / _FREEDOM)
    rows = np.concatenate(
        [by_person.reshape(n, 2 * N_KEYPOINTS, unknowns), by_contact[:, None]], axis=1
    )
    values = np.concatenate([residual.reshape(n, 2 * N_KEYPOINTS), contact[:, None]], axis=1)
    weights = np.concatenate([np.repeat(weight, 2, axis=1), contact_weight[:, None]], axis=1)
    border_rows = np.zeros((n, rows.shape[1], size))
    border_rows[:, :-1] = by_shared.reshape(n, 2 * N_KEYPOINTS, size)
    weighted = (rows * weights[..., None]).transpose(0, 2, 1)
    people, border = weighted @ rows, weighted @ border_rows
    gradient = (weighted @ values[..., None])[..., 0]
    flat = border_rows.reshape(-1, size)
    scaled = flat * weights.reshape(-1, 1)
    shared = scaled.T @ flat + problem.shared.information
    shared_gradient = scaled.T @ values.ravel() + problem.shared.information @ state.theta
    equations = Equations(people, border, shared, gradient, shared_gradient)
    _add_priors(problem, state, equations)
    if problem.separate:
        _add_overlaps(scene_overlaps(problem, state), problem, equations)
    return equations


def _reprojection(
    problem: Problem, state: State
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Residuals (N, 17, 2) in sigmas, depths (N, 17), turned points (N, 17, 3), tangents (N, 17, 2)."""
    scale = np.exp(state.people[:, SCALE])[:, None, None]
    centre = torso_centres(problem, state)
    points = (centre[:, None] + scale * state.points[:, :N_KEYPOINTS]) @ turn(
        problem.shared, state.theta
    ).T
    local = (problem.frames @ (points @ lens(state.theta).T)[..., None])[..., 0]
    depth = local[..., 2]
    tangent = local[..., :2] / np.maximum(depth, _TINY)[..., None]
    return tangent / problem.sigma_rad[..., None], depth, points, tangent


def _keypoint_rows(
    problem: Problem, state: State
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Residuals, depths, robust weights (N, 17), Jacobians (N, 17, 2, P) and (N, 17, 2, T)."""
    residual, depth, points, tangent = _reprojection(problem, state)
    squares = (residual**2).sum(axis=-1)
    weight = problem.weights / (1 + squares / _FREEDOM) * (depth > _TINY)
    scaled = (np.maximum(depth, _TINY) * problem.sigma_rad)[..., None, None]
    slope = problem.frames[..., :2, :] - tangent[..., None] * problem.frames[..., 2:, :]
    slope = slope / scaled  # (N, 17, 2, 3)
    by_shared = slope @ point_derivative(problem.shared, state.theta, points, problem.plane)
    slope = slope @ (lens(state.theta) @ turn(problem.shared, state.theta))
    scale = np.exp(state.people[:, SCALE])[:, None, None]
    body = scale * state.points[:, :N_KEYPOINTS]
    by_pose = slope @ (scale[..., None] * state.by_pose[:, :N_KEYPOINTS])
    by_person = np.concatenate(
        [
            slope @ problem.axes[:, None].transpose(0, 1, 3, 2),
            (slope @ problem.normals[:, None, :, None]),
            slope @ body[..., None],
            by_pose,
        ],
        axis=-1,
    )
    return residual, depth, weight, by_person, by_shared


def _contact(problem: Problem, state: State) -> tuple[FloatArray, FloatArray]:
    """(N,) height of the lowest point above the ground in sigmas, and its derivative (N, P)."""
    touch = state.points[:, N_KEYPOINTS:]
    heights = np.einsum("nkc,nc->nk", touch, problem.normals)
    lowest, load = soft_minimum(heights)
    scale = np.exp(state.people[:, SCALE])
    below = scale * (lowest - problem.ground_m)
    rows = np.zeros_like(state.people)
    rows[:, PLACE], rows[:, HEIGHT], rows[:, SCALE] = -problem.grade, 1.0, below
    rows[:, POSE:] = scale[:, None] * np.einsum(
        "nk,nc,nkcq->nq", load, problem.normals, state.by_pose[:, N_KEYPOINTS:], optimize=True
    )
    rise = problem.rise_m + np.sum(problem.grade * state.people[:, PLACE], axis=1)
    sigma = problem.contact_sd_m
    return (state.people[:, HEIGHT] - rise + below) / sigma, rows / sigma[:, None]


def _stature_term(problem: Problem, state: State) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(N,) cost, half its slope and its curvature, of the mixture of adults and children.

    The slope is exact; the curvature is that of expectation-maximisation, which is never less.
    """
    apart = state.people[:, SCALE] - problem.log_scale_mean - state.theta[-1]
    sd = np.array([problem.log_scale_sd, _CHILD_LOG_SD])
    away = apart[:, None] - [0.0, _CHILD_LOG_STATURE]
    log_part = np.log([1 - _CHILDREN, _CHILDREN]) - np.log(sd) - (away / sd) ** 2 / 2
    top = log_part.max(axis=1, keepdims=True)
    part = np.exp(log_part - top)
    total = part.sum(axis=1, keepdims=True)
    share = part / total
    cost = -2 * (top + np.log(total))[:, 0]
    return cost, (share * away / sd**2).sum(axis=1), (share / sd**2).sum(axis=1)


def _pose_residual(problem: Problem, state: State) -> FloatArray:
    """(N, Q) what the pose differs from the given one, the common tilt taken off."""
    pose = state.people[:, POSE:].copy()
    pose[:, :3] -= state.theta[problem.shared.tilt] @ problem.shared.turn_axes
    return pose


def _add_priors(problem: Problem, state: State, to: Equations) -> None:
    """Stature and pose, about means that everybody shares."""
    _, pull, sure = _stature_term(problem, state)
    to.people[:, SCALE, SCALE] += sure
    to.border[:, SCALE, -1] -= sure
    to.shared[-1, -1] += sure.sum()
    to.gradient[:, SCALE] += pull
    to.shared_gradient[-1] -= pull.sum()
    information, tilt = problem.pose_information, problem.shared.tilt
    axes = problem.shared.turn_axes
    by_tilt = information[:, :, :3] @ axes.T  # (N, Q, 2)
    force = (information @ _pose_residual(problem, state)[..., None])[..., 0]
    to.people[:, POSE:, POSE:] += information
    to.border[:, POSE:, tilt] -= by_tilt
    to.shared[tilt, tilt] += np.einsum("ac,ncb->ab", axes, by_tilt[:, :3])
    to.gradient[:, POSE:] += force
    to.shared_gradient[tilt] -= axes @ force[:, :3].sum(axis=0)


def _add_overlaps(found: Overlaps, problem: Problem, to: Equations) -> None:
    """Pairs couple people; (a + b)^2 <= 2 a^2 + 2 b^2 keeps the blocks apart and never overshoots.

    The separable surrogate of De Pierro (IEEE TMI 1995); camera and stature are left alone, because
    bodies within one another say nothing about them.
    """
    first = problem.axes_of_first
    for end, sign in ((0, 1.0), (1, -1.0)):
        row = found.pairs[:, end]
        push = sign * ((found.push @ first)[:, None] @ problem.axes[row].transpose(0, 2, 1))[:, 0]
        np.add.at(to.gradient[:, PLACE], row, push * found.missing[:, None])
        np.add.at(to.people[:, PLACE, PLACE], row, 2 * push[:, :, None] * push[:, None, :])
