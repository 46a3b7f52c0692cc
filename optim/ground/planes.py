"""More than one level of ground: terraces, platforms, stands. All share the camera and gravity.

Every person of known stature tells how high the camera is above the ground under their own feet; statures
vary, so the median over the nearest neighbours in the picture is used. A level is split in two where these
medians fall into two separate groups and the likelihood gains more than the new unknowns cost. Single children
and seated people among standing adults look like a lower ground too, but do not change the medians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from optim.ground.population import Components, Population, densities
from optim.ground.residuals import Prediction, View, adult_sd, log_offsets
from optim.ground.solver import (
    Problem,
    cost_of,
    minimise,
    objective,
    renewed,
    score_and_hessian,
)
from optim.projection import FloatArray

_NEIGHBOURS = 6
_MIN_PEOPLE, _MIN_SHARE = 12, 0.03
_MIN_COHERENCE = 0.6  # share of the members' neighbours who are members
_MIN_FALL = 1e-7
_MIN_STEP = 0.08  # of the logarithm of the offset, between two levels
_MAX_MISFIT = 3.0  # median chi-square per degree of freedom: seated people are no upright sticks
_MAX_LEAN_SD = 3.0
_LEVEL_COST, _LEVEL_COST_PER_LOG = 20.0, 5.0  # nats that a level must gain: a + b log(people)
_ROUNDS, _JOINT_STEPS = 8, 6
_SETTLED_GAIN = 1e-3  # nats
_MAX_STEP = 0.3
_SMOOTHING = 0.1  # neighbours that every level has for free
# A border drawn before the camera was right can only move if neighbours do not count at first.
_FIRST_ROUNDS, _FIRST_SMOOTHINGS = 2, (1000.0, 3.0, _SMOOTHING)
_SMOOTHINGS = (_SMOOTHING, _SMOOTHING)
# Of the logarithm of a level's offset, where it is told who stands there: so broad that three people overrule
# it, and the level of nobody is as high as the first.
_GIVEN_SD = 0.5


@dataclass(frozen=True)
class Grounds:
    """Levels of ground below one camera.

    Attributes:
        log_ratio: (P,) logarithm of every level's offset over that of the first.
        label: (N,) level of every stick.
        sd: of the logarithms of the ratios, before people tell.
    """

    log_ratio: FloatArray
    label: npt.NDArray[np.int64]
    sd: float = math.inf

    @property
    def numbers(self) -> FloatArray:
        """(P - 1,) logarithms of the ratios but the first, which is 0."""
        return self.log_ratio[1:]

    @property
    def information(self) -> FloatArray:
        """(P - 1, P - 1) of what is known of the levels beforehand."""
        return np.eye(len(self.numbers)) / self.sd**2

    def moved(self, step: FloatArray) -> Grounds:
        """With (P - 1,) added to the numbers."""
        return replace(self, log_ratio=self.log_ratio + np.append(0.0, step))

    def take(self, rows: npt.NDArray[np.int64]) -> Grounds:
        """The levels of some of the sticks."""
        return replace(self, label=self.label[rows])

    def all_on(self, level: int) -> Grounds:
        """With everybody on one level."""
        return replace(self, label=np.full(len(self.label), level))

    def cost(self) -> float:
        """Of the numbers; what is said by who stands on which level is counted apart, see `find_grounds`."""
        return 0.5 * float(self.numbers @ self.numbers) / self.sd**2

    def gradient(self) -> FloatArray:
        """(P - 1,) of that cost."""
        return self.numbers / self.sd**2

    def depths(
        self, ways: FloatArray, falls: FloatArray, above: float | FloatArray = 0.0
    ) -> FloatArray:
        """(N,) how many times the rays of the sticks have to be followed to their levels."""
        down = np.exp(self.log_ratio)[self.label] - above
        return np.where(
            (falls > _MIN_FALL) & (down > 0), down / np.maximum(falls, _MIN_FALL), np.nan
        )

    def slopes(self, where: FloatArray) -> FloatArray:
        """(N, 2) none."""
        return np.zeros((len(where), 2))

    def by_number(self, where: FloatArray) -> FloatArray:
        """(N, P - 1) of the height of every stick's level: it sinks as the camera rises above it."""
        own = self.label[:, None] == np.arange(1, len(self.log_ratio))
        return np.asarray(-np.exp(self.log_ratio[1:]) * own)


def find_grounds(
    problem: Problem,
    view: View,
    population: Population,
    max_planes: int,
    known_log_offset: float | None = None,
) -> tuple[View, Grounds, float]:
    """Splits levels while the people ask for it; the camera is refined with each new one.

    Args:
        known_log_offset: of one of the levels, which then stays the first, if the camera's height is given.

    Returns:
        The view, the levels, and the nats that they cost besides what `objective` counts.
    """
    grounds = Grounds(np.zeros(1), np.zeros(len(problem.sticks), dtype=np.int64))
    if len(problem.sticks) < 2 * _MIN_PEOPLE:
        return view, grounds, 0.0
    near = _neighbours(problem)
    cost = objective(problem, view, population)
    price = _LEVEL_COST + _LEVEL_COST_PER_LOG * math.log(len(problem.sticks))
    level = 0
    while len(grounds.log_ratio) < max_planes and level < len(grounds.log_ratio):
        split = _split(problem, view, grounds, level, near)
        if split is not None:
            start = _with_reference(view, split, known_log_offset)
            trial = _refine(problem, *start, population, near)
            if trial[3] < cost - price and _stand_together(trial[2], near):
                view, population, grounds, cost = trial
                level = 0
                continue
        level += 1
    beside = (len(grounds.log_ratio) - 1) * price + _label_cost(problem, grounds, near)
    return view, grounds, beside


def given_grounds(
    problem: Problem, view: View, population: Population, level: npt.NDArray[np.int64], count: int
) -> tuple[View, Population, Grounds]:
    """Levels of which it is known who stands on them; the camera is refined with them.

    Args:
        view: above one level; level: (N,) of every stick, counted from 0, or -1 where it is not known. Those go
            to the likeliest level.
        count: of levels.
    """
    relative = _relative_log_offset(problem, view)
    log_ratio = np.zeros(count)
    for k in range(count):
        told = relative[(level == k) & np.isfinite(relative)]
        log_ratio[k] = np.median(told) if len(told) else 0.0
    away = np.abs(np.nan_to_num(relative) - log_ratio[:, None])
    label = np.where(level >= 0, level, np.argmin(away, axis=0))
    start = Grounds(log_ratio, label, _GIVEN_SD)
    view, grounds = _renumbered(view, start, np.arange(count))
    view, population, grounds, _ = _refine(
        problem, view, grounds, population, _neighbours(problem), level
    )
    return view, population, grounds


def _neighbours(problem: Problem) -> npt.NDArray[np.int64]:
    """(N, 1 + K) everybody, followed by the K who stand nearest in the picture."""
    places = problem.sticks.bottom_px
    count = min(_NEIGHBOURS + 1, len(places))
    return np.asarray(cKDTree(places).query(places, np.arange(1, count + 1))[1])


def _relative_log_offset(problem: Problem, view: View) -> FloatArray:
    """(N,) what each stick says of the log offset less the view's; NaN for those that lean."""
    log_offset, lean = log_offsets(
        view.normal[None],
        np.exp([view.log_focal]),
        problem.sticks,
        problem.center_px,
        problem.stature_m,
    )
    _, lean_sd = adult_sd(problem.sticks)
    upright = np.abs(lean[0]) < _MAX_LEAN_SD * lean_sd
    if not problem.sticks.sees_angle:
        upright[:] = True
    return np.where(upright, log_offset[0] - view.log_offset, np.nan)


def _split(
    problem: Problem, view: View, grounds: Grounds, level: int, near: npt.NDArray[np.int64]
) -> Grounds | None:
    """One level as two, by the threshold on the local medians that parts them best (Otsu 1979)."""
    relative = np.where(grounds.label == level, _relative_log_offset(problem, view), np.nan)
    around = np.sort(relative[near], axis=1)  # NaN last
    count = np.isfinite(around).sum(axis=1)
    use = (grounds.label == level) & (count > _NEIGHBOURS // 2)
    rows = np.flatnonzero(use)
    least = max(_MIN_PEOPLE, int(_MIN_SHARE * len(problem.sticks)))
    if len(rows) < 2 * least:
        return None
    local = around[rows, (count[rows] - 1) // 2]
    ordered = np.sort(local)
    low_count = np.arange(least, len(rows) - least + 1)
    total = np.cumsum(ordered)
    low = total[low_count - 1] / low_count
    high = (total[-1] - total[low_count - 1]) / (len(rows) - low_count)
    best = int(np.argmax(low_count * (len(rows) - low_count) * (high - low) ** 2))
    if high[best] - low[best] < _MIN_STEP:
        return None
    is_high = np.zeros(len(use), dtype=bool)
    is_high[rows] = local >= ordered[low_count[best]]
    is_low = use & ~is_high
    new, old = (is_high, is_low) if is_low.sum() >= is_high.sum() else (is_low, is_high)
    if np.median(problem.sticks.misfit[new]) > _MAX_MISFIT:
        return None
    log_ratio = np.append(grounds.log_ratio, np.nanmedian(relative[new]))
    log_ratio[level] = np.nanmedian(relative[old])
    label = np.where(new, len(grounds.log_ratio), grounds.label)
    return Grounds(log_ratio, label)


def _stand_together(grounds: Grounds, near: npt.NDArray[np.int64]) -> bool:
    """Whether every level holds enough people, most of whose neighbours are on it too."""
    for k in range(len(grounds.log_ratio)):
        members = grounds.label == k
        if members.sum() < _MIN_PEOPLE or members[near[members, 1:]].mean() < _MIN_COHERENCE:
            return False
    return True


def _refine(
    problem: Problem,
    view: View,
    grounds: Grounds,
    population: Population,
    near: npt.NDArray[np.int64],
    told: npt.NDArray[np.int64] | None = None,
) -> tuple[View, Population, Grounds, float]:
    """Camera, ratios, labels and population in turn; ends with the cost.

    Args:
        told: (N,) labels that stay as they are, -1 for those that may change.
    """
    view = minimise(_levelled(problem, grounds), view, population)
    for k in range(_ROUNDS):
        view, grounds = _settled(problem, view, population, grounds)
        before = grounds.label
        smoothings = _FIRST_SMOOTHINGS if k < _FIRST_ROUNDS else _SMOOTHINGS
        label = _labels(problem, view, population, grounds, near, smoothings)
        if told is not None:
            label = np.where(told >= 0, told, label)
        grounds = replace(grounds, label=label)
        levelled = _levelled(problem, grounds)
        population, _ = renewed(levelled, view, population)
        if np.array_equal(before, grounds.label):
            break
    cost = objective(levelled, view, population) + _label_cost(problem, grounds, near)
    return view, population, grounds, cost


def _with_reference(
    view: View, grounds: Grounds, known_log_offset: float | None
) -> tuple[View, Grounds]:
    """The view above its first level; that is the one nearest to a known height, if there is one."""
    order = np.arange(len(grounds.log_ratio))
    if known_log_offset is not None:
        apart = np.abs(view.log_offset + grounds.log_ratio - known_log_offset)
        order = np.argsort(apart, kind="stable")[:1]
        order = np.append(order, np.delete(np.arange(len(apart)), order))
    return _renumbered(view, grounds, order)


@dataclass(frozen=True)
class _Guess:
    """View and levels with what they predict; `problem` is that of these levels."""

    problem: Problem
    view: View
    grounds: Grounds
    prediction: Prediction
    parts: Components
    cost: float

    @classmethod
    def of(cls, problem: Problem, view: View, population: Population, grounds: Grounds) -> _Guess:
        levelled = _levelled(problem, grounds)
        prediction = levelled.predict(view)
        parts = levelled.components(prediction, population)
        cost = cost_of(levelled, view, prediction, parts)
        return cls(levelled, view, grounds, prediction, parts, cost)


def _settled(
    problem: Problem, view: View, population: Population, grounds: Grounds
) -> tuple[View, Grounds]:
    """View and levels after a few damped Newton steps in all of them at once, labels unchanged.

    One after the other would creep: a camera that tilts and a level that sinks look much alike.
    """
    guess = _Guess.of(problem, view, population, grounds)
    for _ in range(_JOINT_STEPS):
        step = _newton_step(guess)
        for shrink in (1.0, 0.3, 0.1):
            moved = guess.grounds.moved(shrink * step[4:])
            trial = _Guess.of(problem, guess.view.moved(shrink * step[:4]), population, moved)
            if trial.cost < guess.cost:
                break
        else:
            break
        gain, guess = guess.cost - trial.cost, trial
        if gain < _SETTLED_GAIN:
            break
    return guess.view, guess.grounds


def _newton_step(guess: _Guess) -> FloatArray:
    """(4 + P - 1,) for the view and the logarithms of the levels' ratios but the first.

    A level's ratio moves its own people as the view's log offset moves everybody.
    """
    problem = guess.problem
    scores, hessian = score_and_hessian(problem, guess.view, guess.prediction, guess.parts)
    slope, curvature = problem.expand_all_beside_people(guess.view)
    gradient, hessian = slope - problem.weight @ scores, hessian + curvature
    free = problem.is_free
    keep = np.ix_(free, free)
    step = np.zeros(len(gradient))
    step[free] = -np.linalg.solve(hessian[keep] + 1e-9 * np.eye(int(free.sum())), gradient[free])
    return np.asarray(np.clip(step, -_MAX_STEP, _MAX_STEP))


def _levelled(problem: Problem, grounds: Grounds) -> Problem:
    return replace(problem, ground=grounds)


def _labels(
    problem: Problem,
    view: View,
    population: Population,
    grounds: Grounds,
    near: npt.NDArray[np.int64],
    smoothings: tuple[float, ...],
) -> npt.NDArray[np.int64]:
    """(N,) the likeliest level of everybody, with the neighbours' levels as prior."""
    evidence = []
    for k in range(len(grounds.log_ratio)):
        level = _levelled(problem, grounds.all_on(k))
        prediction = level.predict(view)
        evidence.append(densities(prediction, level.components(prediction, population))[0])
    label = grounds.label
    for smoothing in smoothings:
        prior = _log_label_prior(label, len(evidence), near, smoothing)
        label = np.argmax(np.stack(evidence) + prior, axis=0)
    return label


def _log_label_prior(
    label: npt.NDArray[np.int64], count: int, near: npt.NDArray[np.int64], smoothing: float
) -> FloatArray:
    """(P, N) logarithm of each level's share among everybody's neighbours."""
    beside = np.stack([(label[near[:, 1:]] == k).sum(axis=1) for k in range(count)])
    return np.asarray(np.log((beside + smoothing) / (_NEIGHBOURS + count * smoothing)))


def _label_cost(problem: Problem, grounds: Grounds, near: npt.NDArray[np.int64]) -> float:
    """What it costs to say who stands on which level: little where the levels do not mingle."""
    prior = _log_label_prior(grounds.label, len(grounds.log_ratio), near, _SMOOTHING)
    return -float(problem.weight @ prior[grounds.label, np.arange(len(grounds.label))])


def largest_first(
    view: View, grounds: Grounds, known_log_offset: float | None = None
) -> tuple[View, Grounds]:
    """Renumbered: the level of most people, or that of a known height, is the first and the view's own."""
    if known_log_offset is not None:
        return _with_reference(view, grounds, known_log_offset)
    count = np.bincount(grounds.label, minlength=len(grounds.log_ratio))
    return _renumbered(view, grounds, np.argsort(-count, kind="stable"))


def _renumbered(view: View, grounds: Grounds, order: npt.NDArray[np.int64]) -> tuple[View, Grounds]:
    """The levels in another order, and the view above the first of them."""
    rank = np.argsort(order, kind="stable")
    base = float(grounds.log_ratio[order[0]])
    renamed = replace(grounds, log_ratio=grounds.log_ratio[order] - base, label=rank[grounds.label])
    return replace(view, log_offset=view.log_offset + base), renamed
