"""Depth from the size of a box: exact where it should be, good in a crowd, wrong when used wrongly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

import optim
from crowd3d.errors import DataError
from crowd3d.lift.box_depth import (
    depth_prior,
    fit_ground,
    foot_points,
    gamma_of_extent,
    k_m,
    log_residuals,
    root_points,
)
from crowd3d.maths.box import Box
from crowd3d.models.posenet import joints_in_camera
from optim import anthropometry

PICTURE = (19200, 6480)


def standing_box(depth_m: float, focal_px: float, height_m: float = 1.7) -> Box:
    """The tight box of an upright person on the optical axis."""
    side = focal_px * height_m / depth_m
    x, y = PICTURE[0] / 2, PICTURE[1] / 2
    return Box(np.array([x - side / 8, y - side / 2, side / 4, side]), "xywh", extended=False)


@pytest.mark.parametrize("focal_px", [1500.0, 8000.0])
@pytest.mark.parametrize("depth_m", [5.0, 20.0, 100.0])
def test_a_standing_person_of_known_extent(depth_m, focal_px):
    box = standing_box(depth_m, focal_px).extend(PICTURE)
    prior = depth_prior(box, focal_px, gamma_of_extent(1.7))
    np.testing.assert_allclose(prior.depth_m, depth_m, rtol=1e-9)
    twice = depth_prior(box, 2 * focal_px, gamma_of_extent(1.7))
    np.testing.assert_allclose(twice.depth_m, 2 * prior.depth_m, rtol=1e-12)
    np.testing.assert_allclose(k_m(box, (2 * focal_px, focal_px / 2)), k_m(box, focal_px))


def test_extending_twice_raises_and_would_cost_a_fifth_of_the_depth():
    box = standing_box(20.0, 1500.0).extend(PICTURE)
    with pytest.raises(DataError, match="extended already"):
        box.extend(PICTURE)
    passed_off_as_tight = Box(box.values, "xywh", extended=False).extend(PICTURE)
    wrong = depth_prior(passed_off_as_tight, 1500.0, gamma_of_extent(1.7)).depth_m
    np.testing.assert_allclose(wrong, 20.0 / 1.25)


def test_tight_boxes_have_no_k_and_extended_ones_no_feet():
    box = standing_box(20.0, 1500.0)
    with pytest.raises(DataError, match="extend"):
        depth_prior(box, 1500.0)
    prior = depth_prior(box.extend(PICTURE), 1500.0)
    with pytest.raises(DataError, match="extended"):
        foot_points(box.extend(PICTURE), prior, np.eye(3))
    with pytest.raises(DataError, match="gamma"):
        depth_prior(box.extend(PICTURE), 1500.0, gamma=[-1.0])


def test_a_box_in_the_wrong_format_is_named():
    with pytest.raises(DataError, match="is it xywh"):
        Box(np.array([[500.0, 400.0, 60.0, 200.0]]), "xyxy", extended=False)
    with pytest.raises(DataError, match="outside the picture"):
        Box(np.array([[-90.0, 0.0, 60.0, 200.0]]), "xywh", extended=False).extend(PICTURE)
    with pytest.raises(DataError, match="finite"):
        Box(np.array([[np.nan, 0.0, 60.0, 200.0]]), "xywh", extended=False)
    with pytest.raises(DataError, match="format"):
        Box(np.zeros((1, 4)), "yxyx", extended=False)  # type: ignore[arg-type]


@given(st.tuples(*[st.floats(0, 900)] * 2), st.tuples(*[st.floats(1, 90)] * 2), st.floats(0.5, 2.0))
def test_boxes_keep_their_place_through_formats_and_extension(left_top, size, aspect):
    box = Box(np.array([*left_top, *size]), "xywh", extended=False)
    there = box.to("xyxy")
    np.testing.assert_allclose(there.to("xywh").values, box.values, atol=1e-9)
    larger = box.extend((1000, 1000), aspect)
    np.testing.assert_allclose(larger.center_px, there.center_px)
    w, h = larger.size_px[0]
    assert w / h == pytest.approx(aspect) and larger.extended
    assert (larger.size_px >= 1.25 * box.size_px - 1e-9).all()
    assert np.isclose(larger.size_px, 1.25 * box.size_px).any()


def crowd(seed: int, n: int = 300, noise_px: float = 3.0):
    """Boxes and keypoints of upright people before a camera 12 m high that looks down by 10 degrees."""
    rng = np.random.default_rng(seed)
    focal, height = 8000.0, 12.0
    K = np.array([[focal, 0, PICTURE[0] / 2], [0, focal, PICTURE[1] / 2], [0, 0, 1]])
    up = -np.array([0, np.cos(np.deg2rad(10)), np.sin(np.deg2rad(10))])
    angle = np.linspace(0, 2 * np.pi, 24)[:, None]
    ring = 0.22 * (np.cos(angle) * [1, 0, 0] + np.sin(angle) * np.cross(up, [1, 0, 0]))

    def project(points):
        pixel = points @ K.T
        return pixel[..., :2] / pixel[..., 2:]

    boxes, keypoints, depth = [], [], []
    while len(boxes) < n:
        z = rng.uniform(15, 200)
        foot = np.array([rng.uniform(-1, 1) * z * 1.15, (-height - up[2] * z) / up[1], z])
        stature = rng.normal(1.70, 0.08)
        levels = [(0.0, 0.5), (0.6, 1.0), (1.0, 0.4)]  # share of the stature, share of the girth
        pixel = project(np.concatenate([foot + s * stature * up + g * ring for s, g in levels]))
        box = np.concatenate([pixel.min(0), pixel.max(0)])
        if (box < 0).any() or (box > PICTURE * 2).any():
            continue
        joints = np.zeros((17, 3))
        shares = {5: anthropometry.SHOULDER_FRACTION, 6: anthropometry.SHOULDER_FRACTION}
        shares |= {15: anthropometry.ANKLE_FRACTION, 16: anthropometry.ANKLE_FRACTION}
        for joint, share in shares.items():
            side = 0.17 if joint % 2 else -0.17
            joints[joint] = [*project(foot + share * stature * up + [side, 0, 0]), 0.9]
        joints[[5, 6, 15, 16], :2] += rng.normal(0, noise_px, (4, 2))
        boxes.append(box + rng.normal(0, noise_px, 4))
        keypoints.append(joints)
        depth.append(z)
    tight = Box(np.array(boxes), "xyxy", extended=False)
    return tight, np.array(keypoints), np.array(depth), K, up, height


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_gets_depths_and_a_first_ground(seed):
    tight, keypoints, depth, K, up, height = crowd(seed)
    prior = depth_prior(tight.extend(PICTURE), K[0, 0])
    error = np.abs(prior.depth_m / depth - 1)
    assert np.median(error) < 0.08
    assert kendalltau(prior.depth_m, depth)[0] > 0.85
    normal, offset = fit_ground(foot_points(tight, prior, K))
    assert np.rad2deg(np.arccos(min(1.0, normal @ up))) < 2
    assert abs(offset / height - 1) < 0.15
    fit = optim.fit_ground_camera(keypoints, PICTURE, focal_px=K[0, 0])
    feet = tight.left_top_px + tight.size_px * [0.5, 1.0]
    rays = np.linalg.solve(K, np.c_[feet, np.ones(len(feet))].T).T
    assert np.median(np.abs(-fit.offset_m / (rays @ fit.normal) / depth - 1)) < 0.015


def test_controls_fail():
    """The same checks on depths given to the wrong people, and on boxes of one size."""
    tight, _, depth, K, up, _ = crowd(0)
    prior = depth_prior(tight.extend(PICTURE), K[0, 0])
    shuffled = np.random.default_rng(0).permutation(prior.depth_m)
    assert abs(kendalltau(shuffled, depth)[0]) < 0.1
    size = np.broadcast_to(np.median(tight.size_px, axis=0), (len(tight), 2))
    foot = tight.left_top_px + tight.size_px * [0.5, 1.0]
    constant = Box(np.concatenate([foot - size * [0.5, 1.0], size], 1), "xywh", extended=False)
    flat = depth_prior(constant.extend((10**6, 10**6)), K[0, 0])
    assert np.median(np.abs(flat.depth_m / depth - 1)) > 0.08
    assert np.ptp(flat.depth_m) < 1e-6  # no order at all
    normal, _ = fit_ground(foot_points(constant, flat, K))
    assert np.rad2deg(np.arccos(min(1.0, abs(normal @ up)))) > 2


def test_the_ground_survives_a_fifth_of_wrong_boxes():
    rng = np.random.default_rng(0)
    x, z = rng.uniform(-50, 50, 200), rng.uniform(15, 150, 200)
    feet = np.stack([x, np.full(200, 8.0), z], axis=1)
    feet[:40] *= rng.uniform(0.3, 3.0, (40, 1))
    normal, offset = fit_ground(feet)
    np.testing.assert_allclose(normal, [0, -1, 0], atol=1e-3)
    assert offset == pytest.approx(8.0, abs=0.01)


@pytest.mark.parametrize("feet", [np.zeros((2, 3)), np.outer(np.arange(1, 9), [0.0, 1.0, 5.0])])
def test_a_ground_needs_more_than_a_line(feet):
    with pytest.raises(DataError, match=r"three people|one line"):
        fit_ground(feet)


def test_the_root_of_a_crop_is_on_its_ray():
    K = np.array([[1500.0, 0, 9600], [0, 1500, 3240], [0, 0, 1]])
    box = standing_box(20.0, 1500.0).extend(PICTURE)
    prior = depth_prior(box, 1500.0)
    np.testing.assert_allclose(root_points([[32.0, 32.0]], box, prior, K)[0], [0, 0, 20], atol=1e-9)
    corner = root_points([[0.0, 64.0]], box, prior, K)[0]
    pixel = K @ corner / corner[2]
    np.testing.assert_allclose(pixel[:2], box.left_top_px[0] + box.size_px[0] * [0, 1])
    with pytest.raises(DataError, match="extend"):
        root_points([[0.0, 0.0]], standing_box(20.0, 1500.0), prior, K)


def test_joints_of_a_crop_come_back_from_their_bins():
    rng = np.random.default_rng(0)
    K = torch.tensor([[1500.0, 0, 960], [0, 1400, 540], [0, 0, 1]]).double()
    joints = torch.from_numpy(rng.normal([1.0, 0.3, 8.0], 0.4, (3, 21, 3)))
    box = torch.tensor([[700.0, 200, 500, 500]]).double().expand(3, 4)
    pixel = joints @ K.T
    pixel = pixel[..., :2] / pixel[..., 2:]
    in_box = (pixel - box[:, None, :2]) / box[:, None, 2:] * 64
    bins = torch.cat([in_box, ((joints[..., 2:] - 8.0) / 2 + 0.5) * 64], dim=2)
    found = joints_in_camera(bins, box, torch.full((3,), 8.0).double(), K)
    torch.testing.assert_close(found, joints)


def test_residuals_are_in_standard_deviations():
    prior = depth_prior(standing_box(20.0, 1500.0).extend(PICTURE), 1500.0, sigma_log=0.1)
    np.testing.assert_allclose(log_residuals(prior, prior.depth_m * np.exp(0.2)), 2.0)
