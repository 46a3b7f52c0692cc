"""Which shape the ground has: level, one slope, a stand behind a line, smooth terrain; chosen by evidence.

Every shape is fitted together with the camera, and its marginal likelihood compared by Laplace's approximation
(MacKay 2003, "Information Theory, Inference, and Learning Algorithms", chapter 28), with priors stated here.
Which hinges and bumps are worth a fit is told beforehand by the scores at the level fit (Rao 1948).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from optim.ground.covariance import positive_part
from optim.ground.planes import find_grounds, given_grounds, largest_first
from optim.ground.population import Components, Population, densities
from optim.ground.relief import Relief, level_axes
from optim.ground.residuals import Prediction, View, rays_of
from optim.ground.solver import Problem, minimise_all, objective, renewed, score_and_hessian
from optim.ground.surface import KINDS, LEVEL, LEVELS, SLOPE, STANDS, TERRAIN
from optim.projection import FloatArray

AUTO = "auto"

# Before anything is seen. Most crowds stand on level ground, and people are no exact sticks: another shape must
# be clearly likelier.
_LOG_PRIOR = dict(zip(KINDS, np.log([0.84, 0.04, 0.04, 0.04, 0.04]).tolist(), strict=True))
_TILT_SD = 0.10  # of rise over run: streets on hills
_STEEP_SHARE = 0.1  # of slopes that may be as steep as stands, whose beginning is not always seen
_IS_STEEP = 1.0  # standard deviations of a usual slope, beyond which a steep one is tried
_RISE_SD = 0.45  # of stands and stairs, 24 degrees
_AZIMUTHS_RAD = np.radians(np.arange(0.0, 360.0, 30.0))
_START_QUANTILES = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)
_AZIMUTH_SD_RAD = math.radians(30.0)
_MOST_HINGES, _START_SD = 2, 0.15  # the latter over the extent of the people
_REACHES = (0.2, 0.4)  # of bumps, over the extent of the people
_BUMP_SDS = (0.05, 0.15)  # of the terrain's height, in camera heights
_MOST_BUMPS = 20
_LEAST_PEOPLE = 12
_NEAREST = 1e-3  # camera heights from the point below the camera
_WORTH_A_FIT = -1.0  # nats of evidence that a shape must gain to second order
_HANDICAP = 1.0  # nats by which it may gain less than one slope does
MOST_LEVELS = 6
_FIT_STEPS, _ROUNDS, _SETTLED_GAIN = 8, 8, 0.3  # the last in nats
_UNSEEN_TILT_SD = 0.045  # of grounds that count as level: one in five slopes by _TILT_SD
_WORTH_A_TRY = 0.5  # how far below the best hinge's gain, as a share of it


@dataclass(frozen=True)
class Shape:
    """One shape of the ground, fitted.

    Attributes:
        kind: one of KINDS.
        problem: with the ground; view, population: fitted with it.
        log_evidence: logarithm of its marginal likelihood and prior; compares shapes of the same people.
    """

    kind: str
    problem: Problem
    view: View
    population: Population
    log_evidence: float


def fitted_shapes(
    problem: Problem,
    view: View,
    population: Population,
    kinds: tuple[str, ...] = KINDS,
    max_levels: int = MOST_LEVELS,
    known_log_offset: float | None = None,
) -> list[Shape]:
    """The shapes that are worth a fit, most probable first.

    Args:
        problem: with level ground, and the view that fits it.
        kinds: that may be; if one alone, it is fitted whatever it gains.
        known_log_offset: of one of several levels, which then is the first.
    """
    # Fitted as long as the others, so that none gains by that alone.
    start = Shape(LEVEL, problem, view, population, -math.inf)
    level = settled(start)
    found = [level] if LEVEL in kinds else []
    if kinds != (LEVELS,):
        scores = _Scores.of(problem, view, population)
        if scores.stands.sum() < _LEAST_PEOPLE and len(kinds) > 1:
            return [level]
        found += _reliefs(start, level, scores, kinds)
    if LEVELS in kinds:
        starts = {shape.kind: shape for shape in [level, *found]}.values()
        found += [
            shape for start in starts for shape in _levels(start, max_levels, known_log_offset)
        ]
    return sorted(found or [level], key=lambda shape: -shape.log_evidence)


def _reliefs(start: Shape, level: Shape, scores: _Scores, kinds: tuple[str, ...]) -> list[Shape]:
    """Slope, stands and terrain, as far as they may be and are worth a fit.

    Args:
        start: level ground, at which the scores are; level: the same, fitted as long as the others.
    """
    found = []
    least = -math.inf if len(kinds) == 1 else _WORTH_A_FIT
    if SLOPE in kinds:
        tilted = Relief.tilted(_TILT_SD)
        gain, tilt = scores.together(scores.where, tilted.information)
        least = max(least, gain - _HANDICAP)
        found += _slopes(start, tilted.moved(tilt))
    where = scores.where[scores.stands]
    if STANDS in kinds and len(where) >= _LEAST_PEOPLE:
        found += _stands(level, where, scores, least)
    if TERRAIN in kinds and len(where) >= _LEAST_PEOPLE:
        found += _terrain(level, where, scores, least)
    return found


def _slopes(start: Shape, tilted: Relief) -> list[Shape]:
    """One slope, as streets have it; and as stands have it, where the first is steep."""
    usual = -math.log(1 - _STEEP_SHARE)
    slope = _fitted(SLOPE, start.problem, start.view, start.population, tilted, usual)
    ground = slope.problem.ground
    if not isinstance(ground, Relief) or np.linalg.norm(ground.tilt) < _IS_STEEP * _TILT_SD:
        return [slope]
    steep = Relief.tilted(_RISE_SD).moved(ground.tilt)
    log_choices = -math.log(_STEEP_SHARE)
    return [slope, _fitted(SLOPE, slope.problem, slope.view, slope.population, steep, log_choices)]


def probabilities(shapes: list[Shape]) -> dict[str, float]:
    """Of every kind that was fitted, by its best shape; they add up to 1."""
    best = {shape.kind: shape.log_evidence for shape in reversed(shapes)}
    highest = max(best.values())
    weight = {kind: math.exp(max(value - highest, -700.0)) for kind, value in best.items()}
    total = sum(weight.values())
    return {kind: weight[kind] / total for kind in KINDS if kind in weight}


def doubt_of_slope(problem: Problem, view: View, population: Population) -> FloatArray:
    """(4, 4) what the variance of a view above level ground grows by, since the ground may slope a little.

    A slope towards the camera looks like another focal length and another gravity. Level ground is the
    answer where people do not clearly tell otherwise, and this says how far it may be wrong: a tilt is one more
    unknown, whose variance is that of all grounds that count as level.
    """
    scores = _Scores.of(problem, view, population)
    stiff = scores.where.T @ (scores.where * scores.stiffness[:, None])
    shared = scores.cross.T @ scores.where
    told = shared @ np.linalg.solve(stiff + np.eye(2) / _UNSEEN_TILT_SD**2, shared.T)
    free = problem.prior.is_free
    wider = np.zeros((4, 4))
    wider[np.ix_(free, free)] = np.linalg.inv(scores.inner - told) - np.linalg.inv(scores.inner)
    return positive_part(wider)


def _shape(
    kind: str, problem: Problem, view: View, population: Population, log_choices: float = 0.0
) -> Shape:
    cost = objective(problem, view, population)
    prediction = problem.predict(view)
    parts = problem.components(prediction, population)
    hessian = _free_hessian(problem, view, prediction, parts)
    log_volume = -0.5 * float(np.linalg.slogdet(hessian)[1])
    if isinstance(problem.ground, Relief):
        log_volume += 0.5 * float(np.linalg.slogdet(problem.ground.information)[1])
    evidence = -cost + log_volume + _LOG_PRIOR[kind] - log_choices
    return Shape(kind, problem, view, population, evidence)


def _free_hessian(
    problem: Problem, view: View, prediction: Prediction, parts: Components
) -> FloatArray:
    """(F, F) of the cost by what is free of view and ground, priors and other evidence included."""
    _, hessian = score_and_hessian(problem, view, prediction, parts)
    hessian = hessian + problem.expand_all_beside_people(view)[1]
    return np.asarray(hessian[np.ix_(problem.is_free, problem.is_free)])


def _fitted(
    kind: str,
    problem: Problem,
    view: View,
    population: Population,
    relief: Relief,
    log_choices: float = 0.0,
    rounds: int = _ROUNDS,
) -> Shape:
    """View, ground and population in turn, from a first guess of the ground."""
    start = Shape(kind, replace(problem, ground=relief), view, population, -math.inf)
    return settled(start, log_choices, rounds)


def settled(shape: Shape, log_choices: float = 0.0, rounds: int = _ROUNDS) -> Shape:
    """A shape after as many rounds of fitting as lower its cost, at most `rounds`."""
    problem, view, population = shape.problem, shape.view, shape.population
    before = math.inf
    for _ in range(rounds):
        problem, view = minimise_all(problem, view, population, renewals=2, steps=_FIT_STEPS)
        population, _ = renewed(problem, view, population)
        cost = objective(problem, view, population)
        if before - cost < _SETTLED_GAIN:
            break
        before = cost
    return _shape(shape.kind, problem, view, population, log_choices)


def _places(problem: Problem, view: View) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """(N, 2) where the sticks stand, in camera heights, and (N,) whether they do."""
    footing = problem.footing(view)
    rays, _ = rays_of(view, problem.sticks, problem.center_px)
    depth = footing.depth / math.exp(view.log_offset)
    where = depth[:, None] * (rays @ level_axes(view.normal).T)
    return np.where(footing.is_met[:, None], where, 0.0), footing.is_met


# -- levels


def _levels(start: Shape, max_levels: int, known_log_offset: float | None) -> list[Shape]:
    """Several levels, looked for with the camera of another shape: one bent by level ground hides the steps."""
    level = replace(start.problem, ground=None)
    view, grounds, price = find_grounds(
        level, start.view, start.population, max_levels, known_log_offset
    )
    if len(grounds.log_ratio) < 2:
        return []
    view, grounds = largest_first(view, grounds, known_log_offset)
    problem = replace(level, ground=grounds)
    population, _ = renewed(problem, view, start.population)
    problem, view = minimise_all(problem, view, population, renewals=2, steps=_FIT_STEPS)
    return [_shape(LEVELS, problem, view, population, price)]


def given_levels(start: Shape, level: npt.NDArray[np.int64], count: int) -> Shape:
    """The levels on which it is known who stands, fitted.

    Args:
        start: above one level; level: (N,) of every stick, -1 where it is not known; count: of levels.
    """
    view, population, grounds = given_grounds(
        start.problem, start.view, start.population, level, count
    )
    problem = replace(start.problem, ground=grounds)
    return settled(Shape(LEVELS, problem, view, population, -math.inf))


# -- stands and stairs


def _stands(level: Shape, where: FloatArray, scores: _Scores, least: float) -> list[Shape]:
    """The best hinge, and a second one for where it ends, as long as the evidence grows."""
    extent, hinges = _extent(where), _hinges(where)
    log_choices = math.log(len(hinges))
    best, found = level, list[Shape]()
    for count in range(1, _MOST_HINGES + 1):
        gains, rises = scores.singly(_hinge_columns(scores, hinges), _RISE_SD**-2.0)
        if gains.max() - log_choices < least:
            break
        tried = [
            _fitted(
                STANDS,
                best.problem,
                best.view,
                best.population,
                _with_hinge(best.problem.ground, hinges[k] * [rises[k], 1.0, 1.0], extent),
                count * log_choices,
                rounds=1,
            )
            for k in _best_of_each_side(gains, hinges)
        ]
        trial = settled(max(tried, key=lambda shape: shape.log_evidence), count * log_choices)
        if found and trial.log_evidence <= best.log_evidence:
            break
        best, found = trial, [trial]
        scores = _Scores.of(best.problem, best.view, best.population)
    return found


def _best_of_each_side(gains: FloatArray, hinges: FloatArray) -> list[int]:
    """The best hinge that rises ahead, and so on for each quarter, of those that gain nearly as much as any.

    What gains most above a camera that was bent by level ground need not be right.
    """
    quarter = np.round(hinges[:, 1] / (math.pi / 2)).astype(np.int64) % 4
    best = [int(np.argmax(np.where(quarter == k, gains, -np.inf))) for k in range(4)]
    least = gains.max() - _WORTH_A_TRY * abs(gains.max())
    return [k for k in best if gains[k] >= least]


def _hinges(where: FloatArray) -> FloatArray:
    """(C, 3) hinges of rise 1 all over the places where people are."""
    found = []
    for azimuth in _AZIMUTHS_RAD:
        toward = np.array([math.sin(azimuth), math.cos(azimuth)])
        starts = np.quantile(where @ toward, _START_QUANTILES)
        found += [(1.0, azimuth, float(start)) for start in starts]
    return np.array(found)


def _hinge_columns(scores: _Scores, hinges: FloatArray) -> FloatArray:
    toward = np.stack([np.sin(hinges[:, 1]), np.cos(hinges[:, 1])])
    return np.asarray(np.maximum(scores.where @ toward - hinges[:, 2], 0.0))


def _with_hinge(ground: object, hinge: FloatArray, extent: float) -> Relief:
    """A relief with one more hinge. Where it begins, and towards where, may change as it is fitted."""
    before = ground if isinstance(ground, Relief) else Relief()
    return before.hinged(hinge, np.array([_RISE_SD, _AZIMUTH_SD_RAD, _START_SD * extent]))


# -- smooth terrain


def _terrain(level: Shape, where: FloatArray, scores: _Scores, least: float) -> list[Shape]:
    """A tilt and bumps of the size and height that the scores at the level fit ask for most."""
    extent = _extent(where)
    tried = []
    for reach in (share * extent for share in _REACHES):
        centers = _spread_places(where, reach)
        for sd in _BUMP_SDS:
            relief = Relief.smooth(centers, reach, sd, _TILT_SD)
            columns = relief.by_number(scores.where)
            gain, numbers = scores.together(columns, relief.information)
            tried.append((gain, relief.moved(numbers)))
    gain, best = max(tried, key=lambda one: one[0])
    log_choices = math.log(len(tried))
    if gain - log_choices < least:
        return []
    return [_fitted(TERRAIN, level.problem, level.view, level.population, best, log_choices)]


def _spread_places(where: FloatArray, apart: float) -> FloatArray:
    """Some of the places, each the farthest from those before, until all others are nearer than `apart`."""
    chosen = [int(np.argmin(np.sum((where - np.median(where, axis=0)) ** 2, axis=1)))]
    away = np.linalg.norm(where - where[chosen[0]], axis=1)
    while len(chosen) < _MOST_BUMPS and away.max() > apart:
        chosen.append(int(np.argmax(away)))
        away = np.minimum(away, np.linalg.norm(where - where[chosen[-1]], axis=1))
    return where[chosen]


def _extent(where: FloatArray) -> float:
    """How far people are apart: nine tenths of them, in camera heights."""
    low, high = np.quantile(where, [0.05, 0.95], axis=0)
    return float(max((high - low).max(), 1e-3))


# -- what a shape would gain, to second order


@dataclass(frozen=True)
class _Scores:
    """How the cost changes with the heights under the sticks, at a fit.

    Attributes:
        where: (N, 2) places of the sticks, in camera heights; stands: (N,) whether they are on the ground.
        pull, stiffness: (N,) first and second derivative of the log density by the height there, weighed.
        cross: (N, F) derivatives by that height and by what is free in the fit; inner: (F, F) its Hessian.
    """

    where: FloatArray
    stands: npt.NDArray[np.bool_]
    pull: FloatArray
    stiffness: FloatArray
    cross: FloatArray
    inner: FloatArray

    @classmethod
    def of(cls, problem: Problem, view: View, population: Population) -> _Scores:
        where, stands = _places(problem, view)
        prediction = problem.predict(view)
        parts = problem.components(prediction, population)
        _, membership, pull = densities(prediction, parts)
        blend = np.sum(membership[..., None, None] * parts.information, axis=0)
        force = np.sum(membership[..., None] * pull, axis=0)
        away = np.maximum(np.linalg.norm(where, axis=1), _NEAREST)
        by_height = np.where(stands[:, None], -prediction.by_grade / away[:, None], 0.0)
        weighed = np.einsum("nij,nj->ni", blend, by_height) * problem.weight[:, None]
        return cls(
            where=where,
            stands=stands,
            pull=problem.weight * np.sum(force * by_height, axis=1),
            stiffness=np.sum(weighed * by_height, axis=1),
            cross=np.einsum("ni,nif->nf", weighed, prediction.jacobian[:, :, problem.is_free]),
            inner=_free_hessian(problem, view, prediction, parts),
        )

    def singly(self, columns: FloatArray, information: float) -> tuple[FloatArray, FloatArray]:
        """(C,) nats gained by each of the columns (N, C) alone, and (C,) how much of it is best."""
        score = self.pull @ columns
        shared = self.cross.T @ columns
        stiff = self.stiffness @ columns**2 - np.sum(
            shared * np.linalg.solve(self.inner, shared), axis=0
        )
        whole = np.maximum(stiff, 0.0) + information
        return 0.5 * score**2 / whole - 0.5 * np.log(whole / information), score / whole

    def together(self, columns: FloatArray, information: FloatArray) -> tuple[float, FloatArray]:
        """Nats of evidence that the columns (N, K) gain together, and (K,) how much of each is best."""
        score = self.pull @ columns
        shared = self.cross.T @ columns
        stiff = columns.T @ (columns * self.stiffness[:, None])
        whole = stiff - shared.T @ np.linalg.solve(self.inner, shared) + information
        numbers = np.linalg.solve(whole, score)
        volume = np.linalg.slogdet(information)[1] - np.linalg.slogdet(whole)[1]
        return float(0.5 * score @ numbers + 0.5 * volume), np.asarray(numbers)
