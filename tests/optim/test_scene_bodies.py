"""The bridge from People to `optim.refine_scene` and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from crowd3d import body as bodies
from crowd3d import config
from crowd3d.maths import posterior
from crowd3d.maths.rotation import small_turns
from crowd3d.refine.whole_scene import JOINTS, RigBodies, pose_information, refine_people
from crowd3d.scene.camera import Camera
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from optim.geometry import normal_from_pitch_roll

COVARIANCE = np.diag([0.02, 0.005, 0.005, 0.02]) ** 2
PERSPECTIVE = Camera(4000, 2500, 3000.0, (2000.0, 1250.0))
ROUND = Camera.from_fov(6000, 1500, 360.0, "equirectangular")


@pytest.fixture(scope="module")
def body():
    return bodies.load("open", "crowd")


def _crowd(body, camera: Camera, n: int = 12, seed: int = 0) -> tuple[People, Fitted]:
    """Exact people on the ground around or before a camera; poses a little bent."""
    rng = np.random.default_rng(seed)
    up = np.array([0.0, -np.cos(0.1), -np.sin(0.1)])
    plane = Plane(up, 5.0)
    ahead = np.array([0, -np.sin(0.1), np.cos(0.1)])
    span = 2 * np.pi if camera.is_panorama else 0.8
    azimuth = (np.arange(n) / n - 0.5 + 0.5 / n) * span
    reach = rng.uniform(12, 25, n)
    foot = reach[:, None] * (
        np.sin(azimuth)[:, None] * [1.0, 0, 0] + np.cos(azimuth)[:, None] * ahead
    )
    hvip_m = foot - 5.0 * up
    pose = torch.from_numpy(rng.normal(0, 0.15, (n, 24, 3)))
    local = small_turns(pose)
    yaw = np.zeros((n, 3))
    yaw[:, 1] = rng.uniform(-np.pi, np.pi, n)
    to_camera = np.stack([[1.0, 0, 0], up, np.cross([1.0, 0, 0], up)], axis=1)
    local[:, 0] = torch.from_numpy(to_camera) @ roma.rotvec_to_rotmat(torch.from_numpy(yaw))
    betas = body.betas_for_stature(torch.from_numpy(rng.normal(1.7, 0.05, n)).float())
    vertices = body(local.float(), betas).vertices
    torso = body.torso(vertices).double().numpy()
    lowest = (vertices.double().numpy() @ up).min(axis=1)
    torso_m = hvip_m + (torso @ up - lowest)[:, None] * up
    hvip_m = plane.foot_m(torso_m)
    keypoints_m = body.keypoints(vertices).double().numpy() + (torso_m - torso)[:, None]
    pixels = camera.unwrapped(camera.project(keypoints_m), camera.project(torso_m)[:, None])
    people = replace(
        People.empty(n),
        id=np.arange(n),
        score=np.ones(n),
        box_px=np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1),
        keypoints_px=np.concatenate([pixels, np.ones((n, 17, 1))], axis=2),
        pose=roma.rotmat_to_rotvec(local).numpy(),
        betas=betas.double().numpy(),
        transl_m=torso_m - torso,
        torso_m=torso_m,
        hvip_m=hvip_m,
        stature_m=body.stature_m(betas).double().numpy(),
        fisher=(60.0 * local).numpy(),
    )
    return people, Fitted(camera, [plane], COVARIANCE, {})


def test_the_rig_moves_as_its_derivative_says(body):
    people, _ = _crowd(body, PERSPECTIVE, n=3)
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(people.pose))
    rig = RigBodies.of(body, rotations, torch.from_numpy(people.betas))
    pose = np.random.default_rng(1).normal(0, 0.2, (3, 18))
    _, jacobian = rig(pose)
    for q in range(18):
        step = np.eye(18)[q] * 1e-6
        slope = (rig(pose + step)[0] - rig(pose - step)[0]) / 2e-6
        np.testing.assert_allclose(jacobian[..., q], slope, atol=1e-7)


def test_information_is_the_curvature_of_the_matrix_fisher_density(body):
    people, _ = _crowd(body, PERSPECTIVE, n=2)
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(people.pose))
    generator = torch.Generator().manual_seed(0)
    stretch = torch.rand((2, 24, 3), generator=generator, dtype=torch.float64) * 40 + 10
    fisher = rotations * stretch[..., None, :]
    rotations = posterior.mode(fisher)
    information = pose_information(rotations, fisher)
    for j, joint in enumerate(JOINTS):
        w = torch.randn((2, 3), generator=generator, dtype=torch.float64) * 1e-3
        F, R = fisher[:, joint], rotations[:, joint]
        rise = (F * R).sum((1, 2)) - (F * (small_turns(w) @ R)).sum((1, 2))
        at = slice(3 * j, 3 * j + 3)
        expected = np.einsum("na,nab,nb->n", w.numpy(), information[:, at, at], w.numpy()) / 2
        np.testing.assert_allclose(rise.numpy(), expected, rtol=1e-3)


@pytest.mark.parametrize("camera", [PERSPECTIVE, ROUND], ids=["perspective", "all around"])
def test_exact_people_stay_on_the_ground_where_they_are(body, camera):
    people, fitted = _crowd(body, camera)
    refined, found = refine_people(people, fitted, body, config.Config())
    distance = np.linalg.norm(people.torso_m, axis=1)
    error = np.linalg.norm(refined.torso_m - people.torso_m, axis=1)
    assert (error / distance).max() < 0.03
    turn = roma.rotvec_to_rotmat(torch.from_numpy(refined.pose)).float()
    vertices = body(turn, torch.from_numpy(refined.betas).float()).vertices.double().numpy()
    vertices += refined.transl_m[:, None]
    plane = found.planes[0]
    np.testing.assert_allclose(plane.signed_height_m(vertices).min(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(plane.foot_m(refined.torso_m), refined.hvip_m, atol=1e-9)
    np.testing.assert_allclose(
        body.torso(torch.from_numpy(vertices).float()).numpy(), refined.torso_m, atol=1e-4
    )
    if camera.is_panorama:
        assert found.camera == camera
    mode = posterior.mode(torch.from_numpy(refined.fisher)).float()
    np.testing.assert_allclose(mode[:, 1:].numpy(), turn[:, 1:].numpy(), atol=1e-4)


def test_a_wrong_camera_gets_better_where_people_know_better(body):
    people, fitted = _crowd(body, PERSPECTIVE, n=40)
    normal = normal_from_pitch_roll(0.11, 0.0)  # wrong by 0.01
    wrong = replace(fitted, planes=[Plane(normal, 5.0)])
    _, found = refine_people(people, wrong, body, config.Config(), move_camera=True)
    assert np.linalg.norm(found.planes[0].normal - fitted.planes[0].normal) < 0.006
    _, held = refine_people(people, wrong, body, config.Config())
    assert held.camera == PERSPECTIVE and held.planes[0].offset_m == pytest.approx(5.0)
    np.testing.assert_allclose(held.planes[0].normal, normal)
    np.testing.assert_array_equal(held.covariance, fitted.covariance)


def test_nobody():
    fitted = Fitted(PERSPECTIVE, [Plane(np.array([0, -1.0, 0]), 2.0)], COVARIANCE, {})
    people, same = refine_people(
        People.empty(), fitted, bodies.load("open", "crowd"), config.Config()
    )
    assert len(people) == 0 and same is fitted
