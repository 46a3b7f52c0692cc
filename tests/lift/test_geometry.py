"""Upright frames, the keypoint rig and the pose refinement: geometry without trained weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from crowd3d import body
from crowd3d.body.rig import Rig, pose_rig, rig_of, with_shape
from crowd3d.lift import keypoint_fit
from crowd3d.maths.posterior import angle_between
from crowd3d.maths.rotation import small_turns
from crowd3d.maths.upright import to_camera, to_upright
from crowd3d.models.lift_net import mirror_fisher, mirror_keypoints, normalise

COCO = 17
FACING_CAMERA = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


@pytest.fixture(scope="module")
def model() -> body.BodyModel:
    return body.load("open", level="crowd")


@pytest.fixture(scope="module")
def rig(model: body.BodyModel) -> Rig:
    return rig_of(model)


def random_pose(count: int, seed: int, size: float = 0.4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return small_turns(size * torch.randn(count, 24, 3, generator=generator))


def random_rays(count: int, seed: int) -> Tensor:
    """Rays of people's keypoints somewhere in a wide picture."""
    generator = torch.Generator().manual_seed(seed)
    center = torch.randn(count, 1, 3, generator=generator) * torch.tensor([1.0, 0.5, 0.3])
    center = center + torch.tensor([0.0, 0.2, 1.5])
    spread = 0.05 * torch.randn(count, COCO, 3, generator=generator)
    return torch.nn.functional.normalize(center + spread, dim=-1)


def test_rig_is_the_skinned_body(model: body.BodyModel, rig: Rig) -> None:
    """The shortcut against its naive twin: skin every vertex, then regress."""
    pose = random_pose(6, 0)
    betas = torch.randn(6, 10, generator=torch.Generator().manual_seed(1))
    naive = model(pose, betas)
    posed = pose_rig(rig, pose, betas)
    torch.testing.assert_close(
        posed.points[:, :COCO], model.keypoints(naive.vertices), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(posed.joints, naive.joints, atol=1e-5, rtol=0)
    torch.testing.assert_close(with_shape(rig.stature, betas), model.stature_m(betas))


def test_upright_frame_is_level_and_keeps_the_ray() -> None:
    rays = random_rays(50, 2)
    up = torch.nn.functional.normalize(torch.tensor([0.1, -0.9, -0.2]), dim=0)
    keypoints, elevation, R = to_upright(rays, torch.ones(50, COCO), up)
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(50), atol=1e-5, rtol=0)
    torch.testing.assert_close(R @ up, torch.tensor([0.0, -1, 0]).expand(50, 3), atol=1e-5, rtol=0)
    central = torch.nn.functional.normalize(rays.sum(1), dim=-1)
    seen = (R @ central[..., None])[..., 0]
    expected = torch.stack([0 * elevation, elevation.sin(), elevation.cos()], dim=-1)
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)
    # The tangents are those of a camera that looks along the central ray.
    axes = keypoint_fit.virtual_axes(elevation) @ R
    again = (axes[:, None] @ rays[..., None])[..., 0]
    torch.testing.assert_close(
        keypoints[..., :2], again[..., :2] / again[..., 2:], atol=1e-4, rtol=0
    )


@given(yaw=st.floats(-math.pi, math.pi), pitch=st.floats(-0.6, 0.6), roll=st.floats(-0.6, 0.6))
@settings(max_examples=30, deadline=None)
def test_upright_keypoints_do_not_depend_on_the_camera_s_attitude(
    yaw: float, pitch: float, roll: float
) -> None:
    rays, scores = random_rays(5, 3).double(), torch.rand(5, COCO)
    up = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    turn = torch.as_tensor(Rotation.from_euler("yxz", (yaw, pitch, roll)).as_matrix())
    keypoints, elevation, R = to_upright(rays, scores, up)
    keypoints2, elevation2, R2 = to_upright(rays @ turn.T, scores, turn @ up)
    torch.testing.assert_close(keypoints, keypoints2)
    torch.testing.assert_close(elevation, elevation2)
    torch.testing.assert_close(R, R2 @ turn)


def test_turning_into_the_camera_and_back() -> None:
    rays = random_rays(7, 4).double()
    _, _, R = to_upright(rays, np.ones((7, COCO)), (0.0, -1.0, 0.1))
    rotations, fisher = random_pose(7, 5).double(), torch.randn(7, 24, 3, 3).double()
    turned, F = to_camera(rotations, fisher, R)
    torch.testing.assert_close(R @ turned[:, 0], rotations[:, 0])
    torch.testing.assert_close(R @ F[:, 0], fisher[:, 0])
    assert torch.equal(turned[:, 1:], rotations[:, 1:])


def test_plumb_view_and_missing_keypoints_give_a_frame() -> None:
    down = torch.tensor([0.0, 1.0, 0.0]).expand(1, COCO, 3)
    nothing = torch.full((1, COCO, 3), torch.nan)
    rays = torch.cat([down, nothing, torch.zeros(1, COCO, 3)])
    keypoints, elevation, R = to_upright(rays, torch.ones(3, COCO), (0, -1, 0))
    assert torch.isfinite(keypoints).all() and torch.isfinite(R).all()
    assert elevation[0].item() == pytest.approx(math.pi / 2, abs=1e-3)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(3), atol=1e-5, rtol=0)
    assert (keypoints[1:, :, 2] == 0).all()


def test_mirroring_the_body_mirrors_its_keypoints(rig: Rig) -> None:
    """left = +x, COCO's left and SMPL's left are one and the same."""
    pose, betas = random_pose(4, 6), torch.zeros(4, 10)
    points = pose_rig(rig, pose, betas).points[:, :COCO]
    flipped = pose_rig(rig, mirror_fisher(pose), betas).points[:, :COCO]
    expected = mirror_keypoints(points)
    torch.testing.assert_close(flipped, expected, atol=0.006, rtol=0)
    assert (flipped - points).abs().max() > 0.1


def test_normalisation_ignores_place_and_size() -> None:
    keypoints = torch.rand(6, COCO, 3, generator=torch.Generator().manual_seed(7))
    keypoints[..., 2] = 0.3 + 0.7 * keypoints[..., 2]
    moved = keypoints * torch.tensor([0.5, 0.5, 1.0]) + torch.tensor([0.1, -0.2, 0.0])
    a, b = (normalise(k, torch.zeros(6)) for k in (keypoints, moved))
    places = COCO * 2
    torch.testing.assert_close(a.features[:, :places], b.features[:, :places])
    torch.testing.assert_close(b.scale, 0.5 * a.scale)


def observed(rig: Rig, pose: Tensor, elevation: Tensor, distance: float) -> Tensor:
    """Exact keypoints (N, 17, 3) of posed bodies, torso centre on the ray at so many statures."""
    betas = torch.zeros(len(pose), 10)
    points = pose_rig(rig, pose, betas).points[:, :COCO]
    points = points - points[:, list(keypoint_fit.TORSO_KEYPOINTS)].mean(1, keepdim=True)
    seen = points @ keypoint_fit.virtual_axes(elevation).mT
    seen = seen + torch.tensor([0.0, 0.0, distance * rig.stature[0].item()])
    return torch.cat([seen[..., :2] / seen[..., 2:], torch.ones(len(pose), COCO, 1)], dim=-1)


def facing_people(count: int, seed: int, size: float) -> Tensor:
    pose = random_pose(count, seed, size)
    return torch.cat([(FACING_CAMERA @ pose[:, 0])[:, None], pose[:, 1:]], dim=1)


def reprojection(
    rig: Rig, keypoints: Tensor, pose: Tensor, elevation: Tensor, distance: float
) -> float:
    error = observed(rig, pose, elevation, distance)[..., :2] - keypoints[..., :2]
    error = error - error.mean(1, keepdim=True)
    return float(error.norm(dim=-1).mean())


def refined(
    rig: Rig, keypoints: Tensor, elevation: Tensor, start: Tensor, sharpness: float
) -> Tensor:
    n = len(start)
    rotations, _ = keypoint_fit.fit_keypoints(
        rig,
        keypoints,
        elevation,
        start,
        sharpness * start,
        torch.zeros(n, 10),
        torch.full((n,), 8.0),
        torch.full((n,), 0.02),
        keypoint_fit.RefineOptions(iterations=15),
    )
    return rotations


def test_refinement_fits_keypoints_and_stays_plausible(rig: Rig) -> None:
    truth = facing_people(30, 8, 0.25)
    elevation = torch.linspace(-0.1, 0.9, 30)
    keypoints = observed(rig, truth, elevation, 8.0)
    start = truth @ random_pose(30, 9, 0.12)
    start[:, 0] = truth[:, 0]
    result = refined(rig, keypoints, elevation, start, 30.0)
    torch.testing.assert_close(result[:, 0], start[:, 0])  # where somebody faces was said elsewhere
    before = reprojection(rig, keypoints, start, elevation, 8.0)
    assert reprojection(rig, keypoints, result, elevation, 8.0) < 0.35 * before
    eye = torch.eye(3).expand_as(result)
    torch.testing.assert_close(result @ result.mT, eye, atol=1e-4, rtol=0)
    assert angle_between(result, start).max() < 0.7  # a prior of 7 degrees is not forgotten
    # Negative control: a very sharp prior must hold the pose where it was.
    held = refined(rig, keypoints, elevation, start, 1e6)
    assert angle_between(held, start).max() < 0.02


def test_refinement_ignores_an_outlier_and_missing_keypoints(rig: Rig) -> None:
    truth = facing_people(10, 10, 0.2)
    elevation = torch.full((10,), 0.2)
    keypoints = observed(rig, truth, elevation, 8.0)
    wild = keypoints.clone()
    wild[:, 9, 0] += 0.15  # a wrist more than a stature away
    wild[:, 13, :2], wild[:, 13, 2] = 99.0, 0.0
    result = refined(rig, wild, elevation, truth, 30.0)
    assert angle_between(result, truth).max() < 0.25


def test_refinement_derivatives(rig: Rig) -> None:
    """The analytic gradient against finite differences of the energy it belongs to."""
    double = rig.to("cpu", torch.float64)
    pose = facing_people(2, 11, 0.3).double()
    keypoints = observed(rig, facing_people(2, 12, 0.2), torch.zeros(2), 6.0).double()
    problem = keypoint_fit._Problem(
        rig=double,
        betas=torch.zeros(2, 10, dtype=torch.float64),
        uv=keypoints[..., :2],
        precision=torch.full((2, COCO), 40.0, dtype=torch.float64),
        axes=keypoint_fit.virtual_axes(torch.full((2,), 0.4, dtype=torch.float64)),
        fisher=torch.randn(2, 24, 3, 3, generator=torch.Generator().manual_seed(13)).double(),
        curvature=torch.zeros(2, 24, 3, 3, dtype=torch.float64),
        log_depth=torch.full((2,), 2.3, dtype=torch.float64),
        log_depth_sd=torch.full((2,), 0.1, dtype=torch.float64),
        cutoff=3.0,
    )
    place = torch.tensor([[0.01, -0.02, 2.35], [0.0, 0.03, 2.2]], dtype=torch.float64)
    state = keypoint_fit._State(pose, place)
    posed = pose_rig(double, pose, problem.betas)
    _, gradient = keypoint_fit._normal_equations(problem, state, posed)

    def energy(step: Tensor) -> Tensor:
        moved = keypoint_fit._apply(state, posed, step)
        return keypoint_fit._energy(
            problem, moved, pose_rig(double, moved.rotations, problem.betas)
        )

    numeric = torch.zeros_like(gradient)
    for column in range(gradient.shape[1]):
        step = torch.zeros_like(gradient)
        step[:, column] = 1e-5
        numeric[:, column] = (energy(step) - energy(-step)) / 2e-5
    torch.testing.assert_close(gradient, numeric, atol=1e-3, rtol=1e-4)
