"""Fits camera and ground of a panorama.

For known pixels per radian that is `fit_ground_camera` itself. Unknown, they are searched for: nine widths of
view are tried, and a narrow optimum among them is refined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from optim.anthropometry import GROUND_GRADE_SD
from optim.errors import FitFailed
from optim.ground.choose import AUTO
from optim.ground.ground_camera import GroundCameraFit, fit_ground_camera
from optim.ground.inputs import PRIOR_LOG_FOCAL_SD
from optim.ground.report import Z90
from optim.ground.surface import LEVEL
from optim.projection import FloatArray

_SWEEP_FOV_DEG = (60.0, 90.0, 120.0, 150.0, 180.0, 220.0, 265.0, 310.0, 360.0)
_PRIOR_FOV_DEG = 180.0
_DETERMINED_SD = 0.4 * PRIOR_LOG_FOCAL_SD
_NARROW_SD = 0.12  # of log focal; narrower posteriors fall between the widths of the sweep
_STEP = 0.03  # of log focal, for the curvature at the optimum


def fit_panorama(
    keypoints: npt.ArrayLike,
    image_size: tuple[int, int],
    *,
    projection: str,
    focal_px: float | None = None,
    ground: str = AUTO,
    **options: Any,
) -> GroundCameraFit:
    """`fit_ground_camera` for pictures on a cylinder or a sphere.

    Unknown pixels per radian are searched for; every candidate is a whole fit of everything else. The variance
    of their logarithm comes from the curvature of the posterior at its peak, or from the posterior's moments
    where it is wide. It is propagated into the covariance of the other unknowns.

    Args:
        keypoints: (N, 17, 3) COCO-17 pixels and score; columns beyond a border of a whole turn are fine.
        image_size: (width, height); projection: "cylindrical" or "equirectangular".
        focal_px: pixels per radian, if known; ground: as there.
        options: of `fit_ground_camera`.

    Raises:
        As `fit_ground_camera`.
    """
    swept = LEVEL if options.get("levels") is None else ground
    prior = math.log(image_size[0] / math.radians(_PRIOR_FOV_DEG))

    def fit_at(
        log_focal: float, grade_sd: float = GROUND_GRADE_SD, ground: str = swept
    ) -> GroundCameraFit:
        focal = math.exp(log_focal)
        return fit_ground_camera(
            keypoints,
            image_size,
            focal_px=focal,
            projection=projection,
            grade_sd=grade_sd,
            ground=ground,
            **options,
        )

    def compared(log_focal: float) -> GroundCameraFit:
        """A fit whose ground is as uneven in pixels as that of all others.

        With unevenness fixed in metres, a candidate could gain by how even its ground seems.
        """
        return fit_at(log_focal, GROUND_GRADE_SD * math.exp(prior - log_focal))

    if focal_px is not None:
        return fit_at(math.log(focal_px), ground=ground)

    def posterior(fit: GroundCameraFit) -> float:
        return fit.total_cost + 0.5 * float((fit.unknowns[0] - prior) / PRIOR_LOG_FOCAL_SD) ** 2

    def cost(log_focal: float) -> float:
        try:
            return posterior(compared(log_focal))
        except FitFailed:
            return math.inf

    sweep = np.log(image_size[0] / np.radians(_SWEEP_FOV_DEG[::-1]))
    place, variance = _moments(sweep, np.array([cost(place) for place in sweep]))
    if variance < _NARROW_SD**2:
        place, variance = _peak(cost, sweep, place)
    around = [compared(place + step) for step in (-_STEP, 0.0, _STEP)]
    if ground != swept:
        shaped = fit_at(place, GROUND_GRADE_SD * math.exp(prior - place), ground)
        around[1] = shaped if shaped.report["ground"] != LEVEL else around[1]
    return _with_focal_doubt(around, variance)


def _moments(places: FloatArray, costs: FloatArray) -> tuple[float, float]:
    """Mean and variance of a posterior whose negative logarithm (M,) is known at some places (M,).

    They serve where the posterior is nearly flat: it then often peaks at the border of what is possible, where
    the curvature tells nothing.
    """
    weight = np.exp(costs.min() - costs) * np.gradient(places)
    weight /= weight.sum()
    mean = float(weight @ places)
    return mean, float(weight @ (places - mean) ** 2)


def _peak(cost: Callable[[float], float], places: FloatArray, near: float) -> tuple[float, float]:
    """Place of the posterior's peak near one of some places, and its variance by Laplace's approximation."""
    best = int(np.argmin(np.abs(places - near)))
    bounds = places[max(best - 1, 0)], places[min(best + 1, len(places) - 1)]
    place = float(minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-3}).x)
    low, middle, high = (cost(place + step) for step in (-_STEP, 0.0, _STEP))
    curvature = (low - 2 * middle + high) / _STEP**2
    return place, 1.0 / max(curvature, PRIOR_LOG_FOCAL_SD**-2)


def _with_focal_doubt(around: list[GroundCameraFit], variance: float) -> GroundCameraFit:
    """The middle fit, its covariance widened by the doubt about the focal length.

    Args:
        around: fits one `_STEP` of log focal below the answer, at it, and one above.
        variance: of log focal.
    """
    low, middle, high = around
    along = (high.unknowns - low.unknowns) / (2 * _STEP)
    covariance = middle.covariance + variance * np.outer(along, along)
    sd = math.sqrt(variance)
    interval = [middle.focal_px * math.exp(s * Z90 * sd) for s in (-1.0, 1.0)]
    said = {
        "focal": "estimated",
        "focal_determined": sd < _DETERMINED_SD,
        "focal_interval_90_px": interval,
    }
    return replace(middle, covariance=covariance, report={**middle.report, **said})
