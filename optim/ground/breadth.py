"""What the breadth of bodies tells of the camera: lines across shoulders, hips and feet are level.

People turn any way. Seen from above, a level line of a given length that turns about the vertical draws an
ellipse, whose height over its width is the sine of how steeply one looks down there. So breadths tell the angle
between lines of sight and the horizon, hence focal length and pitch, whatever the spreads of stature and lean
that limit what sticks tell. How broad people are, how much breadths, twists and slopes of shoulders vary, how
well joints are seen and whether people face the camera is not assumed: it is estimated from the picture's own
people, over everybody's unknown direction, with broad priors (empirical Bayes). What that leaves unsure is
taken off the evidence (Schur complement of the joint information).

Only for keypoints that are where the joints are. Networks draw shoulders more level than they are: in two
renders (53 and 39 people) by factors of 0.2 and 0.7, where the true joints give 0.99 +- 0.11 and 1.0 +- 0.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optim import anthropometry as body
from optim.ground.evidence import Term
from optim.ground.inputs import spread_rows
from optim.ground.residuals import View
from optim.ground.solver import Problem
from optim.ground.sticks import SPAN_LEVELS, BoolArray, Levels
from optim.projection import FloatArray

_TURNS = 16  # directions that people may face
_TURN = np.arange(_TURNS) * 2 * np.pi / _TURNS
_BETWEEN_RAD = (
    2 * np.pi / _TURNS / math.sqrt(12)
)  # spread of directions that one of these stands for
_JUNK_SHARE, _JUNK_SD = 0.05, 0.3  # of breadths that are no breadths; in lengths of the stick
_MANY = (
    200  # so many people say well enough what crowds are like; all of them say where the camera is
)
_STEPS, _MAX_STEP, _TOLERANCE = 14, 0.7, 5e-3
_LEAST_APART = (
    2.0  # shoulders over their noise; joints that were put on the body's axis tell nothing
)
_LEAST_NOISE = (
    0.005  # of shoulders; the directions are too coarse for joints that are drawn more exactly
)
_STEP = 1e-5

# The unknowns of a crowd, with means and standard deviations of their priors. In lengths of the stick, from
# ankles to shoulders: breadths of shoulders, hips and feet, the noise of each, how much higher one foot is, and
# the stride of the feet, fore and aft. Then the relative spread of breadths, and those of twists and slopes
# (radians). All these are logarithms. At last how many face the camera or turn their back (von Mises of twice the
# angle), and the logarithm of how steep level lines are drawn, which is close to 0.
_BREADTH, _NOISE = slice(0, 3), slice(3, 6)
_SPREAD, _TWIST, _SLOPE, _LIFT, _STRIDE, _FACING, _FLAT = range(6, 13)
_MEAN = np.array([
    *np.log([0.27, 0.17, 0.17]), *np.log([0.025, 0.025, 0.025]), *np.log([0.06, 0.1, 0.04, 0.02, 0.15]), 0.0, 0.0
])  # fmt: skip
_SD = np.array([0.3, 0.4, 0.5, 0.7, 0.7, 0.7, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7, 0.02])
_PRECISION = _SD**-2.0
_SHOULDERS, _SPANS_EACH = 0, 3
_IS_TORSO, _IS_FEET = np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class BreadthEvidence:
    """The log likelihood of breadths to second order about the view that it was computed at."""

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


class _Axes(NamedTuple):
    """(N, 3, 2) each: where joints of a span move in the picture if they move by a stick's length across the
    line of sight, along it, and up; over the stick's length in the picture."""

    across: FloatArray
    along: FloatArray
    up: FloatArray


class _Seen(NamedTuple):
    """Spans (N, 3, 2) over the stick's length, what pixels add to their variance (N, 1), which are known, and
    directions (N, 1, M) that each person may face, one of which is about that of the shoulders."""

    span: FloatArray
    pixel_var: FloatArray
    is_known: BoolArray
    turn: FloatArray


def breadth_evidence(
    problem: Problem,
    view: View,
    levels: Levels,
    weight: FloatArray,
    lean_sd: float,
    crowd: FloatArray | None = None,
) -> BreadthEvidence | None:
    """What breadths say of cameras near a view; None where nothing broad is seen.

    Args:
        levels: of the people of `problem`, with their spans.
        weight: (N,) of each person, less where it is doubtful whether they stand upright.
        lean_sd: of people, radians.
        crowd: what was found at another view, to start with.
    """
    scale = _scale(problem, view, levels)
    axes = _axes(problem, view, levels, scale)
    seen = _seen(levels, problem, axes)
    weight = weight * _trust(axes, lean_sd)
    some = spread_rows(problem.sticks, _MANY)
    crowd = _crowd(
        _MEAN if crowd is None else crowd,
        _Seen(*(part[some] for part in seen)),
        _Axes(*(part[some] for part in axes)),
        weight[some] * (len(weight) / len(some)),
    )
    breadth, noise = np.exp(crowd[_BREADTH]), np.exp(crowd[_NOISE])
    least, most = _LEAST_NOISE, breadth[_SHOULDERS] / _LEAST_APART
    if not least < noise[_SHOULDERS] < most:
        return None
    log_density, by_crowd, pulls = _likelihood(crowd, seen, axes)
    scores = np.concatenate([np.zeros((len(weight), 4)), by_crowd], axis=1)
    for k in range(3):
        step = np.eye(4)[k] * _STEP
        ahead, behind = (_axes(problem, view.moved(s), levels, scale) for s in (step, -step))
        for pull, there, here in zip(pulls, ahead, behind, strict=True):
            scores[:, k] += np.sum(pull * (there - here), axis=(1, 2)) / (2 * _STEP)
    slope = weight @ scores
    slope[4:] -= _PRECISION * (crowd - _MEAN)
    # Information as the people show it themselves, less what the crowd's unknowns take.
    information = (scores * weight[:, None]).T @ scores
    information[4:, 4:] += np.diag(_PRECISION)
    share = np.linalg.solve(information[4:, 4:], information[4:, :4]).T
    hessian = information[:4, :4] - share @ information[4:, :4]
    cost = -float(weight @ log_density) + _prior_cost(crowd)
    gradient = share @ slope[4:] - slope[:4]
    return BreadthEvidence(view, cost, gradient, (hessian + hessian.T) / 2, crowd)


def _seen(levels: Levels, problem: Problem, axes: _Axes) -> _Seen:
    length = problem.sticks.length_px
    is_known = np.isfinite(levels.spans_px).all(axis=2)
    span = np.where(is_known[..., None], levels.spans_px, 0.0) / length[:, None, None]
    # Shoulders tell the direction roughly; where all is exact, one of the directions is then exact too.
    (a_u, a_v), (b_u, b_v), (u, v) = (x[:, _SHOULDERS].T for x in (axes.across, axes.along, span))
    turn = np.arctan2(a_u * v - a_v * u, u * b_v - v * b_u)
    turn = turn * np.sign(a_u * b_v - a_v * b_u)
    pixel_var = 2 * (body.PIXEL_NOISE_PX / length[:, None]) ** 2
    return _Seen(span, pixel_var, is_known, turn[:, None, None] + _TURN)


def _trust(axes: _Axes, lean_sd: float) -> FloatArray:
    """(N,) what all spans of a person are worth together, over what they are worth if each errs for itself.

    Leaning changes the length that they are measured by, the more the more steeply the person is seen.
    """
    sine = np.linalg.norm(axes.along[:, 0], axis=1) / np.linalg.norm(axes.across[:, 0], axis=1)
    of_length = lean_sd**2 * sine**2 / np.maximum(1 - sine**2, 1e-3)
    of_span = np.exp(2 * (_MEAN[_NOISE] - _MEAN[_BREADTH]))[_SHOULDERS]
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


def _axes(problem: Problem, view: View, levels: Levels, scale: FloatArray) -> _Axes:
    normal = view.normal
    place = (levels.points_px[:, SPAN_LEVELS] - problem.center_px) / math.exp(view.log_focal)
    ray = np.concatenate([place, np.ones_like(place[..., :1])], axis=2)
    across = np.cross(ray, normal)
    across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-9)

    def seen(axis: FloatArray) -> FloatArray:
        return np.asarray((axis[..., :2] - place * axis[..., 2:]) * scale[..., None])

    return _Axes(seen(across), seen(np.cross(normal, across)), seen(normal))


def _crowd(crowd: FloatArray, seen: _Seen, axes: _Axes, weight: FloatArray) -> FloatArray:
    """(13,) the most probable crowd, by damped Fisher scoring."""

    def score(crowd: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        log_density, scores, _ = _likelihood(crowd, seen, axes, of_axes=False)
        cost = -float(weight @ log_density) + _prior_cost(crowd)
        slope = weight @ scores - _PRECISION * (crowd - _MEAN)
        return cost, slope, (scores * weight[:, None]).T @ scores + np.diag(_PRECISION)

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
    return 0.5 * float(_PRECISION @ (crowd - _MEAN) ** 2)


def _likelihood(
    crowd: FloatArray, seen: _Seen, axes: _Axes, *, of_axes: bool = True
) -> tuple[FloatArray, FloatArray, _Axes]:
    """Log density (N,) of everybody's spans, its derivatives (N, 13) by the crowd, and by the axes.

    Args:
        of_axes: whether derivatives by the axes, and by how level lines are drawn, are wanted; else 0.
    """
    breadth, noise = np.exp(crowd[_BREADTH]), np.exp(crowd[_NOISE])
    spread, twist, slope, lift, stride = np.exp(crowd[_SPREAD:_FACING])
    flat = math.exp(crowd[_FLAT])
    var_side = (spread * breadth) ** 2
    var_twist = (twist**2 + _BETWEEN_RAD**2) * breadth**2
    var_stride = _IS_FEET * stride**2
    var_slope = _IS_TORSO * (slope * breadth) ** 2
    var_lift = _IS_FEET * lift**2
    var_fore, var_up = var_twist + var_stride, var_slope + var_lift
    var_noise = noise**2

    # (N, 3, M): the third axis is that of directions.
    cos, sin, cos_2 = np.cos(seen.turn), np.sin(seen.turn), np.cos(2 * seen.turn[:, 0])
    a_u, a_v = axes.across[..., 0, None], axes.across[..., 1, None]
    b_u, b_v = flat * axes.along[..., 0, None], flat * axes.along[..., 1, None]
    n_u, n_v = axes.up[..., 0, None], axes.up[..., 1, None]
    side_u, side_v = cos * a_u + sin * b_u, cos * a_v + sin * b_v
    fore_u, fore_v = cos * b_u - sin * a_u, cos * b_v - sin * a_v
    of_side, of_fore, of_up = var_side[:, None], var_fore[:, None], var_up[:, None]
    fixed = (var_noise + seen.pixel_var)[..., None]
    c_uu = fixed + of_side * side_u**2 + of_fore * fore_u**2 + of_up * n_u**2
    c_vv = fixed + of_side * side_v**2 + of_fore * fore_v**2 + of_up * n_v**2
    c_uv = of_side * side_u * side_v + of_fore * fore_u * fore_v + of_up * n_u * n_v
    det = c_uu * c_vv - c_uv**2
    i_uu, i_vv, i_uv = c_vv / det, c_uu / det, -c_uv / det
    apart_u = seen.span[..., 0, None] - breadth[:, None] * side_u
    apart_v = seen.span[..., 1, None] - breadth[:, None] * side_v
    y_u, y_v = i_uu * apart_u + i_uv * apart_v, i_uv * apart_u + i_vv * apart_v
    each = -0.5 * (apart_u * y_u + apart_v * y_v + np.log(det))

    known = seen.is_known[..., None]
    turn = crowd[_FACING] * cos_2
    turn_prior = np.exp(turn) / np.exp(turn).sum(axis=1, keepdims=True)
    exponent = np.where(known, each, 0.0).sum(axis=1) + np.log(turn_prior)
    junk = seen.is_known * (
        -math.log(_JUNK_SD**2) - 0.5 * np.sum(seen.span**2, axis=2) / _JUNK_SD**2
    )
    log_junk = junk.sum(axis=1) + math.log(_JUNK_SHARE)
    exponent += math.log(1 - _JUNK_SHARE)
    highest = np.maximum(exponent.max(axis=1), log_junk)
    parts = np.exp(exponent - highest[:, None])
    total = parts.sum(axis=1) + np.exp(log_junk - highest)
    share = (parts / total[:, None])[:, None] * known  # (N, 3, M)

    def expected(values: FloatArray) -> FloatArray:
        return np.asarray(np.sum(share * values, axis=2))

    def by_variance(u: FloatArray, v: FloatArray) -> FloatArray:
        """(N, 3) derivative by the variance along an axis."""
        pulled = (y_u * u + y_v * v) ** 2 - (i_uu * u**2 + 2 * i_uv * u * v + i_vv * v**2)
        return 0.5 * expected(pulled)

    by_side, by_fore, by_up = (
        by_variance(side_u, side_v),
        by_variance(fore_u, fore_v),
        by_variance(n_u, n_v),
    )
    by_noise = 0.5 * expected(y_u**2 + y_v**2 - i_uu - i_vv)
    pull = breadth * expected(y_u * side_u + y_v * side_v)
    by_breadth = pull + 2 * (var_side * by_side + var_twist * by_fore + var_slope * by_up)

    pulls = _Axes(*(np.zeros_like(axis) for axis in axes))

    def by_axis(factor: FloatArray, y: FloatArray, u: FloatArray, v: FloatArray, of: FloatArray,
                i_u: FloatArray, i_v: FloatArray) -> FloatArray:  # fmt: skip
        """(N, 3, M) derivative by a component of an axis with variance `of` and, for the mean, `factor`."""
        return np.asarray(factor * y + of * ((y_u * u + y_v * v) * y - (i_u * u + i_v * v)))

    if of_axes:
        zero = np.zeros(1)
        s_u = by_axis(breadth[:, None], y_u, side_u, side_v, of_side, i_uu, i_uv)
        s_v = by_axis(breadth[:, None], y_v, side_u, side_v, of_side, i_uv, i_vv)
        f_u = by_axis(zero, y_u, fore_u, fore_v, of_fore, i_uu, i_uv)
        f_v = by_axis(zero, y_v, fore_u, fore_v, of_fore, i_uv, i_vv)
        pulls = _Axes(
            np.stack([expected(cos * s_u - sin * f_u), expected(cos * s_v - sin * f_v)], axis=2),
            flat * np.stack([expected(sin * s_u + cos * f_u), expected(sin * s_v + cos * f_v)], axis=2),
            np.stack([expected(by_axis(zero, y_u, n_u, n_v, of_up, i_uu, i_uv)),
                      expected(by_axis(zero, y_v, n_u, n_v, of_up, i_uv, i_vv))], axis=2),
        )  # fmt: skip
    apart = cos_2 - np.sum(turn_prior * cos_2, axis=1, keepdims=True)
    facing = np.sum(parts / total[:, None] * apart, axis=1)
    scores = np.concatenate(
        [
            by_breadth,
            2 * var_noise * by_noise,
            2 * np.stack([
                by_side @ var_side,
                by_fore @ (twist * breadth) ** 2,
                by_up @ var_slope,
                by_up @ var_lift,
                by_fore @ var_stride,
            ], axis=1),
            facing[:, None],
            np.sum(pulls.along * axes.along, axis=(1, 2))[:, None],
        ],
        axis=1,
    )  # fmt: skip
    return highest + np.log(total), scores, pulls
