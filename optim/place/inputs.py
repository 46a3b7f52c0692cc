"""What placing people needs before it can start: noise, tangents and a first guess."""

from __future__ import annotations

import numpy as np

from optim.anthropometry import COCO_SIGMA
from optim.errors import BadInput
from optim.projection import FloatArray

AREA_ROOT_OF_HEIGHT = 0.25  # square root of a person's area over the height, upright adults
_MIN_SCORE = 0.05  # keypoints below say nothing
_MIN_NOISE_PX = 0.5
_TINY = 1e-9


def check_shapes(
    keypoints_m: FloatArray,
    torso_height_m: FloatArray,
    scores: FloatArray,
    rays: FloatArray,
    px_per_rad: FloatArray,
    stature_m: FloatArray,
) -> None:
    n = len(scores)
    wanted = {
        "keypoints_m": (keypoints_m, (n, 17, 3)),
        "torso_height_m": (torso_height_m, (n,)),
        "scores": (scores, (n, 17)),
        "rays": (rays, (n, 17, 3)),
        "px_per_rad": (px_per_rad, (n,)),
        "stature_m": (stature_m, (n,)),
    }
    for name, (array, shape) in wanted.items():
        if np.shape(array) != shape:
            raise BadInput(f"{name} must be {shape} for {n} people, not {np.shape(array)}")


def keypoint_noise(
    keypoints_m: FloatArray, scores: FloatArray, rays: FloatArray, px_per_rad: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weights (N, 17) and angular standard deviations (N, 17) of the seen keypoints.

    The size of a person is taken from the keypoints' own spread; noise is never below half a pixel.
    """
    weights = np.where(scores > _MIN_SCORE, np.clip(scores, 0.0, 1.0), 0.0)
    spread_rad = angular_spread(rays, weights)
    spread_m = np.sqrt((keypoints_m**2).sum(axis=-1).mean(axis=1))
    person_rad = spread_rad * 1.7 / np.maximum(spread_m, _TINY)
    sigma = 2 * COCO_SIGMA * AREA_ROOT_OF_HEIGHT * person_rad[:, None]
    return weights, np.maximum(sigma, _MIN_NOISE_PX / px_per_rad[:, None])


def angular_spread(rays: FloatArray, weights: FloatArray) -> FloatArray:
    """(N,) root mean square angle of the rays about their weighted mean."""
    total = np.maximum(weights.sum(axis=1, keepdims=True), _TINY)
    mean = (weights[..., None] * rays).sum(axis=1) / total
    squares = (weights * ((rays - mean[:, None]) ** 2).sum(axis=-1)).sum(axis=1)
    return np.asarray(np.sqrt(squares / total[:, 0]))


def initial_torso(keypoints_m: FloatArray, weights: FloatArray, rays: FloatArray) -> FloatArray:
    """(N, 3) torso centres where the body's spread appears as large as it was seen."""
    weights = weights + _TINY
    total = weights.sum(axis=1, keepdims=True)
    mean_ray = (weights[..., None] * rays).sum(axis=1) / total
    mean_point = (weights[..., None] * keypoints_m).sum(axis=1) / total
    centred = keypoints_m - mean_point[:, None]
    along = np.einsum("njc,nc->nj", centred, mean_ray)
    across2 = (weights * ((centred**2).sum(axis=-1) - along**2)).sum(axis=1) / total[:, 0]
    spread = np.maximum(angular_spread(rays, weights), 1e-6)
    return np.asarray(
        mean_ray * (np.sqrt(np.maximum(across2, _TINY)) / spread)[:, None] - mean_point
    )


def tangents(rays: FloatArray) -> FloatArray:
    """(..., 2, 3) orthonormal directions across each ray."""
    seed = np.where(np.abs(rays[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    first = np.cross(rays, seed)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    return np.stack([first, np.cross(rays, first)], axis=-2)


def clean_rays(scores: FloatArray, rays: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scores and rays of which the unseen and non-finite have score 0 and a harmless direction."""
    finite = np.isfinite(rays).all(axis=-1) & np.isfinite(scores)
    return np.where(finite, scores, 0.0), np.where(finite[..., None], rays, [0.0, 0.0, 1.0])
