"""The cost of placing people: residuals, Jacobian and normal equations for all of them at once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from .projection import FloatArray

_HUBER = 2.0  # residuals beyond so many standard deviations lose weight
_BEHIND_COST = 1e6
_TINY = 1e-9


@dataclass(frozen=True)
class Observations:
    """What the solver needs of every person, in each keypoint's own frame (two tangents, ray)."""

    origin: FloatArray  # (N, 17, 3) the plane's origin
    axes: FloatArray  # (N, 17, 3, 2) the plane's directions
    upright: (
        FloatArray  # (N, 17, 3) of the keypoints above the foot point the part along the normal
    )
    across: FloatArray  # (N, 17, 3) and the part within the plane
    turned: FloatArray  # (N, 17, 3) the latter after a quarter turn
    weights: FloatArray  # (N, 17)
    sigma_rad: FloatArray  # (N, 17)
    prior_mean: FloatArray  # (N,) of the logarithm of the scale; yaw has zero
    prior_information: FloatArray  # (N, P)

    def take(self, rows: npt.NDArray[np.int64]) -> Observations:
        return Observations(*(getattr(self, f.name)[rows] for f in fields(self)))


def placement_residuals(
    seen: Observations, at: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Residuals (N, 17, 2) in sigmas, their Jacobian (N, 17, 2, P), and depths (N, 17)."""
    body, by_yaw = _bodies(seen, at)
    local = seen.origin + (seen.axes @ at[:, None, :2, None])[..., 0] + body
    columns = [seen.axes, body[..., None], by_yaw[..., None]][: at.shape[1] - 1]
    moves = np.concatenate(columns, axis=-1)
    depth = local[..., 2]
    safe = np.maximum(depth, _TINY)[..., None]
    tangent = local[..., :2] / safe
    scaled = safe * seen.sigma_rad[..., None]
    jacobian = (moves[..., :2, :] - tangent[..., None] * moves[..., 2:, :]) / scaled[..., None]
    return tangent / seen.sigma_rad[..., None], jacobian, depth


def placement_cost(seen: Observations, at: FloatArray) -> FloatArray:
    """(N,) Huber's cost and the prior of the scale; keypoints behind the camera cost a constant."""
    local = seen.origin + (seen.axes @ at[:, None, :2, None])[..., 0] + _bodies(seen, at)[0]
    depth = local[..., 2]
    size = np.hypot(local[..., 0], local[..., 1]) / (np.maximum(depth, _TINY) * seen.sigma_rad)
    huber = np.where(size < _HUBER, size**2, 2 * _HUBER * size - _HUBER**2)
    behind = np.where((depth <= _TINY) & (seen.weights > 0), _BEHIND_COST, 0.0)
    prior = np.sum(_from_prior(seen, at) ** 2 * seen.prior_information, axis=1)
    return np.asarray((seen.weights * huber + behind).sum(axis=1) + prior)


def _from_prior(seen: Observations, at: FloatArray) -> FloatArray:
    apart = at.copy()
    apart[:, 2] -= seen.prior_mean
    return apart


def _bodies(seen: Observations, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N, 17, 3) scaled and turned keypoints above the foot point, and their derivative by yaw."""
    scale = np.exp(at[:, 2])[:, None, None]
    if at.shape[1] == 3:
        return scale * (seen.upright + seen.across), seen.turned
    cosine, sine = (f(at[:, 3])[:, None, None] for f in (np.cos, np.sin))
    body = seen.upright + cosine * seen.across + sine * seen.turned
    return scale * body, scale * (cosine * seen.turned - sine * seen.across)


def normal_equations(
    seen: Observations, residual: FloatArray, jacobian: FloatArray, at: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gauss-Newton Hessian (N, P, P) and gradient (N, P); outlying keypoints count less."""
    size = np.hypot(residual[..., 0], residual[..., 1])
    robust = seen.weights * np.minimum(1.0, _HUBER / np.maximum(size, _TINY))
    unknowns = at.shape[1]
    rows = jacobian.reshape(len(at), 34, unknowns)
    weighted = (jacobian * robust[..., None, None]).reshape(rows.shape).transpose(0, 2, 1)
    hessian = weighted @ rows
    gradient = (weighted @ residual.reshape(len(at), 34, 1))[..., 0]
    diagonal = np.arange(unknowns)
    hessian[:, diagonal, diagonal] += seen.prior_information
    gradient += _from_prior(seen, at) * seen.prior_information
    return hessian, gradient
