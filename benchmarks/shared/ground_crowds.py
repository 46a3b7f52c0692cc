"""Generated crowds with a known camera, and the best possible accuracy for it (Cramer-Rao bound)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optim.anthropometry import ANKLE_FRACTION, SHOULDER_FRACTION
from optim.geometry import normal_from_pitch_roll
from optim.projection import project

FloatArray = npt.NDArray[np.float64]
STATURE_M = 1.70
LEAN_SD_RAD, LOG_STATURE_SD, NOISE = math.radians(3.0), 0.05, 0.015


@dataclass(frozen=True)
class Scenario:
    """A camera over flat ground, or ground with one step, and the number of people.

    Attributes:
        height_m: of the camera above the ground; far_m: distance up to which people stand.
        outliers: share of people who are not upright adults.
        width, height: of the picture in pixels.
        step_m: how much lower the ground is on the right half of the picture.
    """

    name: str
    people: int
    fov_deg: float
    pitch_deg: float
    height_m: float
    far_m: float
    outliers: float = 0.0
    roll_deg: float = 0.0
    width: int = 4000
    height: int = 3000
    step_m: float = 0.0

    @property
    def focal_px(self) -> float:
        return self.width / 2 / math.tan(math.radians(self.fov_deg) / 2)

    @property
    def normal(self) -> FloatArray:
        return normal_from_pitch_roll(math.radians(self.pitch_deg), math.radians(self.roll_deg))

    @property
    def heights_m(self) -> FloatArray:
        """(P,) heights of the camera above every level."""
        steps = [0.0, self.step_m] if self.step_m else [0.0]
        return self.height_m + np.array(steps)

    @property
    def center_px(self) -> FloatArray:
        return np.array([self.width, self.height]) / 2


LARGE = {"width": 19200, "height": 6480}
SCENARIOS = [
    Scenario("largecrowd", 300, 36.4, 10, 16, 150, **LARGE),
    Scenario("largecrowd 25 %", 300, 36.4, 10, 16, 150, 0.25, **LARGE),
    Scenario("largecrowd 2000", 2000, 36.4, 10, 16, 150, **LARGE),
    Scenario("largecrowd 2000 25 %", 2000, 36.4, 10, 16, 150, 0.25, **LARGE),
    Scenario("wide", 300, 80, 20, 16, 80),
    Scenario("wide 25 %", 300, 80, 20, 16, 80, 0.25),
    Scenario("street", 300, 60, 12, 5, 45),
    Scenario("street 25 %", 300, 60, 12, 5, 45, 0.25),
    Scenario("telephoto", 300, 12, 8, 25, 260),
    Scenario("telephoto 25 %", 300, 12, 8, 25, 260, 0.25),
    Scenario("upward", 300, 65, -8, 5, 60),
    Scenario("upward 25 %", 300, 65, -8, 5, 60, 0.25),
    Scenario("steep rolled", 300, 60, 45, 12, 40, roll_deg=10),
    Scenario("steep rolled 25 %", 300, 60, 45, 12, 40, 0.25, roll_deg=10),
    Scenario("terraced", 300, 60, 20, 9, 45, step_m=2.7),
    Scenario("terraced 10 %", 300, 60, 20, 9, 45, 0.10, step_m=2.7),
    Scenario("platform 10 %", 300, 60, 20, 9, 45, 0.10, step_m=-1.5),
    Scenario("60 people 10 %", 60, 36.4, 10, 16, 150, 0.10, **LARGE),
    Scenario("phone", 40, 65, 3, 1.7, 25),
]


@dataclass(frozen=True)
class Crowd:
    """People of one scene: keypoints (N, 17, 3), and the level (N,) on which each stands, 0 or 1."""

    keypoints: FloatArray
    level: npt.NDArray[np.int64]


def crowd(scenario: Scenario, seed: int) -> Crowd:
    """Draw people with both shoulders and both ankles at their mid-points; all other keypoints are unseen."""
    rng = np.random.default_rng(seed)
    drawn = [_sticks(scenario, rng, 4 * scenario.people) for _ in range(60)]
    sticks = np.concatenate([d[0] for d in drawn])[: scenario.people]
    level = np.concatenate([d[1] for d in drawn])[: scenario.people]
    if len(sticks) < scenario.people:
        raise ValueError(f"{scenario.name}: the camera sees too little of the ground")
    keypoints = np.zeros((len(sticks), 17, 3))
    for end, joints in ((0, (15, 16)), (1, (5, 6))):
        for joint in joints:
            keypoints[:, joint, :2] = sticks[:, end]
            keypoints[:, joint, 2] = 0.9
    return Crowd(keypoints, level)


def ground_axes(normal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vectors on the ground: ahead of the camera, and to its right."""
    ahead = np.array([0.0, 0.0, 1.0]) - normal[2] * normal
    ahead /= np.linalg.norm(ahead)
    return ahead, np.cross(ahead, normal)


def _sticks(
    scenario: Scenario, rng: np.random.Generator, n: int
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """(M, 2, 2) pixels of ankles and shoulders of people who are completely in the picture; (M,) their levels.

    People are selected by where an average adult would be seen. A selection by the visible ends would prefer
    short people at the top edge and people who lean inwards, which is a bias of the sample, not of an
    estimator.
    """
    normal = scenario.normal
    ahead, right = ground_axes(normal)
    side = scenario.far_m * math.tan(math.radians(scenario.fov_deg) / 2) * 1.2
    foot = -scenario.height_m * normal + (
        rng.uniform(-0.2, 1, n)[:, None] * scenario.far_m * ahead
        + rng.uniform(-side, side, n)[:, None] * right
    )
    # The step runs straight ahead of the camera; people to the right of the camera's axis stand lower.
    level = ((foot @ right > 0) & (scenario.step_m != 0)).astype(np.int64)
    foot = foot - (level * scenario.step_m)[:, None] * normal
    stature = STATURE_M * np.exp(rng.normal(0, LOG_STATURE_SD, n))
    lean = rng.normal(0, LEAN_SD_RAD, (n, 2))
    top_fraction = np.full(n, SHOULDER_FRACTION)
    kind = np.where(rng.uniform(size=n) < scenario.outliers, rng.integers(1, 4, n), 0)
    around = rng.uniform(0, 2 * np.pi, n)
    tilted = math.tan(math.radians(20)) * np.stack([np.cos(around), np.sin(around)], axis=1)
    lean = np.where((kind == 1)[:, None], tilted, lean)
    top_fraction[kind == 2] -= 0.24  # on a chair
    stature = np.where(kind == 3, rng.uniform(0.9, 1.45, n), stature)
    axis = normal + lean[:, :1] * right + lean[:, 1:] * ahead
    ends = np.stack(
        [foot + (stature * h)[:, None] * axis for h in (np.full(n, ANKLE_FRACTION), top_fraction)],
        axis=1,
    )
    nominal = project(
        np.stack([foot, foot + STATURE_M * normal], axis=1), scenario.focal_px, scenario.center_px
    )
    size = np.array([scenario.width, scenario.height])
    inside = ((nominal > 0) & (nominal < size)).all(axis=(1, 2)) & (foot[:, 2] > 2.0)
    pixels = project(ends[inside], scenario.focal_px, scenario.center_px)
    length = np.linalg.norm(pixels[:, 1] - pixels[:, 0], axis=1)
    noise = rng.normal(size=pixels.shape) * NOISE * length[:, None, None]
    return pixels + noise, level[inside]


def bound(scenario: Scenario, people: Crowd) -> FloatArray:
    """(3 + P, 3 + P) Cramer-Rao bound of (log focal, pitch, roll, log height above each of P levels).

    It is the bound if all people are upright adults with known levels. Stature and lean are marginalised; the
    place of every person is unknown. Derivatives of the mean are numerical. The little information that the
    covariances have about the camera is left out.
    """
    heights = scenario.heights_m
    truth = np.array(
        [math.log(scenario.focal_px), math.radians(scenario.pitch_deg),
         math.radians(scenario.roll_deg), *np.log(heights)]
    )  # fmt: skip
    normal, keypoints = scenario.normal, people.keypoints
    rays = np.ones((len(keypoints), 3))
    rays[:, :2] = (keypoints[:, 15, :2] - scenario.center_px) / scenario.focal_px
    meets = rays @ normal < -1e-4
    rays, level = rays[meets], people.level[meets]
    ahead, right = ground_axes(normal)

    def ends(camera: FloatArray, latent: FloatArray) -> FloatArray:
        """(N, 4) pixels, from unknowns (3 + P,) and deviations (N, 5) from true place, log stature, lean."""
        up = normal_from_pitch_roll(camera[1], camera[2])
        # Places are offsets on the plane of this camera, reached along the ray of the true ankle.
        falling = -(rays @ up)
        above = np.exp(camera[3:][level]) - ANKLE_FRACTION * STATURE_M
        ground = rays * (above / falling)[:, None]
        ground = ground + latent[:, :1] * ahead + latent[:, 1:2] * right
        length = (SHOULDER_FRACTION - ANKLE_FRACTION) * STATURE_M * np.exp(latent[:, 2:3])
        top = ground + length * (up + latent[:, 3:4] * right + latent[:, 4:] * ahead)
        pixels = project(np.stack([ground, top], axis=1), math.exp(camera[0]), scenario.center_px)
        return np.asarray(pixels.reshape(-1, 4))

    weight, by_camera = _information(ends, truth, len(rays))
    return np.linalg.inv(np.einsum("nap,nab,nbq->pq", by_camera, weight, by_camera))


def _information(
    ends: Callable[[FloatArray, FloatArray], FloatArray], truth: FloatArray, n: int
) -> tuple[FloatArray, FloatArray]:
    """(N, 4, 4) inverse covariances of the ends, places eliminated; (N, 4, 3 + P) derivatives of the ends."""
    zero = np.zeros((n, 5))
    at = ends(truth, zero)
    by_camera = np.stack(
        [_central(lambda c: ends(c, zero), truth, k) for k in range(len(truth))], axis=-1
    )
    by_latent = np.stack([_central(lambda x: ends(truth, x), zero, k) for k in range(5)], axis=-1)
    length = np.linalg.norm(at[:, :2] - at[:, 2:], axis=1)
    covariance = np.eye(4) * (NOISE * length[:, None, None]) ** 2
    for k, sd in ((2, LOG_STATURE_SD), (3, LEAN_SD_RAD), (4, LEAN_SD_RAD)):
        column = by_latent[:, :, k]
        covariance = covariance + sd**2 * column[:, :, None] * column[:, None, :]
    weight = np.linalg.inv(covariance)
    place = by_latent[:, :, :2]
    normal_matrix = np.linalg.inv(place.transpose(0, 2, 1) @ weight @ place)
    return weight - weight @ place @ normal_matrix @ place.transpose(0, 2, 1) @ weight, by_camera


def _central(function: Callable[[FloatArray], FloatArray], at: FloatArray, k: int) -> FloatArray:
    step = np.zeros(at.shape[-1])
    step[k] = 1e-6
    return (function(at + step) - function(at - step)) / 2e-6
