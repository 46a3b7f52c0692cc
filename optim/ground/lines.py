"""Gravity from straight structural lines: posts, walls and door frames are vertical.

A line segment that is nearly vertical where it lies either is the image of a vertical, with the noise of its
ends, or has a direction by chance. The shares of both kinds are estimated too, so segments that do not crowd
around the vertical tell nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from optim.errors import BadInput
from optim.ground.evidence import Mixture
from optim.ground.residuals import View
from optim.projection import FloatArray

_WINDOW_RAD = math.radians(8.0)  # about the first view's vertical; beyond are other directions
_END_NOISE_PX = 0.5  # of the place of a segment's end
_BUILT_SD_RAD = math.radians(0.25)  # of walls and posts against gravity, and of what a lens bends
_MIN_LENGTH_PX = 20.0
_MIN_COUNT, _MIN_GAIN = 6.0, 10.0  # verticals; nats by which they must be likelier than chance
_MOST_COUNT = 25.0  # segments repeat one another: all together count as no more than so many
_WIDENINGS = (6.0, 3.0, 1.5, 1.0)  # of the noise, so that a first view may be off by degrees
_ROUNDS, _STEPS, _STRIDE_RAD = 15, 12, 0.03


def checked_segments(segments_px: npt.ArrayLike) -> FloatArray:
    """(M, 4) finite segments (u0, v0, u1, v1) of useful length; raises BadInput."""
    segments = np.array(segments_px, dtype=np.float64)
    if segments.size == 0:
        segments = segments.reshape(0, 4)
    if segments.ndim != 2 or segments.shape[1] != 4:
        raise BadInput(f"lines_px must be (M, 4), two ends a segment, not {segments.shape}")
    segments = segments[np.isfinite(segments).all(axis=1)]
    length = np.linalg.norm(segments[:, 2:] - segments[:, :2], axis=1)
    return np.asarray(segments[length >= _MIN_LENGTH_PX])


def tilt_from_vertical(segments_px: FloatArray, view: View, center_px: FloatArray) -> FloatArray:
    """(M,) angle of each segment from the image of the vertical at its middle, -pi/2 to pi/2."""
    middle = (segments_px[:, :2] + segments_px[:, 2:]) / 2
    ray = (middle - center_px) / math.exp(view.log_focal)
    up = view.normal[:2] - ray * view.normal[2]
    along = segments_px[:, 2:] - segments_px[:, :2]
    cross = up[:, 0] * along[:, 1] - up[:, 1] * along[:, 0]
    dot = np.sum(up * along, axis=1)
    return np.asarray(np.arctan(cross / np.where(np.abs(dot) > 1e-12, dot, 1e-12)))


def vertical_lines(
    segments_px: FloatArray, view: View, center_px: FloatArray
) -> tuple[Mixture, View] | None:
    """What segments say of the vertical, and the view that suits them best; None if they disagree.

    Args:
        segments_px: (M, 4), of a picture without distortion.
        view: near the truth: segments farther from its verticals than the window are not looked at.
        center_px: (2,) principal point.
    """
    tilt = tilt_from_vertical(segments_px, view, center_px)
    near = segments_px[np.abs(tilt) < _WINDOW_RAD]
    if len(near) < _MIN_COUNT:
        return None
    length = np.linalg.norm(near[:, 2:] - near[:, :2], axis=1)
    sd = np.hypot(math.sqrt(2) * _END_NOISE_PX / length, _BUILT_SD_RAD)

    def mixture(widening: float, at: View, share: float = 0.5) -> Mixture:
        """With the share of verticals that suits a view best."""

        def residual(there: View) -> FloatArray:
            return np.asarray(tilt_from_vertical(near, there, center_px) / (widening * sd))

        junk = widening * sd / (2 * _WINDOW_RAD)
        model = Mixture(residual, share, junk, compared=True)
        for _ in range(_ROUNDS):
            share = float(np.clip(model.belonging(at).mean(), 0.01, 0.99))
            model = replace(model, share=share)
        return model

    best = view
    for widening in _WIDENINGS:
        best = _turned(mixture(widening, best), best)
    model = mixture(1.0, best)
    count = float(model.belonging(best).sum())
    if count < _MIN_COUNT or -model.cost(best) < _MIN_GAIN:
        return None
    return replace(model, weight=min(1.0, _MOST_COUNT / count)), best


def _turned(model: Mixture, view: View) -> View:
    """The nearest minimum over the normal alone."""
    cost, damping = model.cost(view), 1e-2
    for _ in range(_STEPS):
        _, gradient, hessian = model.expand(view)
        inner = hessian[1:3, 1:3]
        damped = inner + damping * np.diag(np.diag(inner) + 1e-9)
        step = np.zeros(4)
        step[1:3] = np.clip(-np.linalg.solve(damped, gradient[1:3]), -_STRIDE_RAD, _STRIDE_RAD)
        trial = view.moved(step)
        if model.cost(trial) < cost:
            view, cost, damping = trial, model.cost(trial), damping / 5
        else:
            damping *= 5
    return view
