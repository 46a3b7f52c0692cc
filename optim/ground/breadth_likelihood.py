"""How probable breadths are: Gaussians about a level line that turns with the body, over all directions."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from optim.ground.sticks import BoolArray
from optim.projection import FloatArray

_TURNS = 16  # directions that people may face
TURN = np.arange(_TURNS) * 2 * np.pi / _TURNS
_BETWEEN_RAD = (
    2 * np.pi / _TURNS / math.sqrt(12)
)  # spread of directions that each of these stands for
_JUNK_SHARE, _JUNK_SD = 0.05, 0.3  # of breadths that are no breadths; in lengths of the stick

# The unknowns of a crowd, with means and standard deviations of their priors. In lengths of the stick, from
# ankles to shoulders: breadths of shoulders, hips and feet, and the noise of each. Then the relative spread of
# breadths, the spreads of twists and slopes (radians), how much higher one foot is and the stride of the feet,
# fore and aft (lengths again). All these are logarithms. At last how many face the camera or turn their back
# (von Mises of twice the angle), and the logarithm of how steep level lines are drawn, which is close to 0.
BREADTH, NOISE = slice(0, 3), slice(3, 6)
_SPREAD, _FACING, _FLAT = 6, 11, 12
MEAN = np.array([
    *np.log([0.27, 0.17, 0.17, 0.025, 0.025, 0.025, 0.06, 0.1, 0.04, 0.02, 0.15]), 0.0, 0.0
])  # fmt: skip
SD = np.array([0.3, 0.4, 0.5, 0.7, 0.7, 0.7, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7, 0.02])
PRECISION = SD**-2.0
SHOULDERS = 0
_IS_TORSO, _IS_FEET = np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


class Axes(NamedTuple):
    """(N, 3, 2) each: where joints of a span move in the picture if they move by a stick's length across the
    line of sight, along it, and up; over the stick's length in the picture."""

    across: FloatArray
    along: FloatArray
    up: FloatArray

    def take(self, rows: npt.NDArray[np.int64]) -> Axes:
        return Axes(self.across[rows], self.along[rows], self.up[rows])


class Seen(NamedTuple):
    """Spans (N, 3, 2) over the stick's length, what pixels add to their variance (N, 1), which are known, and
    directions (N, 1, M) that each person may face, one of which is about that of the shoulders."""

    span: FloatArray
    pixel_var: FloatArray
    is_known: BoolArray
    turn: FloatArray

    def take(self, rows: npt.NDArray[np.int64]) -> Seen:
        return Seen(self.span[rows], self.pixel_var[rows], self.is_known[rows], self.turn[rows])


def likelihood(
    crowd: FloatArray, seen: Seen, axes: Axes, *, of_axes: bool = True
) -> tuple[FloatArray, FloatArray, Axes]:
    """Log density (N,) of everybody's spans, its derivatives (N, 13) by the crowd, and by the axes.

    Args:
        of_axes: whether derivatives by the axes, and by how level lines are drawn, are wanted; else 0.
    """
    breadth, noise = np.exp(crowd[BREADTH]), np.exp(crowd[NOISE])
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

    pulls = Axes(*(np.zeros_like(axis) for axis in axes))

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
        pulls = Axes(
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
