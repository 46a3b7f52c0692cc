"""How real lenses bend a perspective picture, and back, in focal lengths from the principal point.

Radial, tangential and thin-prism terms on the tangents x / z, y / z (Brown 1966; OpenCV's calib3d documentation
has the formulas), coefficients in OpenCV's order: k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4; those left
out at the end are 0. Fisheyes have a module of their own, `optim.fisheye`.

A polynomial that was fitted to part of a picture may fold back outside it. From the radius where it is nearly
flat on, it is continued as a straight line. So both directions are defined everywhere, and inverse to each
other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

COUNTS = (2, 4, 5, 8, 12)  # of coefficients
NONE = (0.0, 0.0)  # a lens that does not bend

MIN_DEPTH = 1e-9  # points nearer the principal plane than this have no pixel
_MIN_SLOPE = 0.1  # of the seen radius over the true one, from which on the model is a straight line
_BEFORE_POLE = 0.999  # of the radius where the rational form is infinite
_RADIUS_STEPS, _SHIFT_STEPS = 100, 60  # at most; a handful is enough for any real lens
_EXACT = 1e-15  # of a radius
_STILL = 1e-13  # of a tangent: far below a thousandth of a pixel in any picture
_TINY = 1e-12
# By which power of the focal length a coefficient grows with it, see `for_focal`.
_POWERS = (2, 4, 1, 1, 6, 2, 4, 6, 1, 3, 1, 3)


def for_focal(coefficients: tuple[float, ...], ratio: float) -> tuple[float, ...]:
    """Coefficients that bend the same pixels alike after the focal length grew by `ratio`."""
    return tuple(c * ratio**power for c, power in zip(coefficients, _POWERS, strict=False))


def to_picture(points: FloatArray, coefficients: tuple[float, ...]) -> FloatArray:
    """Where points of the camera frame are seen.

    Args:
        points: (..., 3), any unit of length.

    Returns:
        (..., 2) focal lengths from the principal point; NaN for points that are not in front of the camera.
    """
    depth = np.where(points[..., 2:] > MIN_DEPTH, points[..., 2:], np.nan)
    tangents = points[..., :2] / depth
    if not any(coefficients):
        return np.asarray(tangents)
    curve = _curve(coefficients)
    radius = np.linalg.norm(tangents, axis=-1, keepdims=True)
    seen = tangents * (curve.seen(radius) / np.maximum(radius, _TINY))
    return np.asarray(seen + _shift(tangents, radius, curve.limit, coefficients))


def to_rays(seen: FloatArray, coefficients: tuple[float, ...]) -> FloatArray:
    """Unit directions (..., 3) in the camera frame, the inverse of `to_picture`.

    Args:
        seen: (..., 2) focal lengths from the principal point.
    """
    tangents = _tangents(seen, coefficients) if any(coefficients) else seen
    rays = np.concatenate([tangents, np.ones_like(tangents[..., :1])], axis=-1)
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def angle_of(radius: float, coefficients: tuple[float, ...]) -> float:
    """Angle in radians from the axis of what is seen at a radius in focal lengths, without tangential terms."""
    return math.atan(float(_curve(coefficients).true(np.array(radius))))


def reach(coefficients: tuple[float, ...]) -> float:
    """Radius in the picture, in focal lengths, up to which the model itself holds; infinite for most lenses."""
    return _curve(coefficients).seen_limit


def _tangents(seen: FloatArray, coefficients: tuple[float, ...]) -> FloatArray:
    """(..., 2) x / z and y / z of what the lens shows at (..., 2).

    Without the tangential terms it is one radius for each point. They are small: what they shift is taken
    away, and found again from the result, until nothing moves.
    """
    curve = _curve(coefficients)

    def straightened(bent: FloatArray) -> FloatArray:
        radius = np.linalg.norm(bent, axis=-1, keepdims=True)
        return np.asarray(bent * (curve.true(radius) / np.maximum(radius, _TINY)))

    tangents = straightened(seen)
    for _ in range(_SHIFT_STEPS if any(_shift_terms(coefficients)) else 0):
        radius = np.linalg.norm(tangents, axis=-1, keepdims=True)
        moved = straightened(seen - _shift(tangents, radius, curve.limit, coefficients))
        change = np.abs(moved - tangents).max(initial=0.0)
        tangents = moved
        if change < _STILL:
            break
    return tangents


def _shift_terms(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    return coefficients[2:4] + coefficients[8:]


def _shift(
    tangents: FloatArray, radius: FloatArray, limit: float, coefficients: tuple[float, ...]
) -> FloatArray | float:
    """(..., 2) what the tangential and thin-prism terms add; beyond the limit as much as at it."""
    if not any(_shift_terms(coefficients)):
        return 0.0
    _, _, p1, p2, _, _, _, _, s1, s2, s3, s4 = (*coefficients, *[0.0] * (12 - len(coefficients)))
    inside = tangents * np.minimum(1.0, limit / np.maximum(radius, _TINY))
    x, y = inside[..., 0], inside[..., 1]
    r2 = x**2 + y**2
    return np.stack(
        [
            2 * p1 * x * y + p2 * (r2 + 2 * x**2) + r2 * (s1 + s2 * r2),
            2 * p2 * x * y + p1 * (r2 + 2 * y**2) + r2 * (s3 + s4 * r2),
        ],
        axis=-1,
    )


@dataclass(frozen=True)
class Curve:
    """The seen radius as a function of the true one, r N(r^2) / D(r^2), growing without end.

    Attributes:
        over, under: coefficients of N and D by rising powers of r^2, the first being 1.
        limit: true radius from which on it is a straight line of slope `_MIN_SLOPE`; may be infinite.
        seen_limit: the seen radius where it is nearly flat; infinite if it nowhere is.
    """

    over: tuple[float, ...]
    under: tuple[float, ...]
    limit: float = math.inf
    seen_limit: float = math.inf

    def seen(self, radius: FloatArray) -> FloatArray:
        """Seen radii of true ones, both at least 0."""
        return self._with_slope(radius)[0]

    def true(self, seen: FloatArray) -> FloatArray:
        """True radii of seen ones: Newton's method, by halves where it would leave the bracket of the root."""
        low, high = np.zeros_like(seen), seen / _MIN_SLOPE  # no slope is less
        radius = np.array(seen)
        for _ in range(_RADIUS_STEPS):
            value, slope = self._with_slope(radius)
            low, high = np.where(value < seen, radius, low), np.where(value > seen, radius, high)
            step = radius - (value - seen) / slope
            moved = np.where((step >= low) & (step <= high), step, (low + high) / 2)
            change = np.abs(moved - radius)
            radius = moved
            if np.all(change <= _EXACT * (1.0 + radius)):
                break
        return np.asarray(radius)

    def _with_slope(self, radius: FloatArray) -> tuple[FloatArray, FloatArray]:
        inside = np.minimum(radius, self.limit)
        square = inside**2
        over, under = _value(self.over, square), _value(self.under, square)
        slope = over / under
        slope = (
            slope
            + 2
            * square
            * (_value(_slope(self.over), square) - slope * _value(_slope(self.under), square))
            / under
        )
        beyond = radius - inside
        slope = np.where(beyond > 0, _MIN_SLOPE, np.maximum(slope, _MIN_SLOPE))
        return np.asarray(inside * over / under + _MIN_SLOPE * beyond), np.asarray(slope)


def curve_of(over: tuple[float, ...], under: tuple[float, ...], end: float = math.inf) -> Curve:
    """A curve of these coefficients that grows everywhere.

    Args:
        over, under: as of `Curve`. end: largest true radius for which they are meant.
    """
    curve = Curve(over, under)
    flat = _first_flat(curve)
    if flat < end:
        return replace(curve, limit=flat, seen_limit=float(curve.seen(np.array(flat))))
    return replace(curve, limit=end)


@lru_cache(maxsize=256)
def _curve(coefficients: tuple[float, ...]) -> Curve:
    k1, k2, _, _, k3, k4, k5, k6 = (*coefficients, *[0.0] * 8)[:8]
    return curve_of((1.0, k1, k2, k3), (1.0, k4, k5, k6))


def _first_flat(curve: Curve) -> float:
    """The radius where the slope falls to `_MIN_SLOPE`, or shortly before it is infinite."""
    over, under = np.array(curve.over), np.array(curve.under)
    mul = np.polynomial.polynomial.polymul
    add, sub = np.polynomial.polynomial.polyadd, np.polynomial.polynomial.polysub
    turn: FloatArray = sub(mul(_slope(curve.over), under), mul(over, _slope(curve.under)))
    excess = sub(add(mul(over, under), mul([0.0, 2.0], turn)), _MIN_SLOPE * mul(under, under))
    flat, pole = _first_root(excess), _first_root(under)
    return math.sqrt(min(flat, pole * _BEFORE_POLE**2))


def _first_root(polynomial: FloatArray) -> float:
    """Least positive real root of coefficients by rising powers; infinite if there is none."""
    largest = np.abs(polynomial).max(initial=0.0)
    known = np.flatnonzero(np.abs(polynomial) > _EXACT * largest)
    if not len(known):
        return math.inf
    roots = np.roots(polynomial[: known[-1] + 1][::-1])
    real = roots.real[(np.abs(roots.imag) < 1e-9 * np.abs(roots)) & (roots.real > 0)]
    return float(real.min(initial=math.inf))


def _value(polynomial: tuple[float, ...], x: FloatArray) -> FloatArray:
    total = np.zeros_like(x)
    for coefficient in reversed(polynomial):
        total = total * x + coefficient
    return total


def _slope(polynomial: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(k * c for k, c in enumerate(polynomial))[1:] or (0.0,)
