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
_NARROW_SD = 0.3  # of log focal: priors that are narrower are swept themselves,
_AROUND = np.linspace(-2.0, 2.0, 5)  # at so many of their standard deviations


@dataclass(frozen=True)
class Swept:
    """Shapes of the ground at several focal lengths.

    Attributes:
        shapes: with the focal length held; log_weights: (M,) logarithms of their probabilities.
    """

    shapes: list[Shape]
    log_weights: FloatArray

    @classmethod
    def of(cls, problem: Problem, shapes: list[Shape]) -> Swept:
        """Shapes fitted with the focal length held, weighed by their evidence and the prior of a problem."""
        prior = problem.prior
        costs = [prior.cost(replace(prior.mean, log_focal=s.view.log_focal)) for s in shapes]
        weights = np.array([shape.log_evidence for shape in shapes]) - costs
        return cls(shapes, weights - np.logaddexp.reduce(weights))

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
    shapes = list[Shape]()
    for log_focal in _log_focals(problem, width_px):
        known = held(problem, log_focal)
        view, _ = best_start(known, population, width_px)
        if view is None:
            continue
        people, _ = renewed(known, view, population)
        shapes += fitted_shapes(known, view, people, kinds, max_levels, known_log_offset)
    return Swept.of(problem, shapes)


def _log_focals(problem: Problem, width_px: float) -> FloatArray:
    """Focal lengths all over the prior, evenly where that is narrow."""
    if float(problem.prior.information[0]) ** -0.5 < _NARROW_SD:
        return _around(problem)
    return np.log(0.5 * width_px / np.tan(np.radians(SWEEP_FOV_DEG) / 2))


def _around(problem: Problem) -> FloatArray:
    """Focal lengths evenly over the prior."""
    prior = problem.prior
    return np.asarray(prior.mean.log_focal + float(prior.information[0]) ** -0.5 * _AROUND)


def near_prior(problem: Problem, shape: Shape) -> Swept:
    """One shape at focal lengths of a narrow prior.

    The peak over all unknowns is where the ground is flattest; its volume counts as well.
    """
    shaped = replace(problem, ground=shape.problem.ground)
    shapes = [
        settled(
            replace(
                shape,
                problem=held(shaped, log_focal),
                view=replace(shape.view, log_focal=log_focal),
            )
        )
        for log_focal in _around(problem).tolist()
    ]
    return Swept.of(problem, shapes)


def held(problem: Problem, log_focal: float) -> Problem:
    """The problem with the focal length known."""
    prior = problem.prior
    free = prior.is_free.copy()
    free[0] = False
    information = np.where(free, prior.information, 0.0)
    mean = replace(prior.mean, log_focal=log_focal)
    return replace(problem, prior=replace(prior, mean=mean, information=information, is_free=free))
