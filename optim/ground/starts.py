"""Where the search begins: focal lengths and pitches swept, roll and camera height in closed form.

For a given focal length and pitch the roll is the median lean of the sticks, and the logarithm of
the camera's height the median of what every stick alone says: both stand up to half the people
being wrong.
"""

from __future__ import annotations

import numpy as np

from optim.geometry import normal_from_pitch_roll, pitch_roll_from_normal
from optim.ground.inputs import spread_rows
from optim.ground.population import Population
from optim.ground.residuals import View, adult_sd, log_offsets
from optim.ground.solver import Problem, minimise, objective
from optim.projection import FloatArray

SWEEP_FOV_DEG = (9.0, 15.0, 22.0, 32.0, 45.0, 60.0, 78.0, 95.0, 112.0)
_SWEEP_PITCH_DEG = (
    -20.0,
    -12.0,
    -6.0,
    -2.0,
    2.0,
    6.0,
    11.0,
    17.0,
    24.0,
    32.0,
    42.0,
    53.0,
    64.0,
    75.0,
)
_STARTS = 4  # candidates that are refined
_FINALISTS = 2  # of them, that are refined with the true spreads of the population
_FEW_PEOPLE = 120  # used for it
_CAP = 3.0  # residuals beyond so many standard deviations count the same


def candidates(problem: Problem, width_px: float, count: int) -> tuple[list[View], int]:
    """The most promising views, best first, and how many were tried."""
    free, known = problem.prior.is_free, problem.prior.mean
    if free[0]:
        focals = 0.5 * width_px / np.tan(np.radians(SWEEP_FOV_DEG) / 2)
    else:
        focals = np.exp([known.log_focal])
    if free[1]:
        pitches = np.radians(_SWEEP_PITCH_DEG)
        roll = _typical_roll(problem)
    else:
        pitch, roll = pitch_roll_from_normal(known.normal)
        pitches = np.array([pitch])
    focal, pitch_rad = (a.ravel() for a in np.meshgrid(focals, pitches, indexing="ij"))
    rolls = np.full(len(focal), roll)
    if free[1] and problem.sticks.sees_angle:
        for _ in range(2):
            _, lean = _evaluate(problem, focal, pitch_rad, rolls)
            rolls = rolls + np.median(lean, axis=1)
    log_height, lean = _evaluate(problem, focal, pitch_rad, rolls)
    cost, log_offset = _score(problem, log_height, lean)
    order = _distinct_minima(cost.reshape(len(focals), len(pitches)))[:count]
    views = [View.of(focal[i], pitch_rad[i], rolls[i], np.exp(log_offset[i])) for i in order]
    return views, len(focal)


def best_start(
    problem: Problem, population: Population, width_px: float
) -> tuple[View | None, int]:
    """Refines the most promising candidates with some of the people; all of them choose.

    Returns:
        The view, None if no camera stands the people upright; and how many candidates there were.
    """
    few = problem.take(spread_rows(problem.sticks, _FEW_PEOPLE))
    views, tried = candidates(few, width_px, _STARTS)
    wide = population.widened(2.0)
    views = [minimise(few, view, wide, renewals=1, steps=8) for view in views]
    views = sorted(views, key=lambda view: objective(few, view, wide))[:_FINALISTS]
    views = [minimise(few, view, population, renewals=2, steps=8) for view in views]
    costs = [objective(problem, view, population) for view in views]
    if not views or not np.isfinite(min(costs)):
        return None, tried
    return views[int(np.argmin(costs))], tried


def _typical_roll(problem: Problem) -> float:
    """Direction of the median stick, by the circular mean: pictures may lie on their side."""
    if not problem.sticks.sees_angle:
        return 0.0
    upward = problem.sticks.top_px - problem.sticks.bottom_px
    mean = (upward / np.linalg.norm(upward, axis=1, keepdims=True)).mean(axis=0)
    return float(np.arctan2(mean[0], -mean[1]))


def _evaluate(
    problem: Problem, focal: FloatArray, pitch: FloatArray, roll: FloatArray
) -> tuple[FloatArray, FloatArray]:
    normals = np.stack([normal_from_pitch_roll(p, r) for p, r in zip(pitch, roll, strict=True)])
    return log_offsets(normals, focal, problem.sticks, problem.center_px, problem.stature_m)


def _score(
    problem: Problem, log_height: FloatArray, lean: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Truncated squares of both residuals, and the median log height, per candidate."""
    size_sd, lean_sd = adult_sd(problem.sticks)
    usable = np.isfinite(log_height)
    filled = np.where(usable, log_height, np.inf)
    enough = usable.sum(axis=1) * 2 >= len(problem.sticks)
    middle = np.median(filled, axis=1) if not usable.all() else np.median(log_height, axis=1)
    enough &= np.isfinite(middle)
    middle = np.where(enough, middle, 0.0)
    size = np.where(usable, (log_height - middle[:, None]) / size_sd, _CAP)
    cost = np.minimum(size**2, _CAP**2)
    if problem.sticks.sees_angle:
        cost = cost + np.where(usable, np.minimum((lean / lean_sd) ** 2, _CAP**2), _CAP**2)
    total = cost @ problem.weight
    if not problem.prior.is_free[3]:
        middle = np.full_like(middle, problem.prior.mean.log_offset)
    return np.where(enough, total, np.inf), middle


def _distinct_minima(cost: FloatArray) -> list[int]:
    """Flat indices of finite entries no neighbour undercuts, cheapest first."""
    padded = np.pad(cost, 1, constant_values=np.inf)
    around = np.stack(
        [padded[1 + i : padded.shape[0] - 1 + i, 1 + j : padded.shape[1] - 1 + j]
         for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    )  # fmt: skip
    is_minimum = np.isfinite(cost) & (cost <= around.min(axis=0))
    order = np.argsort(cost, axis=None, kind="stable")
    chosen = is_minimum.ravel()
    return [int(i) for i in order if chosen[i]]
