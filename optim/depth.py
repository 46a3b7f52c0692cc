"""Distances of people that something else has judged, such as a network that sees whole bodies.

RootNet (Moon et al. 2019) puts a person at Z = gamma f 2 m / (1.25 s), s the longer side of the box in
pixels; gamma is 0.625 times the metric extent of the body in the box, whatever its posture, so that Z over
f is extent over side. It is good to 7-15 %.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .errors import BadInput
from .evidence import Mixture
from .projection import FloatArray
from .residuals import View
from .solver import Problem

_JUNK_DENSITY, _GOOD_SHARE = 0.02, 0.9


def depth_over_focal(extent_m: npt.ArrayLike, boxes_px: npt.ArrayLike) -> FloatArray:
    """(N,) metres of depth per pixel of focal length.

    Args:
        extent_m: (N,) or a number: the body's size along the longer side of its box; 1.70 m standing.
        boxes_px: (N, 4) xyxy, tight.
    """
    boxes = np.asarray(boxes_px, dtype=np.float64)
    side = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(side > 0, np.asarray(extent_m) / side, np.nan))


def checked_depths(
    over_focal: npt.ArrayLike, log_sd: npt.ArrayLike, total: int
) -> tuple[FloatArray, FloatArray]:
    """Logarithms (N,) of depth over focal length, NaN where unknown, and their spreads (N,).

    Raises:
        BadInput: lengths that are not the number of people, or spreads that are not positive.
    """
    ratio, spread = np.asarray(over_focal, np.float64), np.asarray(log_sd, np.float64)
    if ratio.shape != (total,) or spread.shape not in ((), (total,)) or not np.all(spread > 0):
        raise BadInput(
            f"depth_prior must be ({total},) depths over focal length and positive log spreads, "
            f"not {ratio.shape} and {spread.shape}"
        )
    known = np.isfinite(ratio) & (ratio > 0)
    log_ratio = np.log(np.where(known, ratio, 1.0))
    return np.where(known, log_ratio, np.nan), np.broadcast_to(spread, (total,))


def depth_evidence(problem: Problem, log_over_focal: FloatArray, log_sd: FloatArray) -> Mixture:
    """People's depths against the ground under their feet; arguments of `checked_depths`."""
    sticks = problem.sticks
    judged, sd = log_over_focal[sticks.index], log_sd[sticks.index]

    def residual(view: View) -> FloatArray:
        focal = math.exp(view.log_focal)
        height = math.exp(view.log_offset) * problem.offset_ratio
        ray = (sticks.bottom_px - problem.center_px) / focal
        fall = -(ray @ view.normal[:2] + view.normal[2])
        depth = (height - sticks.bottom_height * problem.stature_m) / np.where(
            fall > 1e-9, fall, np.nan
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            seen = np.log(np.where(depth > 0, depth, np.nan)) - view.log_focal
        return np.asarray((seen - judged) / sd)

    return Mixture(residual, _GOOD_SHARE, _JUNK_DENSITY)
