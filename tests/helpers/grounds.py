"""Scenes whose ground is no level: a slope, stands and terrain, each with its surface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from helpers.scenes import scattered_scene

from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene
from optim.ground.relief import Relief
from optim.ground.surface import Surface

KINDS = ("slope", "stands", "terrain")


def relief_of(kind: str) -> Relief:
    """In heights of the camera: 8 degrees ahead and to the right; two hinges; hills about a grid of places."""
    rng = np.random.default_rng(7)
    if kind == "slope":
        return Relief.tilted(0.2).moved(np.array([0.05, 0.13]))
    if kind == "stands":
        sds = np.array([0.3, 0.5, 1.0])
        first = Relief().hinged(np.array([0.0, 0.1, 3.0]), sds)
        both = first.hinged(np.array([0.0, 0.1, 5.0]), sds)
        return both.moved(np.array([0.3, 0.0, 0.0, 0.2, 0.0, 0.0]))
    x, y = np.meshgrid(np.arange(-2.0, 2.1), np.arange(1.0, 9.0))
    smooth = Relief.smooth(np.stack([x.ravel(), y.ravel()], axis=1), 1.2, 0.2, 0.1)
    return smooth.moved(np.concatenate([[0.01, -0.02], rng.normal(0, 0.12, x.size)]))


def surface_of(kind: str, plane: Plane, seed: int = 0) -> Surface:
    """The surface above a level, with a random covariance."""
    relief = relief_of(kind)
    half = 0.01 * np.random.default_rng(seed).normal(size=(4 + len(relief.numbers),) * 2)
    offset_m = np.array([plane.offset_m])
    return Surface(kind, plane.normal, plane.offset_m, offset_m, relief, covariance=half @ half.T)


def scene_on(kind: str, n: int = 5, seed: int = 3) -> Scene:
    """`scattered_scene` with everybody moved up or down onto the surface."""
    scene = scattered_scene(n, seed=seed)
    scene = replace(scene, surface=surface_of(kind, scene.planes[0]))
    people, before = scene.people, scene.people.hvip_m.copy()
    people.hvip_m = scene.ground.feet_m(before, people.plane)
    for values in (people.torso_m, people.transl_m):
        values += people.hvip_m - before
    people.hvip_px = scene.camera.project(people.hvip_m)
    return scene
