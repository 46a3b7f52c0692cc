"""Distances of people that something else has judged, such as a network that sees whole bodies.

RootNet (Moon et al. 2019) puts a person at Z = gamma f 2 m / (1.25 s), s the longer side of the box in
pixels; gamma is 0.625 times the metric extent of the body in the box, whatever its posture, so that Z over
f is extent over side. It is good to 7-15 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optim import anthropometry as body
from optim.errors import BadInput
from optim.ground.evidence import Mixture
from optim.ground.population import Population, densities
from optim.ground.residuals import View
from optim.ground.solver import Problem
from optim.projection import FloatArray

_JUNK_DENSITY, _GOOD_SHARE = 0.02, 0.9
_STRAIGHT = 0  # component of the population


@dataclass(frozen=True)
class Depths:
    """What was judged, one row a person of the input.

    Attributes:
        log_over_focal: (N,) logarithms of the hips' depth over the focal length, NaN where unknown.
        log_sd: (N,) their spreads.
        are_of_size: whether they were judged from how large somebody appears.
    """

    log_over_focal: FloatArray
    log_sd: FloatArray
    are_of_size: bool


def checked_depths(
    over_focal: npt.ArrayLike, log_sd: npt.ArrayLike, are_of_size: bool, total: int
) -> Depths:
    """Depths over focal length of everybody, checked.

    Raises:
        BadInput: lengths that are not the number of people, or spreads that are not positive.
    """
    ratio, spread = np.asarray(over_focal, np.float64), np.asarray(log_sd, np.float64)
    if ratio.shape != (total,) or spread.shape not in ((), (total,)) or not np.all(spread > 0):
        raise BadInput(
            f"depth_prior must be ({total},) depths over focal length and positive log spreads, "
            f"not {ratio.shape} and {spread.shape}"
        )
    known = np.isfinite(ratio) & (ratio > 0)
    log_ratio = np.log(np.where(known, ratio, 1.0))
    return Depths(
        np.where(known, log_ratio, np.nan), np.broadcast_to(spread, (total,)), are_of_size
    )


def depth_evidence(
    problem: Problem,
    view: View,
    population: Population,
    judged: Depths,
) -> Mixture:
    """People's depths against the ground under their feet.

    A depth judged from a body's size repeats what the person's stick says of an adult who stands straight:
    both take the mean stature for this one's. It counts as far as somebody is something else. What the ground
    says is uncertain as well: far away, a pixel of the foot or an uneven ground is many metres.

    Args:
        view, population: tell how far the ground can be trusted, and who is an adult who stands straight.
    """
    sticks = problem.sticks
    log_depth = judged.log_over_focal[sticks.index]
    by_ground = _ground_log_sd(problem, view, population)
    sd = np.hypot(judged.log_sd[sticks.index], by_ground)
    weight = np.ones(len(sticks))
    if judged.are_of_size:
        prediction = problem.predict(view)
        parts = problem.components(prediction, population)
        weight -= densities(prediction, parts)[1][_STRAIGHT]

    def residual(view: View) -> FloatArray:
        depth = _hip_depth_m(problem, view)
        with np.errstate(invalid="ignore", divide="ignore"):
            seen = np.log(np.where(depth > 0, depth, np.nan)) - view.log_focal
        return np.asarray((seen - log_depth) / sd)

    return Mixture(residual, _GOOD_SHARE, _JUNK_DENSITY, weight, compared=True)


def _hip_depth_m(problem: Problem, view: View) -> FloatArray:
    """(N,) depth of the hips of those who stand on the ground; NaN where a ray does not meet it."""
    footing = problem.footing(view)
    rise = (body.HIP_FRACTION - problem.sticks.bottom_height) * problem.stature_m
    return np.asarray(np.where(footing.is_met, footing.depth, np.nan) + rise * view.normal[2])


def _ground_log_sd(problem: Problem, view: View, population: Population) -> FloatArray:
    """(N,) of the logarithm of depth by the ground, from the bottoms' noise and the ground's unevenness."""
    footing = problem.footing(view)
    by_pixel = np.linalg.norm(footing.by_pixel, axis=1) / np.where(
        footing.is_met, footing.depth, np.nan
    )
    noise = population.noise_factor * problem.sticks.var_bottom * by_pixel**2
    return np.asarray(np.sqrt(noise + (population.grade_sd * footing.reach) ** 2))
