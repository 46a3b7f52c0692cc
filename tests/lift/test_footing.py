"""Who sits, who is above the ground and how high, and that nobody else is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import roma
import torch
from helpers.crowds_seen import crowd_on, shifted

from crowd3d import body as bodies
from crowd3d import lift
from crowd3d.config import Config
from crowd3d.lift.footing import seated
from crowd3d.lift.people import lift_above, lift_people
from crowd3d.refine.whole_scene import refine_people
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import ABOVE, GROUND, SEATED, UNKNOWN, People
from crowd3d.scene.plane import Plane
from crowd3d.synth import PRESETS, Truth
from crowd3d.synth.draw.render import sample_setting
from crowd3d.synth.place.presets import with_camera
from crowd3d.synth.truth import truth_of
from crowd3d.training.poses.everyday import KINDS, _poses_of

SIZE = (1920, 1080)
BODY = bodies.load("open", "crowd")


@cache
def crowd(preset: str, seed: int, n: int = 80, **camera: float) -> Truth:
    """A generated crowd; nothing is drawn."""
    return truth_of(sample_setting(seed, SIZE, n, with_camera(PRESETS[preset], **camera)))


def ground_of(truth: Truth) -> Fitted:
    camera = Camera(*SIZE, float(truth.focal_px), tuple(truth.center_px))
    return Fitted(
        camera, [Plane(truth.normals[0], float(truth.offsets_m[0]))], 1e-4 * np.eye(4), {}
    )


def seen_in(
    truth: Truth, keypoints_m: np.ndarray, noise: float = 1.0
) -> tuple[Detections, np.ndarray]:
    """Whom a detector sees of bodies at these keypoints, and their rows; noise in per cent of the height."""
    rng = np.random.default_rng(0)
    camera = ground_of(truth).camera
    rows = np.flatnonzero((truth.visibility > 0.3) & (truth.inside > 0.95))
    points = camera.project(keypoints_m[rows])
    moved = points.mean(axis=1) - truth.keypoints_px[rows, :, :2].mean(axis=1)
    box = truth.boxes_px[rows] + np.tile(moved, 2)
    height = (box[:, 3] - box[:, 1])[:, None, None]
    points = points + 0.01 * noise * height * rng.normal(size=points.shape)
    score = np.where(truth.keypoints_px[rows, :, 2:] == 2, 0.8, 0.2)
    one, none = np.ones(len(rows)), np.zeros(len(rows), np.int64)
    keypoints = np.concatenate([points, score], axis=2)
    return Detections(one, one, box, keypoints, none > 0, none), rows


def lifted(truth: Truth, keypoints_m: np.ndarray, noise: float = 1.0) -> tuple[People, np.ndarray]:
    """The people of `seen_in` on the true ground, and who they are."""
    people, rows = seen_in(truth, keypoints_m, noise)
    found = lift_people(people, ground_of(truth), BODY, lift.load(), Config())
    return found, rows[found.id]


def on_a_box(truth: Truth, height_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints after the tallest of the grown people have got onto boxes; who they are."""
    usual = ~truth.child & ~truth.seated & (truth.stature_m > np.quantile(truth.stature_m, 0.9))
    points = truth.keypoints_m.copy()
    points[usual] -= height_m * truth.gravity
    return points, usual


def test_people_on_a_box_are_above_the_ground_and_stay_where_they_are():
    truth = crowd("plaza", 4, height_m=5.0)
    points, raised = on_a_box(truth, 1.2)
    people, who = lifted(truth, points)
    above = people.footing == ABOVE
    assert raised[who][above].all() and above.sum() > 0.7 * raised[who].sum() > 3
    torso_m = points[who][:, [5, 6, 11, 12]].mean(axis=1)
    away = np.linalg.norm(people.torso_m - torso_m, axis=1) / np.linalg.norm(torso_m, axis=1)
    assert away[above].max() < 0.10
    error = (people.above_m[above] - 1.2) / people.above_sd_m[above]
    assert np.abs(error).max() < 3 and np.sqrt(np.mean(error**2)) < 1.5
    np.testing.assert_array_equal(people.above_m[~above], 0)
    fitted = ground_of(truth)
    assert np.abs(fitted.planes[0].signed_height_m(people.hvip_m)).max() < 1e-9
    lowest = _lowest_m(people.filter(above), fitted)
    np.testing.assert_allclose(lowest, people.above_m[above], atol=1e-4)
    miss = truth.hvip_m[who][above] - people.hvip_m[above]
    spread = np.trace(people.position_cov_m2[above], axis1=1, axis2=2)
    assert np.median((miss**2).sum(axis=1) / spread) < 1.5


def _lowest_m(people: People, fitted: Fitted) -> np.ndarray:
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(people.pose)).float()
    vertices = BODY(rotations, torch.from_numpy(people.betas).float()).vertices.double().numpy()
    heights = (vertices + people.transl_m[:, None]) @ fitted.normal
    return heights.min(axis=1) + fitted.planes[0].offset_m


@pytest.mark.parametrize("preset", ["plaza", "street", "phone", "platform"])
def test_on_level_ground_nobody_is_above(preset):
    for seed in (5, 6):
        truth = crowd(preset, seed)
        people, who = lifted(truth, truth.keypoints_m, noise=2.0)
        assert not (people.footing == ABOVE).any()
        seats = truth.seated[who]
        assert ((people.footing == SEATED) == seats).mean() > 0.96


def test_children_on_shoulders_are_where_they_are_carried():
    told = []
    for seed in (3, 4):
        truth = crowd("stage", seed, 150)
        # On the level, so that only riders are off the ground.
        floor = truth.hvip_m @ truth.normals[0] + truth.offsets_m[0] > 0.3
        people, who = lifted(truth, truth.keypoints_m)
        above = (people.footing == ABOVE) & ~floor[who]
        carried = (truth.height_m[who] > 0) & ~floor[who]
        assert carried[above].all()
        np.testing.assert_allclose(people.above_m[above], truth.height_m[who][above], atol=0.35)
        away = np.linalg.norm(people.torso_m - truth.torso_m[who], axis=1)
        assert (away / np.linalg.norm(truth.torso_m[who], axis=1))[above].max() < 0.05
        told += [above[carried].mean()]
    assert np.mean(told) > 0.6


def posed(kind: str, n: int = 200) -> People:
    """Everyday bodies over a ground of which y is up."""
    joints = BODY.rest_joints(torch.zeros(1, 10))[0].double().numpy()
    poses = _poses_of(np.random.default_rng(0), n, KINDS[kind], joints)
    pose = roma.rotmat_to_rotvec(torch.from_numpy(poses)).numpy()
    return replace(People.empty(n), pose=pose)


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("sit", 0.75, 1.0),
        ("stand", 0.0, 0.0),
        ("walk", 0.0, 0.0),
        ("run", 0.0, 0.0),
        ("bend", 0.0, 0.02),
        ("step_up", 0.0, 0.02),
        ("crouch", 0.0, 0.3),
    ],
)
def test_seated_is_who_sits(kind, least, most):
    share = seated(posed(kind), np.array([0.0, 1.0, 0.0]), BODY).mean()
    assert least <= share <= most


def test_rows_of_seats_are_seated():
    truth = crowd("stands", 3)
    upwards = replace(People.empty(len(truth)), pose=truth.pose, betas=truth.betas)
    assert (seated(upwards, -truth.gravity, BODY) == truth.seated).all()


def test_of_heads_nothing_is_known():
    truth = crowd("plaza", 4, height_m=5.0)
    people, _ = seen_in(truth, truth.keypoints_m)
    people.keypoints_px[:, 5:, 2] = 0.0
    found = lift_people(people, ground_of(truth), BODY, lift.load(), Config())
    assert len(found) and (found.footing == UNKNOWN).all()


def test_who_is_above_the_ground_is_not_refined_onto_it():
    truth = crowd("plaza", 4, height_m=5.0)
    people, _ = lifted(truth, on_a_box(truth, 1.2)[0])
    refined, _ = refine_people(people, ground_of(truth), BODY, Config())
    above = people.footing == ABOVE
    np.testing.assert_array_equal(refined.torso_m[above], people.torso_m[above])
    assert (refined.torso_m[~above] != people.torso_m[~above]).any()
    assert (refined.footing[~above] != ABOVE).all()


def test_of_others_only_those_are_above_whom_a_height_explains():
    """On a platform of 2 m, and on a screen in the sky, which no height explains."""
    camera = Camera.from_fov(4000, 2000, 60)
    up = np.array([0.0, -np.cos(0.2), -np.sin(0.2)])
    fitted = Fitted(camera, [Plane(up, 6.0)], 1e-5 * np.eye(4), {})
    stage = crowd_on(camera, Plane(up, 4.0), 6, 1, away_m=(12, 16), across=(-0.2, 0.2))
    near = crowd_on(camera, Plane(up, 2.5), 6, 2, away_m=(7, 12))
    screen = shifted(near, 0, 100 - near.box_px[:, 1].min())
    both = Detections.cat([stage, screen])
    above = lift_above(both, fitted, BODY, lift.load(), Config())
    assert (above.id < len(stage)).all() and len(above) > 0.6 * len(stage)
    assert np.median(above.above_m) == pytest.approx(2.0, abs=0.6)
    assert GROUND not in above.footing
