"""Focal length, gravity and ground of one picture from the people who stand in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from optim import anthropometry as body
from optim import lens as lenses
from optim import pixels
from optim.errors import BadInput
from optim.geometry import pitch_roll_from_normal, unit
from optim.ground.choose import AUTO
from optim.ground.depth import checked_depths
from optim.ground.fitter import Fitter, Measured
from optim.ground.inputs import (
    Given,
    checked,
    checked_levels,
    density_weights,
    measure_boxes,
    measure_keypoints,
    require_people,
    undistorted,
)
from optim.ground.lines import checked_segments
from optim.ground.planes import Grounds
from optim.ground.population import densities
from optim.ground.relief import Relief
from optim.ground.report import write_report
from optim.ground.residuals import rays_of
from optim.ground.solver import objective
from optim.ground.sticks import Levels, Sticks
from optim.ground.surface import KINDS, LEVELS, Surface
from optim.projection import FloatArray


@dataclass(frozen=True)
class GroundCameraFit:
    """One camera and its ground, camera frame, metres.

    Attributes:
        focal_px: focal length.
        center_px: principal point, as given or assumed.
        distortion: coefficients of the lens, as given or estimated; radii in focal lengths.
        normal: (3,) unit vector up.
        offset_m: height of the camera above the first plane, n.X + d = 0.
        planes: (normal, offset_m) of every plane, the one with most people first, or that of a given offset; of
            given levels in their order.
        plane_index: (N,) plane of every person of the input, -1 where unknown.
        inlier: (N,) people who stand upright on their plane with an adult's height.
        covariance: (4, 4) over log focal, pitch, roll (radians) and log offset; given values: 0.
        cost: negative log posterior per person.
        report: plain values: assumptions, who was left out and why, how sure the focal length is.
        projection, pixel_aspect: of the picture, as given.
        surface: the ground, whatever its shape.
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
    distortion: tuple[float, ...] = (0.0, 0.0)
    projection: str = "perspective"
    pixel_aspect: float = 1.0
    surface: Surface | None = None

    @property
    def gravity(self) -> FloatArray:
        """(3,) unit vector down."""
        return -self.normal

    def ground_points(self, points_px: npt.ArrayLike) -> FloatArray:
        """(N, 3) where the ground is that is seen at pixels (N, 2), metres; NaN above its horizon."""
        px = np.asarray(points_px, dtype=np.float64)
        if px.ndim != 2 or px.shape[1] != 2:
            raise BadInput(f"points_px must be (N, 2), not {px.shape}")
        assert self.surface is not None
        lens = (self.projection, self.distortion, self.pixel_aspect)
        rays = pixels.rays(px, self.focal_px, self.center_px, *lens)
        return self.surface.points_m(rays)

    @property
    def total_cost(self) -> float:
        """Negative log posterior of all people who were used; compares fits of the same people."""
        return self.cost * int(self.report["people_used"])

    @property
    def unknowns(self) -> FloatArray:
        """(4,) log focal, pitch, roll, log offset: what the covariance is over."""
        pitch, roll = pitch_roll_from_normal(self.normal)
        return np.array([np.log(self.focal_px), pitch, roll, np.log(self.offset_m)])


def fit_ground_camera(
    keypoints: npt.ArrayLike | None = None,
    image_size: npt.ArrayLike | None = None,
    *,
    boxes_px: npt.ArrayLike | None = None,
    stature_m: float = body.ADULT_STATURE_M,
    stature_sd_m: float = body.ADULT_STATURE_SD_M,
    mean_stature_sd_m: float = body.MEAN_STATURE_SD_M,
    focal_px: float | None = None,
    focal_prior: tuple[float, float] | None = None,
    center_px: npt.ArrayLike | None = None,
    gravity: npt.ArrayLike | None = None,
    offset_m: float | None = None,
    distortion: tuple[float, ...] = (0.0, 0.0),
    pixel_aspect: float = 1.0,
    distortion_unit_px: float | None = None,
    lean_shrinkage: tuple[float, float] = (0.0, 0.0),
    lines_px: npt.ArrayLike | None = None,
    depth_prior: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    depths_are_of_size: bool = True,
    repeats: float = 1.0,
    max_planes: int = 1,
    projection: str = "perspective",
    grade_sd: float = body.GROUND_GRADE_SD,
    ground: str = AUTO,
    levels: npt.ArrayLike | None = None,
    sweeps_focal: bool = True,
) -> GroundCameraFit:
    """Fits one camera and its ground plane(s) to people, robustly, with covariance.

    Every person is a vertical stick of latent stature; the population is a mixture of upright
    adults, short or seated people, leaning people and junk. Starts come from a sweep in closed
    form, the optimum from EM Levenberg-Marquardt over log focal, gravity on the sphere and log
    offset. Exact keypoints also tell by their breadths how steeply bodies are seen (`optim.ground.breadth`).

    Args:
        keypoints: (N, 17, 3) COCO order, pixels and score.
        image_size: (width, height) in pixels.
        boxes_px: (N, 4) xyxy of standing people instead; only heights count: give the focal length.
        stature_m, stature_sd_m: mean and standard deviation of the adults.
        mean_stature_sd_m: how well that mean is known, which scales the whole scene, and how well the
            height of ankles above the ground.
        focal_px: used exactly if given.
        focal_prior: pixels and standard deviation of the logarithm, say of EXIF; people correct it.
        center_px: (2,) principal point; the picture's centre if not given.
        gravity: (3,) direction of gravity (down) in the camera frame; used exactly if given.
        offset_m: height of the camera above the ground; used exactly if given. Then the scene's size follows
            from it and not from the people's stature, of which only the spread counts.
        distortion, pixel_aspect: of the lens, see `optim.lens` and `optim.fisheye`.
        distortion_unit_px: what it measures radii in; focal lengths, which must then be given, if None.
        lean_shrinkage: share of people's lean that the detector takes off, and how well that is
            known (standard deviation); (0, 0) for exact keypoints, whose breadths of shoulders, hips and feet
            count too.
        lines_px: (M, 4) straight segments found in the picture; those that agree on a vertical count.
        depth_prior: (N,) depths of the hips over focal length (metres a pixel) and spreads of their
            logarithms.
        depths_are_of_size: whether they were judged from how large people appear, as those of networks are.
            Then they tell nothing new of adults who stand straight, whose size is measured anyway.
        repeats: how often each person is among the rows on average, where frames of one static camera
            were joined: the same walker leans and measures the same in all of them.
        max_planes: most levels of ground to look for; 1 leaves it to `ground`. One is never split by noise.
        projection: "perspective", or of `optim.panorama` or `optim.fisheye`; of these `focal_px` is the
            pixels per radian and must be given (`fit_panorama` finds it).
        grade_sd: of the ground's height above its plane over the distance, before people tell.
        ground: "level", "slope", "levels", "stands" (which begin to rise along a line, as stairs do) or
            "terrain", if it is known; "auto" takes the most probable one.
        levels: (N,) number of the level of ground on which everybody stands, from 0, -1 where it is not known;
            if it is known of some. `offset_m` then is the camera's height above level 0.
        sweeps_focal: whether an unknown focal length is looked for everywhere once the ground is not level,
            which takes seconds; else only near where level ground has it.

    Raises:
        BadInput: shapes or values that contradict each other.
        NotEnoughPeople: fewer people than the unknowns need.
        FitFailed: no camera explains the people.
    """
    statures = (stature_m, stature_sd_m, mean_stature_sd_m)
    given = checked(
        image_size,
        center_px,
        focal_px,
        gravity,
        distortion,
        statures,
        lean_shrinkage,
        focal_prior,
        repeats,
        projection,
        distortion_unit_px,
        grade_sd,
        offset_m,
        pixel_aspect,
    )
    if (keypoints is None) == (boxes_px is None):
        raise BadInput("give either keypoints or boxes_px")
    if projection != "perspective" and (lines_px is not None or depth_prior is not None):
        raise BadInput(f"neither lines nor a depth prior can be used in a {projection} picture")
    if max_planes < 1:
        raise BadInput(f"max_planes must be at least 1, not {max_planes}")
    if ground not in (AUTO, *KINDS):
        raise BadInput(f"ground must be one of {', '.join((AUTO, *KINDS))}, not {ground!r}")
    measured = _measured(given, keypoints, boxes_px, lines_px)
    if depth_prior is not None:
        depths = checked_depths(*depth_prior, depths_are_of_size, measured.total)
        measured = replace(measured, depths=depths)
    if levels is not None:
        level = checked_levels(levels, measured.total)
        if level.max(initial=0) > 0 and (max_planes > 1 or ground not in (AUTO, LEVELS)):
            raise BadInput("levels tell the ground already; give neither max_planes nor ground")
        measured = replace(measured, level=level if (level >= 0).any() else None)
    require_people(measured.sticks, measured.total, given)
    return _result(Fitter(given, measured, max_planes, ground, sweeps_focal))


def _measured(
    given: Given,
    keypoints: npt.ArrayLike | None,
    boxes_px: npt.ArrayLike | None,
    lines_px: npt.ArrayLike | None,
) -> Measured:
    """People and lines as a lens without distortion would show them."""

    def people(given: Given) -> tuple[int, Levels | None, Sticks]:
        if keypoints is not None:
            return measure_keypoints(keypoints, given)
        assert boxes_px is not None
        total, sticks = measure_boxes(boxes_px, given)
        return total, None, sticks

    total, levels, sticks = people(given)
    weight = density_weights(sticks)
    if given.projection == "perspective" and not given.has_ideal_lens:
        # Density is that of the picture as it is, so that the costs of different lenses compare.
        as_it_is = replace(given, distortion=lenses.NONE, pixel_aspect=1.0)
        _, _, seen = people(as_it_is)
        by_person = np.ones(total)
        by_person[seen.index] = density_weights(seen)
        weight = by_person[sticks.index]
    lines = checked_segments(np.zeros((0, 4)) if lines_px is None else lines_px)
    ends = undistorted(lines.reshape(-1, 2, 2), given)
    return Measured(total, levels, sticks, weight, ends.reshape(-1, 4))


def _result(fit: Fitter) -> GroundCameraFit:
    given, problem, view, index = fit.given, fit.problem, fit.view, fit.sticks.index
    total, whole = fit.measured.total, fit.covariance()
    covariance = whole[:4, :4]
    prediction = problem.predict(view)
    parts = problem.components(prediction, fit.population)
    _, membership, _ = densities(prediction, parts)
    inlier = np.zeros(total, dtype=bool)
    inlier[index] = membership[0] > 0.5
    plane_index = np.full(total, -1)
    is_known = membership.sum(axis=0) > 0.5
    levels = fit.ground if isinstance(fit.ground, Grounds) else None
    plane_index[index[is_known]] = 0 if levels is None else levels.label[is_known]
    told = fit.measured.level
    if told is not None:
        plane_index = np.where(told >= 0, told, plane_index)
    focal = given.focal_px if given.focal_px is not None else float(np.exp(view.log_focal))
    normal = given.normal if given.normal is not None else view.normal
    found = float(np.exp(view.log_offset))
    offset = found if given.offset_m is None else given.offset_m
    surface = _surface(fit, normal, offset, whole)
    planes = [(normal, height) for height in surface.offsets_m.tolist()]
    return GroundCameraFit(
        focal_px=focal,
        center_px=(float(given.center_px[0]), float(given.center_px[1])),
        normal=normal,
        offset_m=offset,
        planes=planes,
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
            fit.lines_say,
            fit.lines_apart_sd,
            given.stature_m * offset / found,
            fit.kind,
            fit.probabilities,
        ),
        distortion=_in_focal_lengths(given, focal),
        projection=given.projection,
        pixel_aspect=given.pixel_aspect,
        surface=surface,
    )


def _surface(fit: Fitter, normal: FloatArray, offset_m: float, covariance: FloatArray) -> Surface:
    if isinstance(fit.ground, Relief):
        height = np.array([offset_m])
        return Surface(fit.kind, normal, offset_m, height, fit.ground, covariance=covariance)
    levels = fit.ground if isinstance(fit.ground, Grounds) else fit.one_level
    rays, _ = rays_of(fit.view, fit.sticks, fit.given.center_px)
    return Surface(
        fit.kind,
        normal,
        offset_m,
        offset_m * np.exp(levels.log_ratio),
        level_rays=unit(rays),
        level_index=levels.label,
        covariance=covariance,
    )


def _in_focal_lengths(given: Given, focal_px: float) -> tuple[float, ...]:
    if given.projection != "perspective":
        return given.distortion
    ratio = focal_px / (given.distortion_unit_px or given.focal_guess_px)
    return lenses.for_focal(given.distortion, ratio)
