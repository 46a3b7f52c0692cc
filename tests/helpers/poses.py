"""Helpers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from crowd3d import Camera
from crowd3d.scene.detections import Detections
from optim.anthropometry import HEIGHT_FRACTION

SIZE = (4000, 2000)


CAMERA = Camera.from_fov(*SIZE, 60)


PITCH, HEIGHT_M = 0.3, 8.0


UP = np.array([0.0, -np.cos(PITCH), -np.sin(PITCH)])


SOURCE = SimpleNamespace(width=SIZE[0], height=SIZE[1])


SIDES = np.array([0, 2, -2, 4, -4, 10, -10, 12, -12, 12, -12, 6, -6, 5, -5, 5, -5]) / 100


def standing(n: int = 60) -> Detections:
    """People in the picture, as an exact estimator sees them."""
    rng = np.random.default_rng(0)
    foot = np.stack([rng.uniform(-8, 8, n), np.zeros(n), rng.uniform(17, 40, n)], axis=1)
    foot[:, 1] = (-HEIGHT_M - UP[2] * foot[:, 2]) / UP[1]
    height = np.nan_to_num(HEIGHT_FRACTION, nan=0.6)[:, None] * UP
    stature = rng.normal(1.70, 0.07, n)[:, None, None]
    joints = foot[:, None] + stature * (height + SIDES[:, None] * [1.0, 0, 0])
    points = np.concatenate([CAMERA.project(joints), np.full((n, 17, 1), 0.9)], axis=2)
    low, high = points[..., :2].min(axis=1), points[..., :2].max(axis=1)
    score = np.full(n, 0.9)
    box = np.concatenate([low, high], axis=1)
    none = np.zeros(n, np.int64)
    return Detections(score, score.copy(), box, points, none > 0, none)
