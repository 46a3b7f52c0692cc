"""Who the sticks may be: a mixture of upright adults, short or seated people, leaning people and junk.

The density of a stick's top given its bottom is a mixture of Gaussians plus a constant, so that no single
person can pull the camera without limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from optim import anthropometry as body
from optim.ground.residuals import Prediction, end_noise, sway, unevenness
from optim.ground.sticks import BoolArray, Sticks
from optim.projection import FloatArray

_JUNK_RADIUS = 3.0  # of the constant density's disc, stick lengths
JUNK_LOG_DENSITY = -math.log(math.pi * _JUNK_RADIUS**2)
_MIN_DETERMINANT = 1e-10  # over the product of the variances: keeps cancellation harmless
_STANDING, _SHORT = (
    [0, 2],
    1,
)  # components of people who stand, straight or leaning; and of the others
# Of seated people's torsos. They lean back or forward, and an audience does so together: by 5 to 7 degrees in
# renders, which hundreds of people do not average out. So they are told to tell next to nothing of gravity.
_TORSO_LOG_SD, _TORSO_LEAN_SD_RAD = 0.08, math.radians(25.0)
_TORSO_MEAN_SD = 0.12  # of their mean
_STRAIGHT_MISFIT, _MISFIT_WEIGHT, _MAX_BENT = 2.0, 3.0, 8.0
_PRIOR_COUNT = 20.0  # people that the assumed shares and spreads are worth
# Of adults: nobody stands straighter, or is measured better, than the lower ends.
_LEAN_RANGE_RAD = (math.radians(1.0), math.radians(8.0))
_LOG_STATURE_RANGE = (0.03, 0.12)
_NOISE_RANGE = (0.1, 4.0)
_GRADE_RANGE = (0.1, 2.0)  # of what is usual


@dataclass(frozen=True)
class Population:
    """Components: 0 adult, 1 short (children, seated), 2 leaning. The last share is that of junk.

    Attributes:
        share: (K + 1,).
        log_stature: (K,) mean of the log of stature over that of the adults.
        log_stature_sd, lean_sd_rad: (K,).
        noise_factor: multiplies the keypoints' variance.
        grade_sd: of the ground's height above the plane, over the distance; usual_grade_sd: before
            anybody was seen.
        torso_log_size: mean of seated people's torsos, over that of anthropometry: detectors see hips elsewhere
            under clothes and on seats.
    """

    share: FloatArray
    log_stature: FloatArray
    log_stature_sd: FloatArray
    lean_sd_rad: FloatArray
    noise_factor: float = 1.0
    grade_sd: float = body.GROUND_GRADE_SD
    usual_grade_sd: float = body.GROUND_GRADE_SD
    torso_log_size: float = 0.0

    def widened(self, factor: float) -> Population:
        """With all spreads multiplied, for the first steps from a poor start."""
        return replace(
            self,
            log_stature_sd=self.log_stature_sd * factor,
            lean_sd_rad=self.lean_sd_rad * factor,
            noise_factor=self.noise_factor * factor**2,
        )


def default_population(
    log_stature_sd: float = body.LOG_STATURE_SD, grade_sd: float = body.GROUND_GRADE_SD
) -> Population:
    """Mostly adults. Sitting on a chair takes about 30 % off the height of the shoulders."""
    return Population(
        share=np.array([0.80, 0.08, 0.07, 0.05]),
        log_stature=np.array([0.0, -0.35, 0.0]),
        log_stature_sd=np.array([log_stature_sd, 0.20, 0.10]),
        lean_sd_rad=np.array([body.UPRIGHT_LEAN_SD_RAD, math.radians(6.0), math.radians(20.0)]),
        grade_sd=grade_sd,
        usual_grade_sd=grade_sd,
    )


@dataclass(frozen=True)
class Components:
    """Gaussians of every person's residual, frozen at one view.

    Attributes:
        mean: (K, N, 2) px.
        information: (K, N, 2, 2) inverse covariances, px^-2.
        log_scale: (K, N) log of share and normalisation, in units of the stick's length.
        log_junk: logarithm of the constant density times its share.
    """

    mean: FloatArray
    information: FloatArray
    log_scale: FloatArray
    log_junk: float


def components(
    prediction: Prediction, sticks: Sticks, population: Population, stature_m: float
) -> Components:
    """Marginal Gaussians over stature, lean and noise; first order."""
    along, seated = prediction.along, sticks.is_seated
    log_stature, log_sd, lean_sd = (
        np.where(seated & (np.arange(len(usual)) == _SHORT)[:, None], torso, usual[:, None])
        for torso, usual in (
            (population.torso_log_size, population.log_stature),
            (_TORSO_LOG_SD, population.log_stature_sd),
            (_TORSO_LEAN_SD_RAD, population.lean_sd_rad),
        )
    )
    shift = np.expm1(log_stature)[..., None] * along
    spread = np.exp(log_stature) * log_sd
    outer = along[:, :, None] * along[:, None, :]
    covariance = (
        (spread**2)[..., None, None] * outer
        + (lean_sd**2)[..., None, None] * sway(prediction, sticks, stature_m)
        + population.noise_factor * end_noise(prediction, sticks)
        + population.grade_sd**2 * unevenness(prediction)
    )
    a, b, d = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    det = np.maximum(a * d - b * b, _MIN_DETERMINANT * a * d)
    information = np.empty_like(covariance)
    information[..., 0, 0], information[..., 1, 1] = d / det, a / det
    information[..., 0, 1] = information[..., 1, 0] = -b / det
    unit_area = np.log(sticks.length_px) * 2 - math.log(2 * math.pi)
    log_scale = np.log(population.share[:-1])[:, None] + unit_area - 0.5 * np.log(det)
    log_scale[_STANDING] -= np.where(seated, _MAX_BENT, _bent(sticks.misfit))
    return Components(
        shift, information, log_scale, math.log(population.share[-1]) + JUNK_LOG_DENSITY
    )


def _bent(misfit: FloatArray) -> FloatArray:
    """(N,) nats against a person standing straight, from the levels' misfit to a straight stick.

    What tells a seated audience from a lower ground: their hips come down to their knees.
    """
    excess = _MISFIT_WEIGHT * (misfit - _STRAIGHT_MISFIT)
    return np.asarray(np.clip(excess, 0.0, _MAX_BENT))


def densities(
    prediction: Prediction, parts: Components
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log density (N,), memberships (K, N), and residuals less the components' means (K, N, 2)."""
    apart = prediction.residual - parts.mean
    weighted = (
        parts.information[..., 0] * apart[..., :1] + parts.information[..., 1] * apart[..., 1:]
    )
    distance2 = apart[..., 0] * weighted[..., 0] + apart[..., 1] * weighted[..., 1]
    exponent = parts.log_scale - 0.5 * distance2
    exponent = np.where(prediction.is_valid, exponent, -np.inf)
    highest = np.maximum(exponent.max(axis=0), parts.log_junk)
    terms = np.exp(exponent - highest)
    total = terms.sum(axis=0) + np.exp(parts.log_junk - highest)
    return highest + np.log(total), terms / total, weighted


def reestimated(
    population: Population,
    prediction: Prediction,
    parts: Components,
    membership: FloatArray,
    weight: FloatArray,
    is_seated: BoolArray,
) -> Population:
    """One M-step for shares, adults' spreads and torsos; the assumed values count as people seen."""
    counts = np.append((membership * weight).sum(axis=1), weight @ (1 - membership.sum(axis=0)))
    share = counts + _PRIOR_COUNT * default_population().share
    across, along, by_grade = _spread_ratios(population, prediction, parts, membership[0] * weight)
    lean = population.lean_sd_rad.copy()
    lean[0] = np.clip(lean[0] * math.sqrt(across), *_LEAN_RANGE_RAD)
    least, most = (population.usual_grade_sd * limit for limit in _GRADE_RANGE)
    stature = population.log_stature_sd.copy()
    stature[0] = np.clip(stature[0] * math.sqrt(along), *_LOG_STATURE_RANGE)
    return replace(
        population,
        share=share / share.sum(),
        lean_sd_rad=lean,
        log_stature_sd=stature,
        noise_factor=float(np.clip(population.noise_factor * across, *_NOISE_RANGE)),
        grade_sd=float(np.clip(population.grade_sd * math.sqrt(by_grade), least, most)),
        torso_log_size=_torso_log_size(prediction, membership[_SHORT] * weight * is_seated),
    )


def _torso_log_size(prediction: Prediction, weight: FloatArray) -> float:
    """Mean logarithm of the size of torsos (N,) with these weights; as assumed where there are few."""
    along = prediction.along
    size = np.sum(prediction.residual * along, axis=1) / np.maximum(np.sum(along**2, axis=1), 1e-12)
    log_size = np.log1p(np.clip(size, -0.5, 1.0))
    count = (_TORSO_LOG_SD / _TORSO_MEAN_SD) ** 2
    return float(weight @ log_size / (weight.sum() + count))


def _spread_ratios(
    population: Population, prediction: Prediction, parts: Components, weight: FloatArray
) -> tuple[float, float, float]:
    """Seen over assumed variance of the adults, shrunk towards 1.

    Returns:
        across the vertical; along it as far as statures cause it, and as far as the ground does.
    """
    up = prediction.along / np.maximum(
        np.linalg.norm(prediction.along, axis=1, keepdims=True), 1e-12
    )
    right = np.stack([-up[:, 1], up[:, 0]], axis=1)
    covariance = np.linalg.inv(parts.information[0])
    ground = population.grade_sd**2 * unevenness(prediction)

    def variance(axis: FloatArray, matrices: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("na,nab,nb->n", axis, matrices, axis))

    def ratio(axis: FloatArray, share: FloatArray) -> float:
        seen = np.sum(axis * prediction.residual, axis=1) ** 2 / variance(axis, covariance)
        blame = weight * share
        return (float(blame @ seen) + _PRIOR_COUNT) / (float(blame.sum()) + _PRIOR_COUNT)

    by_ground = variance(up, ground) / variance(up, covariance)
    return ratio(right, np.ones(len(weight))), ratio(up, 1 - by_ground), ratio(up, by_ground)
