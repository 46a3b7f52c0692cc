"""A crop network's answer in the scene's camera: same pixel, size and direction, anywhere in a panorama."""

import numpy as np
import pytest
import torch

from crowd3d.maths.crop_camera import (
    CROWDNET_CROP_PX,
    CROWDNET_FOCAL_PX,
    HMR_CROP_PX,
    HMR_FOCAL_PX,
    PROPOSE_CROP_PX,
    PROPOSE_FOCAL_PX,
    ray_rotation,
    scene_translation,
    translation_from_crowdnet,
    translation_from_weak_perspective,
)

WIDTH, HEIGHT = 19200, 6480
CENTER = torch.tensor([WIDTH / 2, HEIGHT / 2]).double()
EXPERTS = [
    (CROWDNET_FOCAL_PX, CROWDNET_CROP_PX),
    (PROPOSE_FOCAL_PX, PROPOSE_CROP_PX),
    (HMR_FOCAL_PX, HMR_CROP_PX),
]


def boxes(count: int, seed: int):
    rng = np.random.default_rng(seed)
    center = torch.from_numpy(rng.uniform([0, 0], [WIDTH, HEIGHT], (count, 2)))
    return center, torch.from_numpy(rng.uniform(60, 1500, count))


@pytest.mark.parametrize(("crop_focal_px", "crop_px"), EXPERTS)
@pytest.mark.parametrize("focal_px", [8000.0, 29000.0])
def test_the_same_pixel_and_size_anywhere_in_the_frame(crop_focal_px, crop_px, focal_px):
    center, side = boxes(200, 0)
    rng = np.random.default_rng(1)
    crop_m = torch.from_numpy(rng.uniform([-0.4, -0.4, 30], [0.4, 0.4, 60], (200, 3)))
    scene_m = scene_translation(crop_m, crop_focal_px, crop_px, center, side, focal_px, CENTER)
    in_crop = crop_focal_px * crop_m[:, :2] / crop_m[:, 2:]
    expected = center + in_crop * side[:, None] / crop_px
    found = CENTER + focal_px * scene_m[:, :2] / scene_m[:, 2:]
    assert (found - expected).abs().max() < 0.5
    size = focal_px / scene_m[:, 2] * crop_px / side  # pixels of the crop that a metre fills
    torch.testing.assert_close(size, crop_focal_px / crop_m[:, 2])
    straight = torch.cat([crop_m[:, :2], scene_m[:, 2:]], dim=1)  # control: as if in the middle
    wrong = CENTER + focal_px * straight[:, :2] / straight[:, 2:]
    assert (wrong - expected).abs().max() > 1000


def test_turn_carries_the_axis_onto_the_ray_by_the_shortest_way():
    center, _ = boxes(100, 2)
    turn = ray_rotation(center, 8000.0, CENTER)
    ray = torch.cat([(center - CENTER) / 8000.0, torch.ones(100, 1).double()], dim=1)
    ray = ray / ray.norm(dim=1, keepdim=True)
    torch.testing.assert_close(turn[:, :, 2], ray)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).double().expand(100, 3, 3))
    trace = turn.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close((trace - 1) / 2, ray[:, 2])  # angle of the turn = angle of the ray
    torch.testing.assert_close(ray_rotation(CENTER[None], 8000.0, CENTER)[0], torch.eye(3).double())


def test_orientation_is_right_at_the_edge_of_a_panorama():
    """Someone who faces the camera along the ray looks, to the crop network, as if in the middle of a picture.

    The silhouette from a camera turned onto the ray is the same for all places, so the network always says
    "identity"; the truth is a body turned with the ray. Without the turn the error is the ray's angle.
    """
    edge = torch.tensor([[WIDTH - 50.0, HEIGHT / 2]]).double()
    turn = ray_rotation(edge, 8000.0, CENTER)[0]
    angle = np.rad2deg(np.arccos(float((turn.trace() - 1) / 2)))
    assert 45 < angle < 55
    body = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (24, 3)))
    truth = turn @ torch.tensor([0.0, 0, 20]).double() + body @ turn.T
    seen = truth @ turn  # by a camera turned onto the ray
    torch.testing.assert_close(seen, body + torch.tensor([0.0, 0, 20]).double())


def test_cameras_of_the_experts():
    raw = torch.tensor([[0.1, -0.2, 0.0]]).double()
    metres = translation_from_crowdnet(raw)
    np.testing.assert_allclose(metres[0], [0.1, -0.2, 48.828125 / 2])
    weak = torch.tensor([[0.9, 0.05, -0.02]]).double()
    hmr = translation_from_weak_perspective(weak, HMR_FOCAL_PX, HMR_CROP_PX)
    np.testing.assert_allclose(hmr[0], [0.05, -0.02, 2 * 5000 / (224 * 0.9)])
