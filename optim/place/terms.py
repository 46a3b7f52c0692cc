"""The cost of placing people: residuals, Jacobian and normal equations for all of them at once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from optim.projection import FloatArray

_HUBER = 2.0  # residuals beyond so many standard deviations lose weight
_BEHIND_COST = 1e6
_TINY = 1e-9


@dataclass(frozen=True)
class Observations:
    """What the solver needs of every person, in each keypoint's own frame (two tangents, ray)."""

    origin: FloatArray  # (N, 17, 3) the plane's origin
    axes: FloatArray  # (N, 17, 3, 2) the plane's directions
    body: FloatArray  # (N, 17, 3) of the keypoints above the foot point
    weights: FloatArray  # (N, 17)
    sigma_rad: FloatArray  # (N, 17)
    prior_mean: FloatArray  # (N,) of the logarithm of the scale
    prior_sd: FloatArray  # (N,)

    def take(self, rows: npt.NDArray[np.int64]) -> Observations:
        return Observations(*(getattr(self, f.name)[rows] for f in fields(self)))


def placement_residuals(
    seen: Observations, at: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Residuals (N, 17, 2) in sigmas, their Jacobian (N, 17, 2, 3), and depths (N, 17)."""
    body = np.exp(at[:, 2])[:, None, None] * seen.body
    local = seen.origin + (seen.axes @ at[:, None, :2, None])[..., 0] + body
    moves = np.concatenate([seen.axes, body[..., None]], axis=-1)
    depth = local[..., 2]
    safe = np.maximum(depth, _TINY)[..., None]
    tangent = local[..., :2] / safe
    scaled = safe * seen.sigma_rad[..., None]
    jacobian = (moves[..., :2, :] - tangent[..., None] * moves[..., 2:, :]) / scaled[..., None]
    return tangent / seen.sigma_rad[..., None], jacobian, depth


def placement_cost(seen: Observations, at: FloatArray) -> FloatArray:
    """(N,) Huber's cost and the prior of the scale; keypoints behind the camera cost a constant."""
    body = np.exp(at[:, 2])[:, None, None] * seen.body
    local = seen.origin + (seen.axes @ at[:, None, :2, None])[..., 0] + body
    depth = local[..., 2]
    size = np.hypot(local[..., 0], local[..., 1]) / (np.maximum(depth, _TINY) * seen.sigma_rad)
    huber = np.where(size < _HUBER, size**2, 2 * _HUBER * size - _HUBER**2)
    behind = np.where((depth <= _TINY) & (seen.weights > 0), _BEHIND_COST, 0.0)
    prior = ((at[:, 2] - seen.prior_mean) / seen.prior_sd) ** 2
    return np.asarray((seen.weights * huber + behind).sum(axis=1) + prior)


def normal_equations(
    seen: Observations, residual: FloatArray, jacobian: FloatArray, at: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gauss-Newton Hessian (N, 3, 3) and gradient (N, 3); outlying keypoints count less."""
    size = np.hypot(residual[..., 0], residual[..., 1])
    robust = seen.weights * np.minimum(1.0, _HUBER / np.maximum(size, _TINY))
    rows = jacobian.reshape(len(at), 34, 3)
    weighted = (jacobian * robust[..., None, None]).reshape(rows.shape).transpose(0, 2, 1)
    hessian = weighted @ rows
    gradient = (weighted @ residual.reshape(len(at), 34, 1))[..., 0]
    hessian[:, 2, 2] += seen.prior_sd**-2
    gradient[:, 2] += (at[:, 2] - seen.prior_mean) / seen.prior_sd**2
    return hessian, gradient
