"""Who is above the ground: on a stage, a box, a bicycle, somebody's shoulders.

Somebody whose feet are h above the ground, taken to stand on it, seems H / (H - h) times as large and as far
from a camera that is H above the ground there. So a person seems too large for one of several reasons, and how
people's statures spread tells how probable each is. Who is too large for all of them is on a poster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optim.errors import BadInput
from optim.projection import FloatArray

_ABOVE = 0.01  # of all people, before they are seen
_STRANGE, _STRANGE_SD = 0.001, 1.0  # share of those whose log size means nothing, and its spread
_MEAN_M = 1.0  # of their heights; exponential between the limits
_LEAST_M, _MOST_M = 0.3, 4.0
_BELOW_CAMERA_M = 0.3  # nobody's feet are nearer to the camera's height, where sizes tell nothing
_LOWEST_CAMERA_M = 0.8  # from lower ones nobody is above
_GRID = 64
# Log statures about the population's mean: adults, and children as in `optim.refine.terms`.
_SHARES = np.array([0.9, 0.1])
_MEANS, _SDS = np.array([0.0, -0.31]), np.array([0.06, 0.18])
_TINY = 1e-300


@dataclass(frozen=True)
class Above:
    """One row a person.

    Attributes:
        probability: (N,) of being above the ground.
        height_m: (N,) of the lowest point above the ground, should the person be above; its expectation.
        height_sd_m: (N,) its standard deviation.
    """

    probability: FloatArray
    height_m: FloatArray
    height_sd_m: FloatArray


def people_above(
    log_size: npt.ArrayLike, log_size_sd: npt.ArrayLike, camera_height_m: npt.ArrayLike
) -> Above:
    """How probably, and how high, people are above the ground on which they were taken to stand.

    Args:
        log_size: (N,) logarithms of their statures as they seem, over the population's mean.
        log_size_sd: (N,) standard deviations of what was measured, people's own differences left out.
        camera_height_m: (N,), or a number for all, above the ground where each of them is.

    Returns:
        Probability 0, and heights of 0, where a number is not finite or the camera is too low to tell.

    Raises:
        BadInput: shapes that contradict each other, or a negative standard deviation.
    """
    size, sd = (np.asarray(a, dtype=np.float64) for a in (log_size, log_size_sd))
    if size.ndim != 1 or sd.shape != size.shape:
        raise BadInput(f"log_size and log_size_sd must be (N,), not {size.shape} and {sd.shape}")
    if np.any(sd < 0):
        raise BadInput("no standard deviation is negative")
    camera = np.asarray(camera_height_m, dtype=np.float64)
    if camera.shape not in ((), size.shape):
        raise BadInput(f"camera_height_m must be a number or {size.shape}, not {camera.shape}")
    camera = np.broadcast_to(camera, size.shape)
    told = np.isfinite(size) & np.isfinite(sd) & np.isfinite(camera) & (camera > _LOWEST_CAMERA_M)
    rows = np.zeros((3, len(size)))
    rows[:, told] = _posterior(size[told], sd[told], camera[told])
    return Above(*rows)


def _posterior(size: FloatArray, sd: FloatArray, camera_m: FloatArray) -> FloatArray:
    """(3, N) probability, expected height and its standard deviation; `people_above`."""
    most = np.minimum(_MOST_M, camera_m - _BELOW_CAMERA_M)
    middles = (np.arange(_GRID) + 0.5) / _GRID
    height = _LEAST_M + (most - _LEAST_M)[:, None] * middles  # (N, G)
    prior = np.exp(-height / _MEAN_M)
    prior /= prior.sum(axis=1, keepdims=True)
    larger = -np.log1p(-height / camera_m[:, None])
    by_height = prior * _density(size[:, None] - larger, sd[:, None])
    above = by_height.sum(axis=1)
    on_ground = _density(size, sd)
    total = np.maximum(above, _TINY)[:, None]
    mean = (by_height * height).sum(axis=1) / total[:, 0]
    spread = (by_height * (height - mean[:, None]) ** 2).sum(axis=1) / total[:, 0]
    chance = _ABOVE * above
    strange = _STRANGE / _STRANGE_SD * np.exp(-((size / _STRANGE_SD) ** 2) / 2)
    rest = (1 - _ABOVE - _STRANGE) * on_ground + strange
    chance = chance / np.maximum(chance + rest, _TINY)
    return np.stack([chance, mean, np.sqrt(spread)])


def _density(log_stature: FloatArray, sd: FloatArray) -> FloatArray:
    """How often people measure so much, on the ground; of the shape of `log_stature`."""
    spread = np.hypot(_SDS, sd[..., None])
    away = (log_stature[..., None] - _MEANS) / spread
    return np.asarray((_SHARES * np.exp(-(away**2) / 2) / spread).sum(axis=-1))
