"""Estimates the principal point of cropped pictures, and the lens's distortion along with it.

Only the principal point's horizontal place is estimated. A horizontal shift tilts verticals against the
horizon, and people show by how much. A vertical shift looks like another pitch and focal length, so the small
errors of keypoints would decide it. Distortion acts like both, so it is estimated together with the shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from optim.ground.choose import AUTO
from optim.ground.ground_camera import GroundCameraFit, fit_ground_camera
from optim.ground.plumb import Lens
from optim.ground.surface import LEVEL, LEVELS
from optim.projection import FloatArray

# Places at which the posterior is computed, in standard deviations of the prior. Where the posterior is much
# narrower (by `_NARROW`), a second grid in standard deviations of the posterior follows.
_NODES = (-1.5, -0.75, 0.0, 0.75, 1.5)
_NARROW = 0.75
# The grid needs dozens of fits. So many people say well enough where the centre is; all of them say the rest.
_ENOUGH_PEOPLE = 2000

# Variances of normal distributions, in units of the grid, and what the grid's nodes show of each.
_VARIANCES = np.geomspace(1e-3, 4.0, 200)
_AT_NODES = np.exp(-0.5 * np.square(_NODES) / _VARIANCES[:, None])
_SEEN_VARIANCES = (_AT_NODES @ np.square(_NODES)) / _AT_NODES.sum(axis=1)

_Fit = Callable[[FloatArray], GroundCameraFit]


def fit_with_free_center(
    keypoints: npt.ArrayLike,
    image_size: tuple[int, int],
    *,
    center_sd_px: float,
    lens: Lens | None = None,
    **options: Any,
) -> GroundCameraFit:
    """`fit_ground_camera` with the principal point's horizontal place unknown, and the lens's distortion.

    Both are integrated over a grid of fits, each of which finds everything else. The answer is the fit at their
    posterior mean; its covariance includes the doubt about them.

    Args:
        keypoints: (N, 17, 3) COCO-17 pixels and score.
        image_size: (width, height).
        center_sd_px: standard deviation of the prior about the centre.
        lens: what straight edges say of the distortion; used if they exclude that there is none.
        options: of `fit_ground_camera`, without center_px and distortion, or with a distortion that is known.

    Raises:
        As `fit_ground_camera`.
    """
    middle_px = np.array([image_size[0] / 2, image_size[1] / 2])
    bent = lens if lens is not None and lens.is_bent else None

    def fit_at(
        offset: FloatArray, points: npt.ArrayLike, options: dict[str, Any]
    ) -> GroundCameraFit:
        """Of the principal point, and of k1, in standard deviations of their priors."""
        if bent is not None:
            lens_k1 = (bent.k1 + offset[1] * bent.sd, 0.0)
            options = options | {"distortion": lens_k1, "distortion_unit_px": bent.unit_px}
        center_px = middle_px + np.array([offset[0] * center_sd_px, 0.0])
        return fit_ground_camera(points, image_size, center_px=center_px, **options)

    # Every place of the principal point is tried with the same shape of ground.
    kind = options.get("ground", AUTO)
    of_ground = {}
    if kind == AUTO:
        first = fit_at(np.zeros(2), keypoints, options).report
        kind = first["ground"]
        of_ground = {name: first[name] for name in ("ground_probabilities", "undetermined")}
        options = options | {"ground": kind}
    some, of_some = _some_people(keypoints, options)
    mean, covariance, slopes = _posterior(
        lambda offset: fit_at(offset, some, of_some), 1 if bent is None else 2
    )
    center = "estimated across the picture:"
    if kind not in (LEVEL, LEVELS):
        # Another principal point looks like another shape of the ground, and is the less probable of both.
        mean[0], covariance[0], covariance[:, 0] = 0.0, 0.0, 0.0
        covariance[0, 0] = 1.0
        center = "assumed, since the ground is not level:"
    fit = fit_at(mean, keypoints, options)
    sd = np.sqrt(np.diag(covariance))
    said = {
        "principal_point": f"{center} {mean[0] * center_sd_px:+.0f} px from the centre, "
        f"sd {sd[0] * center_sd_px:.0f} px"
    }
    if bent is not None:
        k1 = bent.k1 + mean[1] * bent.sd
        said["distortion"] = (
            f"estimated from straight edges and people: {k1:+.1%} at the picture's corner, "
            f"sd {sd[1] * bent.sd:.1%}"
        )
    return replace(
        fit,
        covariance=fit.covariance + slopes @ covariance @ slopes.T,
        report={**fit.report, **of_ground, **said},
    )


def _some_people(
    keypoints: npt.ArrayLike, options: dict[str, Any]
) -> tuple[npt.ArrayLike, dict[str, Any]]:
    """At most `_ENOUGH_PEOPLE`, spread over the picture, and the options with what is known of these."""
    points = np.asarray(keypoints, dtype=np.float64)
    if points.ndim != 3 or len(points) <= _ENOUGH_PEOPLE:
        return keypoints, options
    # Sorted, so that the order of the people does not matter; neighbours in that order lie side by side.
    order = np.lexsort(np.nan_to_num(points).reshape(len(points), -1).T[::-1])
    rows = np.sort(order[np.linspace(0, len(points) - 1, _ENOUGH_PEOPLE).round().astype(np.int64)])
    depths = options.get("depth_prior")
    if depths is not None:
        options = options | {"depth_prior": tuple(np.asarray(values)[rows] for values in depths)}
    if options.get("levels") is not None:
        options = options | {"levels": np.asarray(options["levels"])[rows]}
    return points[rows], options


def _whole_variance(seen: FloatArray) -> FloatArray:
    """Variances of the normal distributions of which a grid's nodes show these; 1 if they show 0.73."""
    return np.asarray(np.interp(seen, _SEEN_VARIANCES, _VARIANCES))


def _posterior(fit_at: _Fit, unknowns: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean (D,), covariance (D, D) of unknowns with standard normal priors; (4, D) how a fit follows."""
    mean, spread = np.zeros(unknowns), np.ones(unknowns)
    for _ in range(2):
        nodes = np.array(list(product(_NODES, repeat=unknowns))) * spread + mean
        fits = [fit_at(node) for node in nodes]
        cost = np.array([f.total_cost for f in fits]) + np.sum(nodes**2, axis=1) / 2
        weight = np.exp(cost.min() - cost)
        weight /= weight.sum()
        mean = weight @ nodes
        apart = nodes - mean
        covariance = (weight[:, None] * apart).T @ apart
        # A grid of finite reach cuts the tails off.
        seen = np.diag(covariance) / spread**2
        widen = np.sqrt(_whole_variance(seen) / np.maximum(seen, 1e-12))
        covariance *= np.outer(widen, widen)
        narrow = np.sqrt(np.diag(covariance)) < _NARROW * spread
        if not narrow.any():
            break
        spread = np.where(narrow, np.maximum(np.sqrt(np.diag(covariance)), spread / 4), spread)
    found = np.stack([f.unknowns for f in fits])
    root = np.sqrt(weight)[:, None]
    design = np.hstack([apart, np.ones((len(apart), 1))])
    slopes = np.linalg.lstsq(root * design, root * found, rcond=None)[0][:-1].T
    return np.asarray(mean), np.asarray(covariance), np.asarray(slopes)
