"""The embedded lift: what any user may rely on, on bodies of known pose."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from crowd3d import body, lift
from crowd3d.body.rig import Rig, pose_rig, rig_of
from crowd3d.lift.keypoint_fit import virtual_axes
from crowd3d.maths import posterior
from crowd3d.maths.rotation import about_y, small_turns
from crowd3d.maths.upright import to_camera, to_upright
from crowd3d.models.lift_net import mirror_fisher, mirror_keypoints
from crowd3d.training.common.keypoint_noise import NoiseRecipe
from crowd3d.training.lift.data import (
    CameraRecipe,
    PopulationRecipe,
    PoseRecipe,
    build_bank,
    draw_betas,
    draw_poses,
    photograph,
)
from crowd3d.training.lift.metrics import errors, summary


@pytest.fixture(scope="module")
def lifter() -> lift.Lift:
    return lift.load()


@pytest.fixture(scope="module")
def rig() -> Rig:
    return rig_of(body.load("open", level="crowd"))


def standing(heading: Tensor) -> Tensor:
    """(N, 24, 3, 3) people with hanging arms, turned by heading from facing the camera."""
    rotvec = torch.zeros(len(heading), 24, 3)
    rotvec[:, 16, 2], rotvec[:, 17, 2] = -1.3, 1.3
    pose = small_turns(rotvec)
    pose[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ about_y(heading)
    return pose


def seen(rig: Rig, pose: Tensor, elevation: Tensor, statures: float = 10.0) -> Tensor:
    """Exact keypoints (N, 17, 3)."""
    points = pose_rig(rig, pose, torch.zeros(len(pose), 10)).points[:, :17]
    points = points - points[:, [5, 6, 11, 12]].mean(1, keepdim=True)
    placed = points @ virtual_axes(elevation).mT
    placed = placed + torch.tensor([0.0, 0.0, statures * rig.stature[0].item()])
    return torch.cat(
        [placed[..., :2] / placed[..., 2:], 0.8 * torch.ones(len(pose), 17, 1)], dim=-1
    )


def test_heading_is_found_all_around(lifter: lift.Lift, rig: Rig) -> None:
    """Front and back differ only by which side is left: facing must follow the labels."""
    heading = torch.arange(16) * math.pi / 8
    pose, elevation = standing(heading), torch.full((16,), 0.2)
    result = lifter(seen(rig, pose, elevation), elevation)
    assert torch.rad2deg(posterior.angle_between(result.rotations[:, 0], pose[:, 0])).max() < 35
    assert torch.rad2deg(posterior.angle_between(result.rotations[:, 0], pose[:, 0])).median() < 15


def test_standing_people_are_placed(lifter: lift.Lift, rig: Rig) -> None:
    heading = torch.linspace(0, 6, 12)
    for angle in (0.0, 0.3, 0.8):
        elevation = torch.full((12,), angle)
        result = lifter(seen(rig, standing(heading), elevation), elevation)
        assert (result.range_statures / 10 - 1).abs().median() < 0.12
        assert (result.torso_height_statures - 0.66).abs().max() < 0.08
        assert (result.range_log_sd > 0).all() and (result.torso_height_sd > 0).all()


def test_mirrored_people_give_mirrored_poses(lifter: lift.Lift, rig: Rig) -> None:
    elevation = torch.full((8,), 0.1)
    keypoints = seen(rig, standing(torch.arange(8) * 0.7), elevation)
    a, b = lifter(keypoints, elevation), lifter(mirror_keypoints(keypoints), elevation)
    torch.testing.assert_close(b.fisher, mirror_fisher(a.fisher), atol=1e-3, rtol=1e-4)


def test_everybody_is_lifted_alone_and_alike(lifter: lift.Lift, rig: Rig) -> None:
    elevation = torch.linspace(0, 1, 20)
    keypoints = seen(rig, standing(torch.linspace(0, 6, 20)), elevation)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    all_at_once, shuffled = lifter(keypoints, elevation), lifter(keypoints[order], elevation[order])
    torch.testing.assert_close(all_at_once.rotations[order], shuffled.rotations, atol=1e-4, rtol=0)
    again = lifter(keypoints, elevation)
    assert torch.equal(all_at_once.fisher, again.fisher)


def test_fewer_keypoints_are_less_certain(lifter: lift.Lift, rig: Rig) -> None:
    elevation = torch.full((16,), 0.2)
    keypoints = seen(rig, standing(torch.arange(16) * 0.4), elevation)
    legless = keypoints.clone()
    legless[:, 13:] = 0.0
    whole, part = lifter(keypoints, elevation), lifter(legless, elevation)
    knees = [1, 2, 4, 5]
    a, b = (posterior.dispersion(r.fisher[:, knees]).mean(1) for r in (whole, part))
    assert (b > a).all()


def test_malformed_input_never_gives_nan(lifter: lift.Lift) -> None:
    keypoints = torch.zeros(4, 17, 3)
    keypoints[1] = torch.nan
    keypoints[2, :, :2], keypoints[2, :, 2] = 1e6, 1.0
    keypoints[3, 0] = torch.tensor([0.1, 0.1, 1.0])
    elevation = torch.tensor([0.0, 0.1, 0.2, 1.5])
    result = lifter(keypoints, elevation)
    refined = lifter.refine_pose(result, keypoints, elevation)
    for r in (result, refined):
        assert torch.isfinite(r.rotations).all() and torch.isfinite(r.fisher).all()
        eye = torch.eye(3).expand_as(r.rotations)
        torch.testing.assert_close(r.rotations @ r.rotations.mT, eye, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="17"):
        lifter(keypoints[:, :5], elevation)


def test_nobody_is_no_problem(lifter: lift.Lift) -> None:
    keypoints, elevation, R = to_upright(torch.zeros(0, 17, 3), torch.zeros(0, 17), (0, -1, 0))
    result = lifter(keypoints, elevation)
    assert len(result) == 0 and len(lifter.refine_pose(result, keypoints, elevation)) == 0
    rotations, fisher = to_camera(result.rotations, result.fisher, R)
    assert rotations.shape == fisher.shape == (0, 24, 3, 3)


def test_refined_fisher_points_at_the_refined_pose(lifter: lift.Lift, rig: Rig) -> None:
    elevation = torch.full((6,), 0.3)
    keypoints = seen(rig, standing(torch.arange(6) * 1.0), elevation)
    result = lifter(keypoints, elevation)
    refined = lifter.refine_pose(result, keypoints, elevation)
    torch.testing.assert_close(posterior.mode(refined.fisher), refined.rotations, atol=5e-3, rtol=0)
    before, after = (posterior.dispersion(r.fisher) for r in (result, refined))
    torch.testing.assert_close(before, after, atol=1e-3, rtol=0)


def test_posteriors_are_honest_and_somebody_elses_are_not(lifter: lift.Lift, rig: Rig) -> None:
    """Everyday poses, seen with a detector's errors; mocap, which is not shipped, is in benchmarks."""
    generator = torch.Generator().manual_seed(77)
    poses = PoseRecipe(everyday=3000)
    bank = build_bank([], poses, rig, 78)
    drawn = draw_poses(bank, poses, 1500, generator)
    betas = draw_betas(PopulationRecipe(), 1500, generator, drawn.device)
    people = photograph(rig, drawn, betas, CameraRecipe(), NoiseRecipe(), generator)
    result = lifter(people.keypoints, people.elevation)
    found = errors(rig, result.rotations, result.betas, people)
    numbers = summary(found, result.fisher)
    assert numbers["pa_mpjpe_mm"] < 85 and numbers["heading_median_deg"] < 15
    assert 85 < numbers["coverage_90_percent"] < 96
    assert numbers["spearman_pairs"] > 0.4
    order = torch.randperm(1500, generator=generator)
    swapped = errors(rig, result.rotations[order], result.betas[order], people)
    control = summary(swapped, result.fisher[order])  # somebody else's posterior
    assert control["coverage_90_percent"] < 70
    control = summary(found, result.fisher[order])  # somebody else's certainty
    assert abs(control["spearman_people"]) < 0.1 < 0.4 < numbers["spearman_people"]
