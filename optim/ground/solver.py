"""Finds the best view, and ground, near a start: Levenberg-Marquardt on the mixture's likelihood (EM).

Each person's memberships in the mixture weigh their normal equations. The covariances are held fixed while the
view moves and renewed between searches; otherwise the search could gain by predicting longer or shorter
people. Steps that raise the cost are rejected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from optim.ground.evidence import Evidence
from optim.ground.population import Components, Population, components, densities, reestimated
from optim.ground.relief import Ground, footing
from optim.ground.residuals import Footing, Prediction, View, level_footing, predict
from optim.ground.sticks import Sticks
from optim.projection import FloatArray

_MAX_STEP = np.array([0.4, 0.15, 0.15, 0.4])
_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Prior:
    """Gaussian prior about a view; infinite information where a parameter is fixed.

    Attributes:
        mean: the view it is centred on.
        information: (4,) over (log focal, pitch tangent, roll tangent, log offset).
        is_free: (4,) False for parameters that are given.
    """

    mean: View
    information: FloatArray
    is_free: npt.NDArray[np.bool_]

    def cost(self, view: View) -> float:
        return 0.5 * float(np.sum(self.information * self._apart(view) ** 2))

    def gradient(self, view: View) -> FloatArray:
        return np.asarray(self.information * self._apart(view))

    def _apart(self, view: View) -> FloatArray:
        (pitch, roll), (pitch_0, roll_0) = view.pitch_roll, self.mean.pitch_roll
        turn = np.arctan2(np.sin(roll - roll_0), np.cos(roll - roll_0)) * np.cos(pitch)
        return np.array(
            [
                view.log_focal - self.mean.log_focal,
                pitch - pitch_0,
                turn,
                view.log_offset - self.mean.log_offset,
            ]
        )


@dataclass(frozen=True)
class Problem:
    """What stays the same while the view moves, and the ground, which may move with it."""

    sticks: Sticks
    weight: FloatArray
    center_px: FloatArray
    stature_m: float
    prior: Prior
    ground: Ground | None = None
    evidence: tuple[Evidence, ...] = ()

    def predict(self, view: View) -> Prediction:
        """What the view predicts of the sticks; the Jacobian is by the view and the ground's numbers."""
        return predict(view, self.sticks, self.center_px, self.stature_m, self.footing(view))

    def footing(self, view: View) -> Footing:
        """Where the sticks stand."""
        if self.ground is None:
            return level_footing(view, self.sticks, self.center_px, self.stature_m)
        return footing(self.ground, view, self.sticks, self.center_px, self.stature_m)

    @property
    def is_free(self) -> npt.NDArray[np.bool_]:
        """(4 + K,) whether parameters of the view, and numbers of the ground, may move."""
        return np.append(self.prior.is_free, np.ones(self.n_ground, dtype=bool))

    @property
    def n_ground(self) -> int:
        """Numbers of the ground."""
        return 0 if self.ground is None else len(self.ground.numbers)

    def components(self, prediction: Prediction, population: Population) -> Components:
        return components(prediction, self.sticks, population, self.stature_m)

    def take(self, rows: npt.NDArray[np.int64]) -> Problem:
        """The problem of some of the people, without other evidence."""
        return replace(
            self,
            sticks=self.sticks.take(rows),
            weight=self.weight[rows],
            ground=None if self.ground is None else self.ground.take(rows),
            evidence=(),
        )

    def cost_beside_people(self, view: View) -> float:
        """Of the priors of view and ground, and of all other evidence."""
        of_ground = 0.0 if self.ground is None else self.ground.cost()
        return self.prior.cost(view) + of_ground + sum(term.cost(view) for term in self.evidence)

    def expand_beside_people(self, view: View) -> tuple[FloatArray, FloatArray]:
        """Gradient (4,) and Hessian (4, 4) of the view's prior and of all other evidence."""
        gradient, hessian = self.prior.gradient(view), np.diag(self.prior.information)
        for term in self.evidence:
            _, slope, curvature = term.expand(view)
            gradient, hessian = gradient + slope, hessian + curvature
        return gradient, hessian

    def expand_all_beside_people(self, view: View) -> tuple[FloatArray, FloatArray]:
        """The same (4 + K,) and (4 + K, 4 + K) for view and ground."""
        gradient, hessian = self.expand_beside_people(view)
        if self.ground is None:
            return gradient, hessian
        whole = np.zeros((4 + self.n_ground, 4 + self.n_ground))
        whole[:4, :4], whole[4:, 4:] = hessian, self.ground.information
        return np.concatenate([gradient, self.ground.gradient()]), whole

    def moved(self, step: FloatArray) -> Problem:
        """With (K,) added to the ground's numbers."""
        return self if self.ground is None else replace(self, ground=self.ground.moved(step))


def objective(problem: Problem, view: View, population: Population) -> float:
    """Negative log posterior, with the covariances of this very view; compares different starts."""
    prediction = problem.predict(view)
    parts = problem.components(prediction, population)
    return cost_of(problem, view, prediction, parts)


def cost_of(problem: Problem, view: View, prediction: Prediction, parts: Components) -> float:
    """Negative log posterior with covariances of another view."""
    log_density, _, _ = densities(prediction, parts)
    return problem.cost_beside_people(view) - float(problem.weight @ log_density)


def score_and_hessian(
    problem: Problem, view: View, prediction: Prediction, parts: Components
) -> tuple[FloatArray, FloatArray]:
    """People's gradients (N, K) of the log density by what the Jacobian is of, and the EM Hessian (K, K)."""
    _, membership, pull = densities(prediction, parts)
    u, v = prediction.jacobian[:, 0], prediction.jacobian[:, 1]
    blend = np.sum(membership[..., None, None] * parts.information, axis=0)
    blend *= problem.weight[:, None, None]
    force = np.sum(membership[..., None] * pull, axis=0)
    scores = force[:, :1] * u + force[:, 1:] * v
    across = (u * blend[:, 0, 1, None]).T @ v
    hessian = (u * blend[:, 0, 0, None]).T @ u + (v * blend[:, 1, 1, None]).T @ v
    return scores, hessian + across + across.T


def renewed(problem: Problem, view: View, population: Population) -> tuple[Population, FloatArray]:
    """The population after one M-step at a view, and the memberships (K, N) that it follows from."""
    prediction = problem.predict(view)
    parts = problem.components(prediction, population)
    membership = densities(prediction, parts)[1]
    again = reestimated(
        population, prediction, parts, membership, problem.weight, problem.sticks.is_seated
    )
    return again, membership


def minimise(
    problem: Problem, view: View, population: Population, *, renewals: int = 3, steps: int = 12
) -> View:
    """The nearest minimum of the robust cost, the ground staying as it is.

    Args:
        renewals: how often the covariances are renewed.
        steps: of Levenberg-Marquardt per renewal, at most.
    """
    free = problem.prior.is_free
    return _search(problem, view, population, free, renewals, steps)[1]


def minimise_all(
    problem: Problem, view: View, population: Population, *, renewals: int = 3, steps: int = 12
) -> tuple[Problem, View]:
    """The nearest minimum of the robust cost over view and ground; arguments as for `minimise`."""
    return _search(problem, view, population, problem.is_free, renewals, steps)


def _search(
    problem: Problem,
    view: View,
    population: Population,
    is_free: npt.NDArray[np.bool_],
    renewals: int,
    steps: int,
) -> tuple[Problem, View]:
    """`is_free`: (4,), or (4 + K,) if the ground moves as well."""
    free = np.flatnonzero(is_free)
    if len(free) == 0:
        return problem, view
    with_ground = len(is_free) > 4
    size = len(is_free)
    damping = 1e-3
    for _ in range(renewals):
        prediction = problem.predict(view)
        parts = problem.components(prediction, population)
        cost = start_cost = cost_of(problem, view, prediction, parts)
        for _ in range(steps):
            scores, hessian = score_and_hessian(problem, view, prediction, parts)
            slope, curvature = problem.expand_all_beside_people(view)
            slope, curvature = slope[:size], curvature[:size, :size]
            gradient = slope - problem.weight @ scores[:, :size]
            hessian = hessian[:size, :size] + curvature
            improved = False
            while damping < 1e8:
                step = _step(gradient, hessian, damping, free)
                trial, changed = view.moved(step[:4]), problem
                if with_ground:
                    changed = problem.moved(step[4:])
                trial_prediction = changed.predict(trial)
                trial_cost = cost_of(changed, trial, trial_prediction, parts)
                if trial_cost < cost:
                    improved = True
                    break
                damping = max(damping * 6.0, 1e-6)
                if np.max(np.abs(step)) < 1e-10:
                    break
            if not improved:
                damping = 1e-3
                break
            gain, cost = cost - trial_cost, trial_cost
            problem, view, prediction = changed, trial, trial_prediction
            damping = max(damping * 0.2, 1e-9)
            if gain < _TOLERANCE * (1.0 + abs(cost)):
                break
        if start_cost - cost < 1e-7 * (1.0 + abs(cost)):
            break
    return problem, view


def _step(
    gradient: FloatArray, hessian: FloatArray, damping: float, free: npt.NDArray[np.int64]
) -> FloatArray:
    """A damped Newton step in the free parameters, that of the view of limited length."""
    inner = hessian[np.ix_(free, free)]
    damped = inner + np.diag(damping * np.diag(inner) + 1e-12)
    step = np.zeros(len(gradient))
    step[free] = -np.linalg.solve(damped, gradient[free])
    longest = float(np.max(np.abs(step[:4]) / _MAX_STEP))
    return np.asarray(step * min(1.0, 1.0 / max(longest, 1e-12)))
