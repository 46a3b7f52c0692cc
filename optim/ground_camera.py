"""Focal length, gravity and ground of one picture from the people who stand in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from . import anthropometry as body
from .covariance import pitch_roll_covariance, view_covariance
from .errors import BadInput, FitFailed
from .inputs import (
    Given,
    camera_prior,
    checked,
    density_weights,
    measure_boxes,
    measure_keypoints,
    require_people,
    spread_rows,
)
from .planes import Grounds, find_grounds, largest_first
from .population import default_population, densities, reestimated
from .projection import FloatArray
from .report import write_report
from .residuals import View
from .solver import Problem, minimise, objective
from .starts import candidates
from .sticks import Levels, Sticks, sticks_from_levels

_STARTS = 4  # candidates that are refined
_START_PEOPLE = 120  # people used for it
_GROWTH_RANGE = (-0.8, 4.0)  # of depth from ankles to shoulders, that the sticks are measured with


@dataclass(frozen=True)
class GroundCameraFit:
    """One camera and its ground, camera frame, metres.

    Attributes:
        focal_px: focal length.
        center_px: principal point, as given or assumed.
        normal: (3,) unit vector up.
        offset_m: height of the camera above the first plane, n.X + d = 0.
        planes: (normal, offset_m) of every plane, the one with most people first.
        plane_index: (N,) plane of every person of the input, -1 where unknown.
        inlier: (N,) people who stand upright on their plane with an adult's height.
        covariance: (4, 4) over log focal, pitch, roll (radians) and log offset; given values: 0.
        cost: negative log posterior per person.
        report: plain values: assumptions, who was left out and why, how sure the focal length is.
    """

    focal_px: float
    center_px: tuple[float, float]
    normal: FloatArray
    offset_m: float
    planes: list[tuple[FloatArray, float]]
    plane_index: npt.NDArray[np.int64]
    inlier: npt.NDArray[np.bool_]
    covariance: FloatArray
    cost: float
    report: dict[str, Any] = field(default_factory=dict)


def fit_ground_camera(
    keypoints: npt.ArrayLike | None = None,
    image_size: npt.ArrayLike | None = None,
    *,
    boxes_px: npt.ArrayLike | None = None,
    stature_m: float = body.ADULT_STATURE_M,
    stature_sd_m: float = body.ADULT_STATURE_SD_M,
    mean_stature_sd_m: float = 0.02,
    focal_px: float | None = None,
    center_px: npt.ArrayLike | None = None,
    gravity: npt.ArrayLike | None = None,
    distortion: tuple[float, float] = (0.0, 0.0),
    max_planes: int = 1,
) -> GroundCameraFit:
    """Fits one camera and its ground plane(s) to people, robustly, with covariance.

    Every person is a vertical stick of latent stature; the population is a mixture of upright
    adults, short or seated people, leaning people and junk. Starts come from a sweep in closed
    form, the optimum from EM Levenberg-Marquardt over log focal, gravity on the sphere and log
    offset.

    Args:
        keypoints: (N, 17, 3) COCO order, pixels and score.
        image_size: (width, height) in pixels.
        boxes_px: (N, 4) xyxy of standing people instead; only heights count: give the focal length.
        stature_m, stature_sd_m: mean and standard deviation of the adults.
        mean_stature_sd_m: how well that mean is known; it scales the whole scene.
        focal_px: used exactly if given.
        center_px: (2,) principal point; the picture's centre if not given.
        gravity: (3,) direction of gravity (down) in the camera frame; used exactly if given.
        distortion: radial (k1, k2) as in `projection.project`; needs the focal length.
        max_planes: how many parallel levels of ground to look for; one is never split by noise.

    Raises:
        BadInput: shapes or values that contradict each other.
        NotEnoughPeople: fewer people than the unknowns need.
        FitFailed: no camera explains the people.
    """
    statures = (stature_m, stature_sd_m, mean_stature_sd_m)
    given = checked(image_size, center_px, focal_px, gravity, distortion, statures)
    if (keypoints is None) == (boxes_px is None):
        raise BadInput("give either keypoints or boxes_px")
    if max_planes < 1:
        raise BadInput(f"max_planes must be at least 1, not {max_planes}")
    levels: Levels | None = None
    if keypoints is not None:
        total, levels, sticks = measure_keypoints(keypoints, given)
    else:
        assert boxes_px is not None
        total, sticks = measure_boxes(boxes_px, given)
    require_people(sticks, total, given)
    return _result(_Fitter(given, levels, sticks, max_planes), total)


class _Fitter:
    """State of one fit: sticks, weights, population and the best view so far."""

    def __init__(
        self, given: Given, levels: Levels | None, sticks: Sticks, max_planes: int
    ) -> None:
        self.given, self.levels, self.sticks = given, levels, sticks
        self.weight = density_weights(sticks)
        self.population = default_population(given.stature_sd_m / given.stature_m)
        self.prior = camera_prior(given, sticks)
        self.grounds = Grounds(np.zeros(1), np.zeros(len(sticks), dtype=np.int64))
        self.starts_tried = 0
        view = self._best_start()
        for _ in range(2):
            view = minimise(self.problem, view, self.population)
            self._renew(view)
        view = minimise(self.problem, view, self.population)
        if max_planes > 1:
            view, grounds = find_grounds(self.problem, view, self.population, max_planes)
            self.grounds, view = largest_first(grounds, view)
            self._renew(view)
            view = minimise(self.problem, view, self.population)
        self.view = view

    @property
    def problem(self) -> Problem:
        given = self.given
        return Problem(
            self.sticks,
            self.weight,
            given.center_px,
            given.stature_m,
            self.prior,
            self.grounds.offset_ratio,
        )

    def _best_start(self) -> View:
        """Refines the most promising candidates with some of the people; all of them choose."""
        problem = self.problem
        few = problem.take(spread_rows(self.sticks, _START_PEOPLE))
        views, self.starts_tried = candidates(few, self.given.size_px[0], _STARTS)
        for population in (self.population.widened(2.0), self.population):
            views = [minimise(few, v, population, renewals=2, steps=8) for v in views]
        costs = [objective(problem, v, self.population) for v in views]
        if not views or not np.isfinite(min(costs)):
            raise FitFailed(
                "no camera stands these people upright on one ground; check the principal point, "
                "the given focal length and gravity, and that the keypoints are of this picture"
            )
        return views[int(np.argmin(costs))]

    def _renew(self, view: View) -> None:
        """Measures the sticks again with the perspective known, and the population."""
        prediction = self.problem.predict(view)
        if self.levels is not None:
            growth = np.where(prediction.is_valid, prediction.depth_growth, 0.0)
            growth = np.clip(growth, *_GROWTH_RANGE)
            self.sticks = sticks_from_levels(self.levels, self.sticks.index, growth)
            prediction = self.problem.predict(view)
        parts = self.problem.components(prediction, self.population)
        _, membership, _ = densities(prediction, parts)
        self.population = reestimated(self.population, prediction, parts, membership, self.weight)


def _result(fit: _Fitter, total: int) -> GroundCameraFit:
    given, problem, view, index = fit.given, fit.problem, fit.view, fit.sticks.index
    covariance = pitch_roll_covariance(view_covariance(problem, view, fit.population), view)
    covariance[3, 3] += (given.mean_stature_sd_m / given.stature_m) ** 2
    prediction = problem.predict(view)
    parts = problem.components(prediction, fit.population)
    _, membership, _ = densities(prediction, parts)
    inlier = np.zeros(total, dtype=bool)
    inlier[index] = membership[0] > 0.5
    plane_index = np.full(total, -1)
    is_known = membership.sum(axis=0) > 0.5
    plane_index[index[is_known]] = fit.grounds.label[is_known]
    focal = given.focal_px if given.focal_px is not None else float(np.exp(view.log_focal))
    normal = given.normal if given.normal is not None else view.normal
    offset = float(np.exp(view.log_offset))
    return GroundCameraFit(
        focal_px=focal,
        center_px=(float(given.center_px[0]), float(given.center_px[1])),
        normal=normal,
        offset_m=offset,
        planes=[(normal, offset * float(np.exp(r))) for r in fit.grounds.log_ratio],
        plane_index=plane_index,
        inlier=inlier,
        covariance=covariance,
        cost=objective(problem, view, fit.population) / len(fit.sticks),
        report=write_report(
            given,
            fit.sticks,
            focal,
            covariance,
            membership,
            prediction.is_valid,
            fit.population,
            total,
            fit.starts_tried,
        ),
    )
