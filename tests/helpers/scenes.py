"""Helpers."""

from __future__ import annotations

import numpy as np

from crowd3d.scene.camera import Camera
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene


def make_scene(n: int) -> Scene:
    rng = np.random.default_rng(3)
    camera = Camera.from_fov(1200, 500, 60.0)
    plane = Plane(np.array([0.0, -np.cos(0.2), -np.sin(0.2)]), 5.0)
    people = People.empty(n)
    people.id = np.arange(1, n + 1)
    people.score[:] = 0.8
    people.pose = rng.normal(0, 0.1, people.pose.shape)
    people.pose[:, 0] = [np.pi - 0.2, 0, 0]
    people.transl_m = plane.foot_m(rng.uniform([-8, 2, 14], [8, 4, 30], (n, 3)))
    people.transl_m += 0.95 * plane.normal
    people.hvip_m = plane.foot_m(people.transl_m)
    people.box_px = np.tile([100.0, 100, 140, 220], (n, 1))
    people.position_cov_m2[:] = np.diag([0.01, 0.01, 0.25])
    people.stature_m[:] = 1.7
    return Scene(camera, [plane], people, "square.jpg", "open", {"warnings": []})
