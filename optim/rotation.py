"""Rotation vectors: matrices, and how they change. Pure functions on batches."""

from __future__ import annotations

import numpy as np

from optim.projection import FloatArray

_SMALL_RAD = 1e-4  # below, series are more exact than quotients


def skew(vectors: FloatArray) -> FloatArray:
    """(..., 3) -> (..., 3, 3) with skew(v) w = v x w."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    rows = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
    return np.asarray(rows.reshape(*vectors.shape, 3))


def rotation_matrix(vectors: FloatArray) -> FloatArray:
    """Rotation vectors (..., 3) in radians -> (..., 3, 3), by Rodrigues' formula."""
    _, a, b, _ = _coefficients(vectors)
    cross = skew(vectors)
    return np.asarray(np.eye(3) + a * cross + b * (cross @ cross))


def left_jacobian(vectors: FloatArray) -> FloatArray:
    """(..., 3, 3) J with exp(v + dv) = exp(J dv) exp(v) to first order (Chirikjian 2012, 10.86)."""
    _, _, b, c = _coefficients(vectors)
    cross = skew(vectors)
    return np.asarray(np.eye(3) + b * cross + c * (cross @ cross))


def _coefficients(vectors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Angle t, sin t / t, (1 - cos t) / t^2, (t - sin t) / t^3; each (..., 1, 1)."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    safe = np.where(angle > _SMALL_RAD, angle, 1.0)
    small, square = angle <= _SMALL_RAD, angle**2
    a = np.where(small, 1 - square / 6, np.sin(safe) / safe)
    b = np.where(small, 0.5 - square / 24, (1 - np.cos(safe)) / safe**2)
    c = np.where(small, 1 / 6 - square / 120, (safe - np.sin(safe)) / safe**3)
    return angle, a, b, c
