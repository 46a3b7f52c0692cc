"""Losses and targets of Crowd3DNet: known values, what they must not see, and where their gradients point."""

import numpy as np
import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from crowd3d.evaluate.metrics.align import aligned
from crowd3d.models.crowd3dnet_decode import find_centers
from crowd3d.training.adapt import losses, targets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def joints(n=4, seed=0):
    return torch.randn(n, 24, 3, generator=seeded(seed)).double()


def similar(points, seed=0):
    """The same shape, moved, turned and scaled."""
    rng = np.random.default_rng(seed)
    turns = torch.from_numpy(Rotation.random(len(points), random_state=seed).as_matrix())
    scale = torch.from_numpy(rng.uniform(0.5, 2, (len(points), 1, 1)))
    return scale * points @ turns.mT + torch.from_numpy(rng.normal(size=(len(points), 1, 3)))


def test_similar_skeletons_cost_nothing_and_mirrored_ones_do():
    ours = joints()
    assert losses.pa_mpjpe_loss(ours, similar(ours)) < 1e-6
    assert losses.pa_mpjpe_loss(ours, ours * torch.tensor([-1.0, 1, 1])) > 0.3
    assert losses.mpjpe_loss(ours, ours + 3) < 1e-6 < losses.mpjpe_loss(ours, similar(ours))


@given(st.integers(0, 1000))
def test_pa_mpjpe_is_that_of_the_evaluation(seed):
    ours, theirs = joints(3, seed), joints(3, seed + 1)
    moved = aligned(ours.numpy(), theirs.numpy())
    wanted = np.linalg.norm(moved - theirs.numpy(), axis=2).mean()
    assert losses.pa_mpjpe_loss(ours, theirs).item() == pytest.approx(wanted, rel=1e-6)


def test_pa_mpjpe_is_differentiable():
    ours, theirs = joints(2).requires_grad_(), joints(2, seed=5)
    assert torch.autograd.gradcheck(lambda x: losses.pa_mpjpe_loss(x, theirs), (ours,), atol=1e-5)


def test_keypoints_that_are_not_seen_or_far_out_do_not_count():
    target = torch.zeros(2, 17, 2)
    points = target + torch.tensor([0.1, 0.2])
    seen = torch.ones(2, 17, dtype=torch.bool)
    one = torch.ones(17)
    assert losses.keypoint_loss(points, target, seen, one).item() == pytest.approx(0.3)
    seen[1] = False
    points[1] = 9
    target[0, 3], points[0, 3] = 2.0, 9.0
    assert losses.keypoint_loss(points, target, seen, one).item() == pytest.approx(0.3)
    assert losses.keypoint_loss(points, target, ~seen, 0 * one) == 0


def test_the_focal_loss_is_the_published_one():
    target = torch.zeros(1, 1, 8, 8)
    target[0, 0, 2, 3], target[0, 0, 2, 4] = 1.0, 0.6
    heat = torch.rand(1, 1, 8, 8, generator=seeded()) * 0.9 + 0.05
    wanted = 0.0
    for p, t in zip(heat.flatten().tolist(), target.flatten().tolist(), strict=True):
        if t == 1:
            wanted -= (1 - p) ** 2 * np.log(p)
        else:
            wanted -= (1 - t) ** 4 * p**2 * np.log(1 - p)
    assert losses.center_loss(heat, target).item() == pytest.approx(wanted, rel=1e-5)
    assert losses.center_loss(target.clone(), target) < losses.center_loss(heat, target)


def test_poses_and_shapes():
    turn = roma.rotvec_to_rotmat(torch.tensor([[[0.0, 0, np.pi]]]))
    eye = torch.eye(3).expand(1, 1, 3, 3)
    assert losses.pose_loss(turn, eye).item() == pytest.approx(np.sqrt(8), rel=1e-5)
    betas = torch.zeros(2, 10)
    betas[:, 0] = 4
    assert losses.shape_loss(betas) == 0
    assert losses.shape_loss(betas, torch.zeros(2, 10)).item() == pytest.approx(0.2)


def test_below_the_ground_and_leaning():
    up = torch.tensor([[0.0, -1, 0]])
    vertices = torch.tensor([[[0.0, 1.0, 5], [0, 1.7, 5], [0, 1.9, 5]]])
    below = losses.below_ground_loss(vertices, up, torch.tensor([1.6]))
    assert below.item() == pytest.approx(0.3, abs=1e-5)
    assert losses.below_ground_loss(vertices, up, torch.tensor([2.0])) == 0
    body = torch.zeros(1, 24, 3)
    body[:, 16:18, 1] = -1.0
    assert losses.upright_loss(body, up) < 1e-6
    assert losses.upright_loss(body, torch.tensor([[1.0, 0, 0]])).item() == pytest.approx(1)


def test_the_prior_prefers_what_it_was_made_of():
    poses = 0.1 * torch.randn(400, 24, 3, generator=seeded())
    mixture = losses.fit_mixture(poses, 3)
    usual, odd = losses.prior_loss(poses[:50], mixture), losses.prior_loss(poses[:50] + 1, mixture)
    assert usual < odd
    wrong = torch.zeros(1, 24, 3)
    wrong[0, 4, 0] = -0.8  # a knee bent forwards
    right = -wrong
    flat = losses.fit_mixture(torch.randn(200, 24, 3, generator=seeded()) * 3, 1)
    assert losses.prior_loss(wrong, flat) > losses.prior_loss(right, flat)


def test_nobody_costs_nothing_and_gives_no_nan():
    none = torch.zeros(0, 24, 3)
    up, height = torch.zeros(0, 3), torch.zeros(0)
    mixture = losses.fit_mixture(0.1 * torch.randn(50, 24, 3, generator=seeded()), 2)
    terms = {
        "keypoints": losses.keypoint_loss(
            none[:, :17, :2], none[:, :17, :2], torch.zeros(0, 17, dtype=bool), torch.ones(17)
        ),
        "mpjpe": losses.mpjpe_loss(none, none),
        "pa_mpjpe": losses.pa_mpjpe_loss(none, none),
        "pose": losses.pose_loss(torch.zeros(0, 22, 3, 3), torch.zeros(0, 22, 3, 3)),
        "shape": losses.shape_loss(torch.zeros(0, 10)),
        "prior": losses.prior_loss(none, mixture),
        "hvip": losses.point_loss(none[:, 0, :2], none[:, 0, :2]),
        "torso": losses.point_loss(none[:, 0, :2], none[:, 0, :2]),
        "root": losses.point_loss(none[:, 0], none[:, 0]),
        "below_ground": losses.below_ground_loss(none, up, height),
        "upright": losses.upright_loss(none, up),
        "center": losses.center_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)),
    }
    assert set(terms) == set(losses.TRAINING) and set(losses.ADAPTATION) < set(terms)
    assert float(losses.total(terms, losses.TRAINING)) < 1e-3


def test_no_term_drowns_the_others():
    large, small = torch.tensor(100.0, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    loss = losses.total({"keypoints": large, "prior": small}, losses.TRAINING)
    assert loss.item() == pytest.approx(1000 + 0.8)
    loss.backward()
    assert small.grad.item() == pytest.approx(1.6) and large.grad.item() == pytest.approx(10)


def test_equal_points_have_a_gradient_of_zero_and_not_nan():
    points = torch.ones(3, 2, requires_grad=True)
    losses.point_loss(points, torch.ones(3, 2)).backward()
    assert torch.isfinite(points.grad).all()


def test_centre_maps_are_found_again():
    cells = torch.tensor([[10, 12], [40, 50], [14, 12]])
    heat = targets.center_map(cells, torch.tensor([2.0, 4.6, 2.0]))
    assert sorted(find_centers(heat[None]).cell.tolist()) == sorted(cells.tolist())
    assert heat.max() == 1 and heat[0, 50, 44] > 0 == heat[0, 50, 45]
    assert float(targets.center_map(cells[:0], torch.zeros(0)).max()) == 0


def test_larger_boxes_have_wider_bumps():
    box = torch.tensor([[0.0, 0, 4, 8], [0, 0, 64, 64]])
    assert targets.radius_cells(box).tolist() == [2.0, 8.0]


def test_centres_in_collision_are_pushed_apart_and_others_stay():
    centers = torch.tensor([[0.0, 0], [0.05, 0], [0.7, 0.7], [1.0, -0.8]])
    moved = targets.pushed_apart(centers, torch.full((4,), 2.0))
    assert moved[1, 0] - moved[0, 0] > 0.06 and moved[0, 1] == 0
    assert moved[2].tolist() == centers[2].tolist()
    assert moved[3].tolist() == pytest.approx([0.96, -0.8])


def test_labels_are_told_by_the_nearest_peak_or_their_own_cell():
    heat = torch.full((2, 1, 64, 64), -5.0)
    heat[0, 0, 20, 20] = -1.0  # weak, but the only one
    patch, cell = torch.tensor([0, 0, 1]), torch.tensor([[22, 19], [40, 40], [20, 20]])
    heat[1] = torch.linspace(0, 1, 64 * 64).reshape(1, 64, 64)
    found = targets.nearest_peaks(heat, patch, cell, 4.0)
    assert found.tolist() == [[20, 20], [40, 40], [20, 20]]
