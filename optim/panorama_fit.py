"""Camera and ground of a panorama: gravity and height as ever, the pixels per radian by a search if unknown."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from .errors import FitFailed
from .ground_camera import GroundCameraFit, fit_ground_camera
from .inputs import PRIOR_LOG_FOCAL_SD

_SWEEP_FOV_DEG = (60.0, 90.0, 120.0, 150.0, 180.0, 220.0, 265.0, 310.0, 360.0)
_PRIOR_FOV_DEG = 180.0
_Z90 = 1.645
_DETERMINED_SD = 0.4 * PRIOR_LOG_FOCAL_SD
_STEP = 0.03  # of log focal, for the curvature at the optimum


def fit_panorama(
    keypoints: npt.ArrayLike,
    image_size: tuple[int, int],
    *,
    projection: str,
    focal_px: float | None = None,
    **options: Any,
) -> GroundCameraFit:
    """`fit_ground_camera` for pictures on a cylinder or a sphere.

    Where the pixels per radian are not known, the posterior profiled over everything else is searched;
    its curvature gives their variance and what it adds to the other unknowns' (Laplace).

    Args:
        keypoints: (N, 17, 3) COCO-17 pixels and score; columns beyond a border of a whole turn are fine.
        image_size: (width, height); projection: "cylindrical" or "equirectangular".
        focal_px: pixels per radian, if known.
        options: of `fit_ground_camera`.

    Raises:
        As `fit_ground_camera`.
    """

    def fit_at(log_focal: float) -> GroundCameraFit:
        focal = math.exp(log_focal)
        return fit_ground_camera(
            keypoints, image_size, focal_px=focal, projection=projection, **options
        )

    if focal_px is not None:
        return fit_at(math.log(focal_px))
    prior = math.log(image_size[0] / math.radians(_PRIOR_FOV_DEG))

    def posterior(fit: GroundCameraFit) -> float:
        return fit.total_cost + 0.5 * float((fit.unknowns[0] - prior) / PRIOR_LOG_FOCAL_SD) ** 2

    def cost(log_focal: float) -> float:
        try:
            return posterior(fit_at(log_focal))
        except FitFailed:
            return math.inf

    sweep = [
        math.log(image_size[0] / math.radians(fov)) for fov in sorted(_SWEEP_FOV_DEG, reverse=True)
    ]
    costs = [cost(place) for place in sweep]
    best = int(np.argmin(costs))
    bounds = sweep[max(best - 1, 0)], sweep[min(best + 1, len(sweep) - 1)]
    found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-3})
    around = [fit_at(float(found.x) + step) for step in (-_STEP, 0.0, _STEP)]
    return _with_focal_doubt(around, [posterior(fit) for fit in around])


def _with_focal_doubt(around: list[GroundCameraFit], costs: list[float]) -> GroundCameraFit:
    """The fit at the optimum, its covariance widened by what the focal length may still be.

    Args:
        around: fits one `_STEP` of log focal below the optimum, at it, and above; costs: theirs.
    """
    low, middle, high = around
    curvature = (costs[0] - 2 * costs[1] + costs[2]) / _STEP**2
    variance = 1.0 / max(curvature, PRIOR_LOG_FOCAL_SD**-2)
    along = (high.unknowns - low.unknowns) / (2 * _STEP)
    covariance = middle.covariance + variance * np.outer(along, along)
    sd = math.sqrt(variance)
    interval = [middle.focal_px * math.exp(s * _Z90 * sd) for s in (-1.0, 1.0)]
    said = {
        "focal": "estimated",
        "focal_determined": sd < _DETERMINED_SD,
        "focal_interval_90_px": interval,
    }
    return replace(middle, covariance=covariance, report={**middle.report, **said})
