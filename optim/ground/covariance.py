"""How sure a fitted view is: the sandwich of a robust estimator, and its parts."""

from __future__ import annotations

import numpy as np

from optim.ground.population import Population
from optim.ground.residuals import View
from optim.ground.solver import Problem, score_and_hessian
from optim.projection import FloatArray

_STEP = 1e-5
_LEAST_INFORMATION = 0.5
# People for which the empirical and the assumed spread of scores count the same.
_SANDWICH_COUNT = 30.0


def view_covariance(
    problem: Problem, view: View, population: Population, nudged: Problem | None = None
) -> FloatArray:
    """(4 + K, 4 + K) over (log focal, pitch tangent, roll tangent, log offset) and what describes the ground.

    A^-1 B A^-1 with A the derivative of the summed scores and B their covariance (Huber 1967); for few people B
    leans on the model, for which it equals A. Rows and columns of given parameters are zero.

    Args:
        nudged: the problem after one standard deviation of an unknown that all people share.
    """
    size = 4 + problem.n_ground
    free = problem.is_free
    keep = np.ix_(np.flatnonzero(free), np.flatnonzero(free))
    prediction = problem.predict(view)
    parts = problem.components(prediction, population)
    scores, em_hessian = score_and_hessian(problem, view, prediction, parts)

    # The EM Hessian stands for the curvature by the ground's numbers, which are many and nearly linear.
    bread = em_hessian.copy()
    for k in np.flatnonzero(problem.prior.is_free):
        step = np.eye(4)[k] * _STEP
        ahead, behind = (
            score_and_hessian(problem, moved, problem.predict(moved), parts)[0]
            for moved in (view.moved(step), view.moved(-step))
        )
        bread[:, k] = -problem.weight @ (ahead - behind) / (2 * _STEP)
        bread[k, 4:] = bread[4:, k]
    bread = (bread + bread.T) / 2
    bread = _at_least(bread[keep], em_hessian[keep])
    # Copies and crowds share their weight because they repeat one another: as one person counts
    # once, weights enter the spread of the scores linearly.
    people = float(problem.weight.sum())
    centred = scores - np.average(scores, axis=0, weights=problem.weight)
    meat = ((centred * problem.weight[:, None]).T @ centred)[keep] * people / max(people - 4.0, 1.0)
    trust = people / (people + _SANDWICH_COUNT)
    meat = trust * meat + (1 - trust) * bread
    prior = problem.expand_all_beside_people(view)[1][keep]
    inverse = np.linalg.inv(bread + prior)
    if nudged is not None:
        again = nudged.predict(view)
        moved_scores, _ = score_and_hessian(nudged, view, again, parts)
        pull = (problem.weight @ (moved_scores - scores))[free]
        meat = meat + np.outer(pull, pull)
    covariance = np.zeros((size, size))
    covariance[keep] = inverse @ (meat + prior) @ inverse
    return covariance


def _at_least(bread: FloatArray, em_hessian: FloatArray) -> FloatArray:
    """The observed information, raised in every direction to `_LEAST_INFORMATION` of the EM Hessian at least.

    Where people alone decide the view it is never lower (0.7 and more, with outliers and in real crowds too).
    Where other evidence holds the view away from the people's optimum, their curvature there can be far too
    low.
    """
    scale = np.linalg.cholesky(em_hessian + 1e-9 * np.diag(np.diag(em_hessian) + 1e-9))
    inverse = np.linalg.inv(scale)
    values, vectors = np.linalg.eigh(inverse @ bread @ inverse.T)
    fixed = vectors * np.clip(values, _LEAST_INFORMATION, 1.0) @ vectors.T
    return np.asarray(scale @ fixed @ scale.T)


def pitch_roll_covariance(covariance: FloatArray, view: View) -> FloatArray:
    """From tangents of the normal to (log focal, pitch, roll, log offset); what follows them stays."""
    pitch, _ = view.pitch_roll
    change = np.eye(len(covariance))
    change[2, 2] = 1.0 / max(np.cos(pitch), 1e-3)
    return np.asarray(change @ covariance @ change)


def positive_part(matrix: FloatArray) -> FloatArray:
    """The symmetric matrix without its negative eigenvalues: what one covariance is wider than another by."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)
