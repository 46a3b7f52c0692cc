"""Levenberg-Marquardt for a scene: people are eliminated in one batch, then what they share is solved.

The matrix has the shape of an arrow: a block a person, and a border of the shared unknowns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optim.projection import FloatArray
from optim.refine.terms import (
    PLACE,
    SCALE,
    Equations,
    Problem,
    State,
    normal_equations,
    own_overlap_costs,
    person_costs,
    state_at,
    total_cost,
)

BoolArray = npt.NDArray[np.bool_]

_ITERATIONS = 40
_STEP_LIMIT = 0.4  # of scale and angles, in one step; of the distance for places
_CONVERGED = 1e-4  # gain in cost per person
_CALM = 3  # so many small gains one after the other end the search
_LEAST_DAMPING, _MOST_DAMPING = 1e-6, 1e4  # steps that need more are not worth having
_RIDGE = 1e-9


@dataclass(frozen=True)
class Factor:
    """The factorised equations.

    Attributes:
        follow: (N, P, T) how people follow the shared unknowns: minus the people's inverse times border.
        alone: (N, P) the people's own step.
        place_covariance: (N, 2, 2) of places on the plane if all that is shared were known.
        schur: (F, F) information about the free shared unknowns, people eliminated; F of T are free.
        step: (T,) of the shared unknowns.
    """

    follow: FloatArray
    alone: FloatArray
    place_covariance: FloatArray
    schur: FloatArray
    step: FloatArray


@dataclass(frozen=True)
class Solution:
    """Where the search ended; `costs` are the total before every step that was taken, and the last."""

    state: State
    costs: list[float]


def factorise(problem: Problem, equations: Equations, damping: FloatArray) -> Factor:
    """Schur complement on people.

    Args:
        damping: (N,) Marquardt's, relative to the diagonals; what is shared takes the least of them.
    """
    blocks, free = equations.people.copy(), problem.shared.free
    n, unknowns = equations.gradient.shape
    index = np.arange(unknowns)
    blocks[:, index, index] *= 1 + damping[:, None]
    blocks[:, index, index] += _RIDGE
    places = np.broadcast_to(-np.eye(unknowns)[:, PLACE], (n, unknowns, 2))
    right = np.concatenate([equations.border, places, equations.gradient[..., None]], axis=-1)
    solved = -np.linalg.solve(blocks, right)
    size = problem.shared.size
    follow, alone = solved[..., :size], solved[..., -1]
    border = equations.border.reshape(-1, size)
    schur = equations.shared + border.T @ follow.reshape(-1, size)
    pull = equations.shared_gradient + border.T @ alone.ravel()
    schur = schur[np.ix_(free, free)]
    step = np.zeros(size)
    if len(free):
        scale = np.sqrt(np.diag(schur))
        even = schur / np.outer(scale, scale) + damping.min(initial=1.0) * np.eye(len(free))
        step[free] = -np.linalg.solve(even, pull[free] / scale) / scale
    return Factor(follow, alone, solved[:, PLACE, size : size + 2], schur, step)


def minimise(problem: Problem, start: State) -> Solution:
    """The scene of least cost near the start; no step that raises the cost is taken."""
    state = start
    history = [total_cost(problem, state, person_costs(problem, start))]
    damping, calm = np.full(len(start.people), 1e-3), 0
    for _ in range(_ITERATIONS):
        factor = factorise(problem, normal_equations(problem, state), damping)
        move = factor.alone + factor.follow @ factor.step
        step = move * _shortened(state, move)[:, None]
        trial = state_at(problem, state.theta + factor.step, state.people + step)
        trial, trial_costs, back = _better_of_both(problem, state, trial)
        cost = total_cost(problem, trial, trial_costs)
        gain = history[-1] - cost
        if gain > 0:
            state = trial
            history.append(cost)
            calm = calm + 1 if gain < _CONVERGED * len(damping) else 0
            damping = damping * np.where(back, 10.0, 0.2)
        else:
            damping = damping * 10
        if calm >= _CALM or damping.min(initial=np.inf) > _MOST_DAMPING:
            break
        damping = np.clip(damping, _LEAST_DAMPING, _MOST_DAMPING)
    return Solution(state, history)


def _shortened(state: State, move: FloatArray) -> FloatArray:
    """(N,) factors <= 1 that keep steps where the linearisation means something."""
    reach = np.maximum(np.linalg.norm(state.people[:, PLACE], axis=1), 2.0)
    far = np.linalg.norm(move[:, PLACE], axis=1) / reach
    turned = np.abs(move[:, SCALE:]).max(axis=1)
    return np.asarray(_STEP_LIMIT / np.maximum(np.maximum(far, turned), _STEP_LIMIT))


def _better_of_both(
    problem: Problem, state: State, trial: State
) -> tuple[State, FloatArray, BoolArray]:
    """The trial, in which those whom their own step does not suit stay where they were.

    Everybody is compared at the trial's camera: there, costs may rise for some so that they fall for all.

    Returns:
        that state, its costs (N,), and who stayed (N,).
    """
    trial_costs = person_costs(problem, trial)
    stay = State(trial.theta, state.people, state.points, state.by_pose)
    stay_costs = person_costs(problem, stay)
    with_others = trial_costs + own_overlap_costs(problem, trial)
    back = stay_costs + own_overlap_costs(problem, stay) < with_others
    if not back.any():
        return trial, trial_costs, back
    return _mixed(trial, state, back), np.where(back, stay_costs, trial_costs), back


def _mixed(trial: State, state: State, back: BoolArray) -> State:
    """The trial's camera and people, but some people of the state before."""

    def pick(new: FloatArray, old: FloatArray) -> FloatArray:
        return np.where(back.reshape(-1, *[1] * (new.ndim - 1)), old, new)

    return State(
        trial.theta,
        pick(trial.people, state.people),
        pick(trial.points, state.points),
        pick(trial.by_pose, state.by_pose),
    )
