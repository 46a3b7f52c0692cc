"""One fit from start to end: the state that moves while camera, ground and population are found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from optim.errors import FitFailed
from optim.ground.breadth import BreadthEvidence, breadth_evidence
from optim.ground.choose import (
    AUTO,
    MOST_LEVELS,
    Shape,
    doubt_of_slope,
    fitted_shapes,
    given_levels,
    probabilities,
)
from optim.ground.covariance import pitch_roll_covariance, positive_part, view_covariance
from optim.ground.depth import Depths, depth_evidence
from optim.ground.evidence import Evidence
from optim.ground.focal_sweep import Swept, held, near_prior, swept
from optim.ground.inputs import Given, camera_prior, log_scale_sd
from optim.ground.lean import with_lean_restored
from optim.ground.lines import vertical_lines
from optim.ground.planes import Grounds
from optim.ground.population import default_population
from optim.ground.relief import Ground
from optim.ground.residuals import Prediction, View
from optim.ground.solver import Problem, minimise, minimise_all, renewed
from optim.ground.starts import best_start
from optim.ground.sticks import Levels, Sticks, sticks_from_levels
from optim.ground.surface import KINDS, LEVEL, LEVELS
from optim.projection import FloatArray

_GROWTH_RANGE = (-0.8, 4.0)  # of depth from ankles to shoulders, that the sticks are measured with
# Of log focal: the posterior that is narrower, and at home within one step of the sweep, is that of one peak.
_SHARP_SD, _MOST = 0.12, 0.9
_DISAGREEMENT_SD = 4.0  # of lines against people, beyond which the lines are not verticals


@dataclass(frozen=True)
class Measured:
    """What was measured in the picture.

    Attributes:
        total: people in the input.
        levels: of the usable people, None for boxes.
        sticks: of the usable people.
        weight: of each of them, less where they stand densely.
        lines_px: (M, 4) straight segments without distortion.
        depths: of the people in the input, judged by something else; or None.
        level: (total,) of the ground under the people in the input, -1 where it is not known; None if nowhere.
    """

    total: int
    levels: Levels | None
    sticks: Sticks
    weight: FloatArray
    lines_px: FloatArray
    depths: Depths | None = None
    level: npt.NDArray[np.int64] | None = None


class Fitter:
    """Sticks, weights, population and the best view so far."""

    def __init__(
        self,
        given: Given,
        measured: Measured,
        max_planes: int,
        ground: str,
        sweeps_focal: bool = True,
    ) -> None:
        self.given, self.measured, self.sticks = given, measured, measured.sticks
        self.weight = measured.weight / given.repeats
        self.population = default_population(given.stature_sd_m / given.stature_m, given.grade_sd)
        self.prior = camera_prior(given, measured.sticks)
        self.kind = LEVEL
        self.ground: Ground | None = None
        self.probabilities: dict[str, float] = {}
        self.doubt = np.zeros((4, 4))  # of the view, since the ground may have another shape
        self.starts_tried = 0
        self.lines: Evidence | None = None
        self.depths: Evidence | None = None
        self.breadths: BreadthEvidence | None = None
        self.lines_say = "not given"
        self.lines_apart_sd = 0.0  # how far they contradict the people, where they do
        self.view = self._best_start()
        for _ in range(2):
            self.view = minimise(self.problem, self.view, self.population)
            self._renew()
        self.view = minimise(self.problem, self.view, self.population)
        self._add_lines()
        self._choose_ground(ground, max_planes, sweeps_focal)

    @property
    def problem(self) -> Problem:
        given = self.given
        return Problem(
            self.sticks,
            self.weight,
            given.center_px,
            given.stature_m,
            self.prior,
            self.ground,
            tuple(e for e in (self.lines, self.depths, self.breadths) if e is not None),
        )

    @property
    def one_level(self) -> Grounds:
        """Everybody on the ground that the view is above."""
        return Grounds(np.zeros(1), np.zeros(len(self.sticks), dtype=np.int64))

    def covariance(self) -> FloatArray:
        """(4 + K, 4 + K) over log focal, pitch, roll, log offset and the ground; with what all people share."""
        in_tangents = view_covariance(self.problem, self.view, self.population, self._nudged())
        free = self.prior.is_free
        in_tangents[:4, :4] += np.where(np.outer(free, free), self.doubt, 0.0)
        covariance = pitch_roll_covariance(in_tangents, self.view)
        if self.given.offset_m is not None:
            covariance[3], covariance[:, 3] = 0.0, 0.0
        else:
            covariance[3, 3] += log_scale_sd(self.given, float(np.exp(self.view.log_offset))) ** 2
        return covariance

    def _nudged(self) -> Problem | None:
        """The problem if the detector's shrinkage of leans were one standard deviation larger."""
        if self.measured.levels is None or not self.given.lean_shrinkage[1]:
            return None
        levels = with_lean_restored(self.measured.levels, self.given.lean_shrinkage[1])
        growth = _growth(self.problem.predict(self.view))
        return replace(self.problem, sticks=sticks_from_levels(levels, self.sticks.index, growth))

    def _best_start(self) -> View:
        view, self.starts_tried = best_start(self.problem, self.population, self.given.size_px[0])
        if view is None:
            raise FitFailed(
                "no camera stands these people upright on one ground; check the principal point, "
                "the given focal length and gravity, and that the keypoints are of this picture"
            )
        return view

    def _choose_ground(self, ground: str, max_planes: int, sweeps_focal: bool) -> None:
        """Fits other shapes of ground than one level, and takes the most probable one, or the levels given."""
        given = self.measured.level
        if given is not None:
            count = int(given.max()) + 1
            if count > 1:
                one = Shape(LEVEL, self.problem, self.view, self.population, -math.inf)
                self._take(given_levels(one, given[self.sticks.index], count))
            return
        kinds = _kinds(ground, max_planes, self.sticks.sees_angle)
        if kinds == (LEVEL,):
            return
        known = None if self.given.offset_m is None else float(np.log(self.given.offset_m))
        most = max_planes if max_planes > 1 else MOST_LEVELS
        shapes = fitted_shapes(self.problem, self.view, self.population, kinds, most, known)
        self.probabilities = probabilities(shapes)
        best = shapes[0]
        if best.kind == LEVEL:
            self.doubt = doubt_of_slope(self.problem, self.view, self.population)
        elif not (sweeps_focal and self.prior.is_free[0]) or len(kinds) == 1:
            self._take(best)
        elif self.prior.information[0] > _SHARP_SD**-2:
            self._hold_focal_of(near_prior(self.problem, best), best)
        else:
            self._choose_focal_too(kinds, most, known)

    def _choose_focal_too(self, kinds: tuple[str, ...], most: int, known: float | None) -> None:
        """Shape and focal length together: level ground may have bent the camera into the wrong valley."""
        before = self.problem
        sweep = swept(before, self.population, self.given.size_px[0], kinds, most, known)
        totals = sweep.log_totals
        self.probabilities = {kind: math.exp(totals[kind]) for kind in KINDS if kind in totals}
        if sweep.best.kind == LEVEL:
            self.view = minimise(before, sweep.best.view, sweep.best.population)
        else:
            self._take(sweep.best)
        own = view_covariance(self.problem, self.view, self.population)[:4, :4]
        is_sharp = own[0, 0] < _SHARP_SD**2 and sweep.share_near(self.view.log_focal) > _MOST
        if is_sharp:
            return
        self._hold_focal_of(sweep, sweep.best)

    def _hold_focal_of(self, sweep: Swept, shape: Shape) -> None:
        """Goes on with a shape at the mean focal length of a sweep, and with the doubt of that."""
        self._take(shape, sweep.log_focal)
        own = view_covariance(self.problem, self.view, self.population)[:4, :4]
        self.doubt = positive_part(sweep.spread_about(self.view) - own)

    def _take(self, shape: Shape, log_focal: float | None = None) -> None:
        """Goes on with a shape of the ground, with the focal length held if it is given."""
        self.kind, self.ground = shape.kind, shape.problem.ground
        self.view, self.population = shape.view, shape.population
        if log_focal is not None:
            self.view = replace(self.view, log_focal=log_focal)
            self._minimise_all(log_focal)
        self._renew()
        self._minimise_all(log_focal)
        if self.lines is None:  # level ground may have bent the camera away from them
            self._add_lines()

    def _minimise_all(self, log_focal: float | None) -> None:
        problem = self.problem if log_focal is None else held(self.problem, log_focal)
        problem, self.view = minimise_all(problem, self.view, self.population)
        self.ground = problem.ground

    def _renew(self) -> None:
        """Measures the sticks again with the perspective known, and the population."""
        if self.measured.levels is not None:
            growth = _growth(self.problem.predict(self.view))
            self.sticks = sticks_from_levels(self.measured.levels, self.sticks.index, growth)
        self.population, membership = renewed(self.problem, self.view, self.population)
        self._add_breadths(membership[0])
        if self.measured.depths is not None:
            self.depths = depth_evidence(
                self.problem, self.view, self.population, self.measured.depths
            )

    def _add_breadths(self, is_adult: FloatArray) -> None:
        """Lets breadths speak about the view as it is now: where joints are exact, and not in panoramas."""
        levels, is_exact = self.measured.levels, self.given.lean_shrinkage == (0.0, 0.0)
        if (
            levels is None
            or levels.views is not None
            or not is_exact
            or not self.prior.is_free[:3].any()
        ):
            return
        before = None if self.breadths is None else self.breadths.crowd
        weight, lean_sd_rad = is_adult * self.weight, float(self.population.lean_sd_rad[0])
        self.breadths = breadth_evidence(
            self.problem, self.view, levels, weight, lean_sd_rad, before
        )

    def _add_lines(self) -> None:
        """Lets straight lines speak, if they agree on a vertical that the people do not rule out."""
        if not len(self.measured.lines_px) or not self.prior.is_free[1]:
            return
        found = vertical_lines(self.measured.lines_px, self.view, self.given.center_px)
        if found is None:
            self.lines_say = "no common vertical"
            return
        mixture, theirs = found
        # Lines tell the normal for a focal length, people both at once: compare where people are free.
        problem = self.problem
        with_lines = replace(problem, evidence=(*problem.evidence, mixture))
        agreed, together = minimise_all(with_lines, theirs, self.population)
        apart = (together.minus(self.view))[self.prior.is_free]
        keep = np.ix_(np.flatnonzero(self.prior.is_free), np.flatnonzero(self.prior.is_free))
        of_people = view_covariance(problem, self.view, self.population, self._nudged())[keep]
        distance = float(np.sqrt(apart @ np.linalg.solve(of_people, apart)))
        if distance > _DISAGREEMENT_SD:
            self.lines_say = f"contradict the people by {distance:.1f} standard deviations"
            self.lines_apart_sd = distance
            return
        self.lines, self.view, self.ground = mixture, together, agreed.ground
        self.lines_apart_sd = 0.0
        self.lines_say = (
            f"used: {mixture.belonging(together).sum():.0f} of {len(self.measured.lines_px)}"
        )


def _kinds(ground: str, max_planes: int, sees_angle: bool) -> tuple[str, ...]:
    """Shapes that may be; boxes tell one number a person, so several levels are all that they can show."""
    if ground != AUTO:
        return (ground,)
    if max_planes > 1:
        return (LEVELS,)
    return KINDS if sees_angle else (LEVEL,)


def _growth(prediction: Prediction) -> FloatArray:
    """(N,) of depth along every stick, within what sticks can be measured with."""
    growth = np.where(prediction.is_valid, prediction.depth_growth, 0.0)
    return np.asarray(np.clip(growth, *_GROWTH_RANGE))
