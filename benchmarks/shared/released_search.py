"""The camera search released with Crowd3D (CVPR 2023), written anew from its published description."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from shared.ground_crowds import Scenario

FloatArray = npt.NDArray[np.float64]


def released_search(
    keypoints: FloatArray, scenario: Scenario, length_m: float, ankle_m: float
) -> tuple[float, FloatArray, float]:
    """Focal length, normal and height as Crowd3D (CVPR 2023) finds them.

    Three steps: the vertical vanishing point of all people; a grid of fields of view, refined around its
    minimum, with the height fitted for each; a local search over the plane.

    Args:
        keypoints: (N, 17, 3) pixels and scores.
        length_m: from ankles to shoulders; the released code uses 1.30 for the grid and 1.40 for the last
            search.
        ankle_m: height of the ankles above the ground; the released code uses 0.10.
    """
    low, high = keypoints[:, 15, :2] - scenario.center_px, keypoints[:, 5, :2] - scenario.center_px
    lines = np.cross(np.c_[low, np.ones(len(low))], np.c_[high, np.ones(len(high))])
    vanishing = np.linalg.svd(lines)[2][-1]

    def focal_of(fov: float) -> float:
        return scenario.width / (2 * math.tan(math.radians(fov) / 2))

    scored: dict[float, tuple[float, FloatArray]] = {}

    def score(fov: float) -> float:
        if fov not in scored:
            focal = focal_of(fov)
            up = np.array([vanishing[0] / focal, vanishing[1] / focal, vanishing[2]])
            up /= np.linalg.norm(up) * (1 if up[2] < 0 else -1)
            best = minimize_scalar(
                lambda log_d: sum(_released_loss(low, high, focal, up, math.exp(log_d), length_m)),
                bounds=(0.0, 5.0), method="bounded",
            )  # fmt: skip
            plane = up / math.exp(best.x)
            scored[fov] = (
                _released_loss(low, high, focal, up, math.exp(best.x), length_m)[1],
                plane,
            )
        return scored[fov][0]

    grid = np.linspace(20, 135, 8)
    while True:
        best = int(np.argmin([score(float(v)) for v in grid]))
        left, right = grid[max(best - 2, 0)], grid[min(best + 2, len(grid) - 1)]
        if right - left < 1.0 or len(scored) > 120:
            break
        grid = np.linspace(left, right, 11)
    focal, plane = focal_of(float(grid[best])), scored[float(grid[best])][1]

    def plane_loss(plane: FloatArray) -> float:
        size = float(np.linalg.norm(plane))
        return sum(_released_loss(low, high, focal, plane / size, 1 / size, length_m))

    plane = minimize(plane_loss, plane, method="L-BFGS-B").x
    size = float(np.linalg.norm(plane))
    normal = plane / size * (-1 if plane[1] > 0 else 1)
    return focal, normal, 1 / size + ankle_m


def _released_loss(
    low: FloatArray, high: FloatArray, focal: float, up: FloatArray, offset: float, length: float
) -> tuple[float, float]:
    """Mean relative errors of the length in the picture, and of the position of the top."""
    ray = np.c_[low / focal, np.ones(len(low))]
    fall = -(ray @ up)
    top = ray * (offset / np.where(np.abs(fall) > 1e-9, fall, 1e-9))[:, None] + length * up
    predicted = top[:, :2] / np.where(np.abs(top[:, 2:]) > 1e-9, top[:, 2:], 1e-9) * focal
    seen = np.linalg.norm(high - low, axis=1)
    size = np.linalg.norm(predicted - low, axis=1)
    return float(np.mean(np.abs(size - seen) / seen)), float(
        np.mean(np.linalg.norm(predicted - high, axis=1) / seen)
    )
