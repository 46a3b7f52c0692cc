"""Transforms that bring predicted points onto true ones by least squares (Umeyama, PAMI 1991)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """y = scale * R x + t."""

    scale: float
    R: FloatArray
    t: FloatArray


def fit(
    points: FloatArray, targets: FloatArray, with_scale: bool = True
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scale (...,), rotation (..., 3, 3) and shift (..., 3) of (..., K, 3) points onto targets; no reflection.

    Points that all coincide get the scale 0.
    """
    center, aim = points.mean(axis=-2, keepdims=True), targets.mean(axis=-2, keepdims=True)
    x, y = points - center, targets - aim
    U, s, Vt = np.linalg.svd(np.swapaxes(y, -1, -2) @ x)
    sign = np.ones((*s.shape,))
    sign[..., -1] = np.sign(np.linalg.det(U) * np.linalg.det(Vt))
    R = (U * sign[..., None, :]) @ Vt
    spread = (x**2).sum(axis=(-2, -1))
    scale = np.ones(spread.shape)
    if with_scale:
        scale = np.where(spread > 0, (s * sign).sum(axis=-1) / np.where(spread > 0, spread, 1), 0.0)
    t = aim[..., 0, :] - scale[..., None] * np.einsum("...ij,...j->...i", R, center[..., 0, :])
    return scale, R, t


def aligned(points: FloatArray, targets: FloatArray, with_scale: bool = True) -> FloatArray:
    """(..., K, 3) points after their best transform onto the targets; never farther than they were."""
    scale, R, t = fit(points, targets, with_scale)
    moved = scale[..., None, None] * (points @ np.swapaxes(R, -1, -2)) + t[..., None, :]
    before = ((points - targets) ** 2).sum(axis=(-2, -1))
    after = ((moved - targets) ** 2).sum(axis=(-2, -1))
    # Least squares can only lose to doing nothing by rounding, so what is perfect stays exactly so.
    return np.asarray(np.where((before <= after)[..., None, None], points, moved))


def similarity_between(points: FloatArray, targets: FloatArray) -> Similarity | None:
    """The best transform of (K, 3) points onto (K, 3) targets; None for points that coincide."""
    if len(points) < 2 or not np.ptp(points, axis=0).any():
        return None
    scale, R, t = fit(points, targets)
    moved = scale * points @ R.T + t
    if ((points - targets) ** 2).sum() <= ((moved - targets) ** 2).sum():
        return Similarity(1.0, np.eye(3), np.zeros(3))
    return Similarity(float(scale), R, t)
