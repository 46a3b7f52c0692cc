"""The principal point of crops: free across the picture, with a prior at the centre.

Along the picture's vertical the principal point, the pitch and the focal length explain the same things, and
small errors of the keypoints decide; across it, a shift tilts verticals against the horizon, and people say
how much. So only the horizontal place is estimated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .ground_camera import GroundCameraFit, fit_ground_camera

_PROBES = (-1.5, 0.0, 1.5)  # in standard deviations of the prior
_REACH = 2.0  # the answer is never further out than so many


def fit_with_free_center(
    keypoints: npt.ArrayLike, image_size: tuple[int, int], *, center_sd_px: float, **options: Any
) -> GroundCameraFit:
    """`fit_ground_camera` with the principal point's horizontal place as a fifth unknown.

    The log posterior of three fits, profiled over everything else, is a parabola in the shift near its top;
    the answer is the fit at that top, and its covariance holds what is not known of the shift.

    Args:
        keypoints: (N, 17, 3) COCO-17 pixels and score.
        image_size: (width, height).
        center_sd_px: standard deviation of the prior about the centre.
        options: of `fit_ground_camera`, without center_px.

    Raises:
        As `fit_ground_camera`.
    """
    middle = np.array([image_size[0] / 2, image_size[1] / 2])

    def fit_at(shift_sd: float) -> GroundCameraFit:
        center = middle + np.array([shift_sd * center_sd_px, 0.0])
        return fit_ground_camera(keypoints, image_size, center_px=center, **options)

    fits = [fit_at(shift) for shift in _PROBES]
    costs = [f.total_cost + s**2 / 2 for f, s in zip(fits, _PROBES, strict=True)]
    curvature, slope, _ = np.polyfit(_PROBES, costs, 2)
    # Without a minimum inside there is nothing to be learnt: the centre stays.
    best = float(np.clip(-slope / (2 * curvature), -_REACH, _REACH)) if curvature > 0 else 0.0
    sd = min(1.0, float(1 / np.sqrt(2 * curvature))) if curvature > 0 else 1.0
    fit = fit_at(best)
    by_shift = (fits[-1].unknowns - fits[0].unknowns) / (_PROBES[-1] - _PROBES[0])
    said = (
        f"estimated across the picture: {best * center_sd_px:+.0f} px from the centre, "
        f"sd {sd * center_sd_px:.0f} px"
    )
    return replace(
        fit,
        covariance=fit.covariance + sd**2 * np.outer(by_shift, by_shift),
        report={**fit.report, "principal_point": said},
    )
