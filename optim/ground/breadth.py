"""What the breadth of bodies tells of the camera: lines across shoulders, hips and feet are level.

People turn any way. Seen from above, a level line of a given length that turns about the vertical draws an
ellipse, whose height over its width is the sine of how steeply one looks down there. So breadths tell the angle
between lines of sight and the horizon, hence focal length and pitch, whatever the spreads of stature and lean
that limit what sticks tell. How broad people are, how much breadths, twists and slopes of shoulders vary, how
well joints are seen and whether people face the camera is not assumed: it is estimated from the picture's own
people, over everybody's unknown direction, with broad priors (empirical Bayes). What that leaves unsure is
taken off the evidence (Schur complement of the joint information).

Only for keypoints that are where the joints are. The embedded network draws these lines more level than they
are: in four renders of 39 to 53 people their slopes are 0.2, 0.2, 0.3 and 0.7 of what they should be; those of
the true joints of the same people are 0.9 to 1.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optim import anthropometry as body
from optim.ground.breadth_likelihood import (
    BREADTH,
    MEAN,
    NOISE,
    PRECISION,
    SHOULDERS,
    TURN,
    Axes,
    Seen,
    likelihood,
)
from optim.ground.evidence import Term
from optim.ground.inputs import spread_rows
from optim.ground.residuals import View
from optim.ground.solver import Problem
from optim.ground.sticks import SPAN_LEVELS, Levels
from optim.projection import FloatArray

# So many people say well enough what crowds are like; all of them say where the camera is.
_MANY = 200
_STEPS, _MAX_STEP, _TOLERANCE = 14, 0.7, 5e-3  # of the search for the crowd
# Shoulders over their noise: joints that were put on the body's axis tell nothing.
_LEAST_APART = 2.0
# Of shoulders: the directions are too coarse for joints that are drawn more exactly.
_LEAST_NOISE = 0.008
_SPANS_EACH = 3  # breadths of a person
_STEP = 1e-5


@dataclass(frozen=True)
class BreadthEvidence:
    """The log likelihood of breadths to second order about the view that it was computed at.

    Attributes:
        cost_there, gradient, hessian: nats, (4,) and (4, 4), at that view.
        crowd: (13,) what people were found to be like.
    """

    view: View
    cost_there: float
    gradient: FloatArray
    hessian: FloatArray
    crowd: FloatArray

    def cost(self, view: View) -> float:
        """Nats."""
        return self.expand(view)[0]

    def expand(self, view: View) -> Term:
        """Cost, gradient (4,) and Hessian (4, 4)."""
        step = view.minus(self.view)
        pull = self.hessian @ step
        cost = self.cost_there + float(self.gradient @ step + 0.5 * step @ pull)
        return cost, self.gradient + pull, self.hessian


def breadth_evidence(
    problem: Problem,
    view: View,
    levels: Levels,
    weight: FloatArray,
    lean_sd_rad: float,
    crowd: FloatArray | None = None,
) -> BreadthEvidence | None:
    """What breadths say of cameras near a view; None where nothing broad is seen.

    Args:
        levels: of the people of `problem`, with their spans.
        weight: (N,) of each person, less where it is doubtful whether they stand upright.
        lean_sd_rad: of people.
        crowd: what was found at another view, to start with.
    """
    scale = _scale(problem, view, levels)
    axes = _axes(problem, view, levels, scale)
    seen = _seen(levels, problem, axes)
    weight = weight * _trust(axes, lean_sd_rad)
    some = spread_rows(problem.sticks, _MANY)
    crowd = _crowd(
        MEAN if crowd is None else crowd,
        seen.take(some),
        axes.take(some),
        weight[some] * (len(weight) / len(some)),
    )
    breadth, noise = np.exp(crowd[BREADTH]), np.exp(crowd[NOISE])
    least, most = _LEAST_NOISE, breadth[SHOULDERS] / _LEAST_APART
    if not least < noise[SHOULDERS] < most:
        return None
    log_density, by_crowd, pulls = likelihood(crowd, seen, axes)
    scores = np.concatenate([np.zeros((len(weight), 4)), by_crowd], axis=1)
    for k in range(3):
        step = np.eye(4)[k] * _STEP
        ahead, behind = (_axes(problem, view.moved(s), levels, scale) for s in (step, -step))
        for pull, there, here in zip(pulls, ahead, behind, strict=True):
            scores[:, k] += np.sum(pull * (there - here), axis=(1, 2)) / (2 * _STEP)
    slope = weight @ scores
    slope[4:] -= PRECISION * (crowd - MEAN)
    # Information as the people show it themselves, less what the crowd's unknowns take.
    information = (scores * weight[:, None]).T @ scores
    information[4:, 4:] += np.diag(PRECISION)
    share = np.linalg.solve(information[4:, 4:], information[4:, :4]).T
    hessian = information[:4, :4] - share @ information[4:, :4]
    cost = -float(weight @ log_density) + _prior_cost(crowd)
    gradient = share @ slope[4:] - slope[:4]
    return BreadthEvidence(view, cost, gradient, (hessian + hessian.T) / 2, crowd)


def _seen(levels: Levels, problem: Problem, axes: Axes) -> Seen:
    length = problem.sticks.length_px
    is_known = np.asarray(np.isfinite(levels.spans_px).all(axis=2))
    span = np.where(is_known[..., None], levels.spans_px, 0.0) / length[:, None, None]
    # Shoulders tell the direction roughly; where all is exact, one of the directions is then exact too.
    (a_u, a_v), (b_u, b_v), (u, v) = (x[:, SHOULDERS].T for x in (axes.across, axes.along, span))
    side = np.sign(a_u * b_v - a_v * b_u)
    turn = np.arctan2(side * (a_u * v - a_v * u), side * (u * b_v - v * b_u))
    pixel_var = 2 * (body.PIXEL_NOISE_PX / length[:, None]) ** 2
    return Seen(span, pixel_var, is_known, turn[:, None, None] + TURN)


def _trust(axes: Axes, lean_sd_rad: float) -> FloatArray:
    """(N,) what all spans of a person are worth together, over what they are worth if each errs for itself.

    Leaning changes the length that they are measured by, the more the more steeply the person is seen.
    """
    sine = np.linalg.norm(axes.along[:, 0], axis=1) / np.linalg.norm(axes.across[:, 0], axis=1)
    of_length = lean_sd_rad**2 * sine**2 / np.maximum(1 - sine**2, 1e-3)
    of_span = np.exp(2 * (MEAN[NOISE] - MEAN[BREADTH]))[SHOULDERS]
    return np.asarray(1 / (1 + _SPANS_EACH * of_length / of_span))


def _scale(problem: Problem, view: View, levels: Levels) -> FloatArray:
    """(N, 3) lengths in the picture of a stick across the line of sight, at the depth of each span, over the
    stick's length as it is seen.

    It is that of one view, and no reason to prefer another: what a lean does to a stick's length is a matter of
    the sticks, which know it already.
    """
    growth = problem.predict(view).depth_growth[:, None]
    low = (problem.sticks.bottom_px - problem.center_px) / math.exp(view.log_focal)
    # The stick is seen at the depth of its top, a span at its own.
    foreshortened = np.linalg.norm(view.normal[:2] - low * view.normal[2], axis=1)[:, None]
    nearer = (1 + growth) / np.maximum(1 + growth * levels.height[:, SPAN_LEVELS], 0.05)
    return np.asarray(nearer / np.maximum(foreshortened, 1e-3))


def _axes(problem: Problem, view: View, levels: Levels, scale: FloatArray) -> Axes:
    normal = view.normal
    place = (levels.points_px[:, SPAN_LEVELS] - problem.center_px) / math.exp(view.log_focal)
    ray = np.concatenate([place, np.ones_like(place[..., :1])], axis=2)
    across = np.cross(ray, normal)
    across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-9)

    def seen(axis: FloatArray) -> FloatArray:
        return np.asarray((axis[..., :2] - place * axis[..., 2:]) * scale[..., None])

    return Axes(seen(across), seen(np.cross(normal, across)), seen(normal))


def _crowd(crowd: FloatArray, seen: Seen, axes: Axes, weight: FloatArray) -> FloatArray:
    """(13,) the most probable crowd, by damped Fisher scoring."""

    def score(crowd: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        log_density, scores, _ = likelihood(crowd, seen, axes, of_axes=False)
        cost = -float(weight @ log_density) + _prior_cost(crowd)
        slope = weight @ scores - PRECISION * (crowd - MEAN)
        return cost, slope, (scores * weight[:, None]).T @ scores + np.diag(PRECISION)

    damping = 1e-2
    cost, slope, information = score(crowd)
    for _ in range(_STEPS):
        damped = information + np.diag(damping * np.diag(information))
        trial = crowd + np.clip(np.linalg.solve(damped, slope), -_MAX_STEP, _MAX_STEP)
        result = score(trial)
        if result[0] >= cost:
            damping *= 10.0
            continue
        gain, crowd, damping = cost - result[0], trial, damping * 0.3
        cost, slope, information = result
        if gain < _TOLERANCE:
            break
    return crowd


def _prior_cost(crowd: FloatArray) -> float:
    return 0.5 * float(PRECISION @ (crowd - MEAN) ** 2)
