"""What else is known of a view besides the people's sticks: terms that the solver adds to its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from optim.ground.residuals import View
from optim.projection import FloatArray

_STEP = 1e-5
Term = tuple[float, FloatArray, FloatArray]


class Evidence(Protocol):
    """A robust term over (log focal, two tangents of the normal, log offset)."""

    def cost(self, view: View) -> float:
        """Nats; lower is better."""

    def expand(self, view: View) -> Term:
        """Cost, gradient (4,), and a positive semi-definite approximation of the Hessian (4, 4)."""


@dataclass(frozen=True)
class Mixture:
    """Residuals that follow a Student distribution, except for those that are junk.

    Attributes:
        residual: view -> (M,) over their standard deviations; NaN where a view says nothing.
        share: of residuals that are no junk.
        junk_density: per standard deviation; (M,) or a number.
        weight: of each residual (M,) or of all, below 1 where they repeat what is counted already.
        freedom: of the Student distribution.
        compared: whether costs count from those of junk alone, so that fits with it and without compare.
    """

    residual: Callable[[View], FloatArray]
    share: float
    junk_density: FloatArray | float
    weight: FloatArray | float = 1.0
    freedom: float = 4.0
    compared: bool = False

    def cost(self, view: View) -> float:
        density, _ = self._densities(self.residual(view))
        return self._cost(density)

    def expand(self, view: View) -> Term:
        residual = self.residual(view)
        jacobian = np.stack(
            [
                (self.residual(view.moved(step)) - self.residual(view.moved(-step))) / (2 * _STEP)
                for step in np.eye(4) * _STEP
            ],
            axis=1,
        )
        density, belonging = self._densities(residual)
        known = np.isfinite(residual) & np.isfinite(jacobian).all(axis=1)
        residual = np.where(known, residual, 0.0)
        jacobian = np.where(known[:, None], jacobian, 0.0)
        # A Student residual weighs as a Gaussian one of variance (freedom + r^2) / (freedom + 1).
        pull = self.weight * belonging * (self.freedom + 1) / (self.freedom + residual**2)
        hessian = (jacobian * pull[:, None]).T @ jacobian
        return self._cost(density), jacobian.T @ (pull * residual), hessian

    def _cost(self, density: FloatArray) -> float:
        ratio = density / self.junk_density if self.compared else density
        return -float((self.weight * np.log(ratio)).sum())

    def _densities(self, residual: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(M,) density, and (M,) probability of being no junk."""
        square = np.where(np.isfinite(residual), residual**2, np.inf)
        good = self.share * _PEAK * (1 + square / self.freedom) ** (-(self.freedom + 1) / 2)
        total = good + (1 - self.share) * np.asarray(self.junk_density)
        return np.asarray(total), np.asarray(good / total)

    def belonging(self, view: View) -> FloatArray:
        """(M,) probability of every residual of being no junk."""
        return self._densities(self.residual(view))[1]


_PEAK = 0.375  # density of Student's distribution with 4 degrees of freedom at 0
