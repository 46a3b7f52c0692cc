"""Scenes to write, read and score: one of random numbers, two of posed bodies; and people without a place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from crowd3d import body as bodies
from crowd3d.evaluate import points
from crowd3d.scene.camera import Camera
from crowd3d.scene.frames import export_frame
from crowd3d.scene.people import UNPLACED, People
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene

SCATTERED_CAMERA = Camera(1200, 800, 1000.0, (600.0, 400.0))
LEVEL_CAMERA = Camera(4000, 2000, 3000.0, (2000.0, 1000.0))
LEVEL_PLANE = Plane(np.array([0.0, -1.0, 0.0]), 3.0)


def tilted_plane(pitch_deg: float, roll_deg: float = 0.0, height_m: float = 6.0) -> Plane:
    pitch, roll = np.radians([pitch_deg, roll_deg])
    up = [np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), -np.sin(pitch)]
    return Plane(np.array(up), height_m)


def scattered_scene(n: int = 5, planes: bool = True, seed: int = 3) -> Scene:
    """Numbers at random that only files look at: places are on the ground, the rest means nothing."""
    rng = np.random.default_rng(seed)
    plane = tilted_plane(15, 4)
    frame = export_frame(SCATTERED_CAMERA, [plane])
    people = People.empty(n)
    people.id = np.arange(1, n + 1)
    people.score = rng.uniform(0.3, 1, n)
    people.keypoints_px = rng.uniform(0, 800, (n, 17, 3))
    people.pose = rng.normal(0, 0.3, (n, 24, 3))
    people.betas = rng.normal(0, 1, (n, 10))
    feet = np.stack([rng.uniform(-8, 8, n), rng.uniform(12, 50, n), np.zeros(n)], axis=1)
    people.hvip_m = frame.from_z_up(feet)
    people.torso_m = people.hvip_m + 0.9 * plane.normal
    people.transl_m = people.torso_m.copy()
    people.hvip_px = SCATTERED_CAMERA.project(people.hvip_m)
    people.stature_m = rng.uniform(1.5, 1.9, n)
    half = rng.normal(0, 0.2, (n, 3, 3))
    people.position_cov_m2 = half @ half.transpose(0, 2, 1)
    diagnostics = {"warnings": ["<rough> & ready"], "seconds": {"find": np.float32(0.5)}}
    return Scene(
        SCATTERED_CAMERA, [plane] if planes else [], people, "a <b>.jpg", "open", diagnostics
    )


def level_scene(n: int = 6, seed: int = 0, name: str = "image.jpg") -> Scene:
    """People of the embedded body on flat ground before a level camera."""
    rng = np.random.default_rng(seed)
    people = People.empty(n)
    people.id, people.score = np.arange(n), rng.uniform(0.5, 1, n)
    people.pose = rng.normal(0, 0.15, (n, 24, 3))
    people.pose[:, 0] = [np.pi, 0, 0]  # heads up where y points down
    people.pose[:, 22:] = 0  # the hands, which predict.json has no room for
    people.betas[:, 0] = rng.normal(0, 0.5, n)
    # Far enough apart for the order of depth to be that of the feet as well.
    depth = rng.permutation(np.linspace(12, 40, n)) if n else np.zeros(0)
    people.transl_m = np.column_stack([rng.uniform(-5, 5, n), np.full(n, 2.0), depth])
    model = bodies.load("open")
    place = points.posed(model, people.pose, people.betas, people.transl_m)
    people.torso_m, people.hvip_m = place.torso_m, LEVEL_PLANE.foot_m(place.torso_m)
    people.torso_px, people.hvip_px = (
        LEVEL_CAMERA.project(place.torso_m),
        LEVEL_CAMERA.project(people.hvip_m),
    )
    people.keypoints_px[..., :2] = LEVEL_CAMERA.project(place.keypoints_m)
    people.keypoints_px[..., 2] = 1
    low, high = people.keypoints_px[..., :2].min(1), people.keypoints_px[..., :2].max(1)
    people.box_px = np.concatenate([low - 10, high + 10], axis=1)
    return Scene(LEVEL_CAMERA, [LEVEL_PLANE], people, name)


def two_level_scene(n: int = 6, seed: int = 0) -> Scene:
    """People of the open body who stand, walk and wave on two tilted planes."""
    rng = np.random.default_rng(seed)
    camera = Camera.from_fov(900, 500, 60.0)
    planes = [
        Plane(np.array([0.0, -np.cos(a), -np.sin(a)]), height)
        for a, height in ((0.2, 5.0), (0.3, 6.0))
    ]
    people = People.empty(n)
    people.id = np.arange(n)
    people.score[:] = 0.9
    people.plane[:] = np.arange(n) % 2
    people.pose = rng.normal(0, 0.2, people.pose.shape)
    people.pose[:, 0] = [np.pi - 0.2, 0, 0]
    people.betas = rng.normal(0, 0.8, people.betas.shape)
    body = bodies.load("open", "crowd")
    out = body(torch.from_numpy(people.pose).float(), torch.from_numpy(people.betas).float())
    for i in range(n):
        plane = planes[people.plane[i]]
        place = plane.foot_m(rng.uniform([-6, 2, 12], [6, 4, 28]))
        lowest = float((out.vertices[i].double().numpy() @ plane.normal).min())
        people.transl_m[i] = place - lowest * plane.normal
    people.torso_m = body.torso(out.vertices).double().numpy() + people.transl_m
    people.hvip_m = np.stack(
        [planes[k].foot_m(t) for k, t in zip(people.plane, people.torso_m, strict=True)]
    )
    people.torso_px, people.hvip_px = camera.project(people.torso_m), camera.project(people.hvip_m)
    people.stature_m = body.stature_m(torch.from_numpy(people.betas).float()).double().numpy()
    people.position_cov_m2[:] = 0.01 * np.eye(3)
    return Scene(camera, planes, people, "square.jpg", "open", {"warnings": [], "seconds": {}})


def without_place(scene: Scene, groups: dict[str, list[int]]) -> Scene:
    """The same scene, in which the rows of each group have no place, for the reason that is its key."""
    people = scene.people.filter(np.arange(len(scene.people)))
    told = []
    for reason, rows in groups.items():
        people.plane[rows] = UNPLACED
        for values in (people.transl_m, people.torso_m, people.hvip_px, people.hvip_m):
            values[rows] = np.nan
        people.stature_m[rows] = people.position_cov_m2[rows] = np.nan
        box = people.box_px[rows]
        around = [*box[:, :2].min(axis=0), *box[:, 2:].max(axis=0)]
        told.append({"reason": reason, "ids": people.id[rows].tolist(), "box_px": around})
    diagnostics = scene.diagnostics | ({"unplaced": told} if told else {})
    return replace(scene, people=people, diagnostics=diagnostics)
