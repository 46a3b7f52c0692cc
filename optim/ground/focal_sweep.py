"""What people say of an unknown focal length where the ground may have any shape.

A slope towards the camera and another focal length look alike, so the posterior has a long valley, or several.
The shapes of the ground are fitted at focal lengths all over the prior, and compared: the answer is the most
probable one, and its doubt is that of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from optim.ground.choose import Shape, fitted_shapes, settled
from optim.ground.population import Population
from optim.ground.residuals import View
from optim.ground.solver import Problem, renewed
from optim.ground.starts import SWEEP_FOV_DEG, best_start
from optim.projection import FloatArray

_STEP = 0.45  # of log focal: the largest between two of the sweep
_NARROW_SD, _AROUND = (
    0.3,
    np.linspace(-2.0, 2.0, 5),
)  # of log focal; standard deviations of such a prior


@dataclass(frozen=True)
class Swept:
    """Shapes of the ground at several focal lengths.

    Attributes:
        shapes: with the focal length held; log_weights: (M,) logarithms of their probabilities.
    """

    shapes: list[Shape]
    log_weights: FloatArray

    @property
    def best(self) -> Shape:
        """The most probable shape, of the kind that is most probable over all focal lengths."""
        totals = self.log_totals
        kind = max(totals, key=lambda kind: totals[kind])
        of_kind = [i for i, shape in enumerate(self.shapes) if shape.kind == kind]
        return self.shapes[max(of_kind, key=lambda i: self.log_weights[i])]

    @property
    def log_totals(self) -> dict[str, float]:
        """Logarithm of the probability of every kind, at whatever focal length."""
        found = {shape.kind: [-np.inf] for shape in self.shapes}
        for shape, weight in zip(self.shapes, self.log_weights, strict=True):
            found[shape.kind].append(float(weight))
        return {kind: float(np.logaddexp.reduce(weights)) for kind, weights in found.items()}

    @property
    def log_focal(self) -> float:
        """Mean over all shapes. The peak of a long valley is where the priors of the ground put it."""
        return float(np.exp(self.log_weights) @ [shape.view.log_focal for shape in self.shapes])

    def share_near(self, log_focal: float) -> float:
        """How probable focal lengths are within a step of the sweep of this one."""
        away = np.array([shape.view.log_focal - log_focal for shape in self.shapes])
        return float(np.exp(self.log_weights) @ (np.abs(away) < _STEP))

    def spread_about(self, view: View) -> FloatArray:
        """(4, 4) second moments of the views about one of them, in its tangents."""
        apart = np.array([shape.view.minus(view) for shape in self.shapes])
        return np.asarray((np.exp(self.log_weights)[:, None] * apart).T @ apart)


def swept(
    problem: Problem,
    population: Population,
    width_px: float,
    kinds: tuple[str, ...],
    max_levels: int,
    known_log_offset: float | None,
) -> Swept:
    """Fits the kinds of ground at focal lengths all over what pictures have.

    Args:
        problem: with level ground and a free focal length; population: to begin with.
        kinds, max_levels, known_log_offset: as of `fitted_shapes`.
    """
    shapes, log_weights = list[Shape](), list[float]()
    for log_focal in _log_focals(problem, width_px):
        known = held(problem, log_focal)
        view, _ = best_start(known, population, width_px)
        if view is None:
            continue
        people, _ = renewed(known, view, population)
        prior = -problem.prior.cost(replace(problem.prior.mean, log_focal=log_focal))
        for shape in fitted_shapes(known, view, people, kinds, max_levels, known_log_offset):
            shapes.append(shape)
            log_weights.append(shape.log_evidence + prior)
    weights = np.array(log_weights)
    return Swept(shapes, weights - np.logaddexp.reduce(weights))


def _log_focals(problem: Problem, width_px: float) -> FloatArray:
    """Focal lengths all over the prior, evenly where that is narrow."""
    prior = problem.prior
    sd = float(prior.information[0]) ** -0.5
    if sd < _NARROW_SD:
        return np.asarray(prior.mean.log_focal + sd * _AROUND)
    return np.log(0.5 * width_px / np.tan(np.radians(SWEEP_FOV_DEG) / 2))


def near_prior(problem: Problem, shape: Shape) -> Swept:
    """One shape at focal lengths of a narrow prior.

    The peak over all unknowns is where the ground is flattest; its volume counts as well.
    """
    prior = problem.prior
    shapes, log_weights = list[Shape](), list[float]()
    for log_focal in _log_focals(problem, 0.0):
        known = held(replace(problem, ground=shape.problem.ground), float(log_focal))
        view = replace(shape.view, log_focal=float(log_focal))
        again = settled(replace(shape, problem=known, view=view))
        shapes.append(again)
        log_weights.append(
            again.log_evidence - prior.cost(replace(prior.mean, log_focal=log_focal))
        )
    weights = np.array(log_weights)
    return Swept(shapes, weights - np.logaddexp.reduce(weights))


def held(problem: Problem, log_focal: float) -> Problem:
    """The problem with the focal length known."""
    prior = problem.prior
    free = prior.is_free.copy()
    free[0] = False
    information = np.where(free, prior.information, 0.0)
    mean = replace(prior.mean, log_focal=log_focal)
    return replace(problem, prior=replace(prior, mean=mean, information=information, is_free=free))
