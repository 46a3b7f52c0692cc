"""crowdnet-s: its inputs lie where they should, and it heeds the 2D pose that it is told."""

import numpy as np
import pytest
import torch
from helpers.paths import ROOT

from crowd3d import body, models
from crowd3d.models.crowdnet_s import CROP_H, CROP_W, STRIDE, CrowdNetS, heatmaps, pyramid
from crowd3d.picture import person_windows
from crowd3d.scene.camera import Camera
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane


def some_inputs(count: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    maps = tuple(
        torch.randn(count, c, CROP_H // s, CROP_W // s, generator=generator)
        for c, s in ((24, 4), (24, 8), (32, 16))
    )
    places = torch.rand(count, 24, 3, generator=generator) * torch.tensor([CROP_W, CROP_H, 1.0])
    keypoints = torch.rand(count, 17, 3, generator=generator) * torch.tensor([CROP_W, CROP_H, 1.0])
    fisher = 20 * torch.linalg.qr(torch.randn(count, 24, 3, 3, generator=generator))[0]
    return maps, keypoints, places, fisher, torch.rand(count, generator=generator)


def awake(seed: int = 0) -> CrowdNetS:
    """A head whose answer is not "no change"."""
    torch.manual_seed(seed)
    network = CrowdNetS(width=32, depth=1).eval()
    torch.nn.init.normal_(network.change.weight, std=0.3)
    return network


def test_a_fresh_head_changes_nothing():
    inputs = some_inputs(3)
    with torch.inference_mode():
        torch.testing.assert_close(CrowdNetS().eval()(*inputs), inputs[3])
        assert not torch.allclose(awake()(*inputs), inputs[3], atol=0.1)  # the control


def test_the_shipped_head_is_small():
    network = models.build("crowdnet-s")
    assert sum(p.numel() for p in network.parameters()) < 3e6
    assert (ROOT / "crowd3d/weights/crowdnet-s.safetensors").stat().st_size < 4e6


def test_heatmaps_are_as_high_as_scores_and_lie_on_the_keypoints():
    keypoints = torch.zeros(1, 17, 3)
    keypoints[0, 4] = torch.tensor([41.0, 90.0, 0.6])
    maps = heatmaps(keypoints, (CROP_H // STRIDE, CROP_W // STRIDE))
    y, x = torch.meshgrid(torch.arange(CROP_H // 4), torch.arange(CROP_W // 4), indexing="ij")
    away2 = ((x + 0.5) * 4 - 41) ** 2 + ((y + 0.5) * 4 - 90) ** 2
    torch.testing.assert_close(maps[0, 4], 0.6 * torch.exp(-away2 / (2 * 6.0**2)))
    assert maps[0, :4].abs().sum() == 0 and maps[0, 5:].abs().sum() == 0


def test_nobody_hears_of_the_others_in_the_batch():
    maps, *rest = some_inputs(4)
    network = awake()
    with torch.inference_mode():
        together = network(maps, *rest)
        order = torch.tensor([2, 0, 3, 1])
        shuffled = network(tuple(m[order] for m in maps), *(r[order] for r in rest))
        torch.testing.assert_close(shuffled, together[order], atol=1e-4, rtol=1e-4)


def test_keypoints_without_score_say_nothing_and_others_do():
    maps, keypoints, joints, fisher, elevation = some_inputs(2)
    network = awake()
    keypoints[:, 9, 2] = 0
    moved = keypoints.clone()
    moved[:, 9, :2] += 30
    with torch.inference_mode():
        first = network(maps, keypoints, joints, fisher, elevation)
        torch.testing.assert_close(network(maps, moved, joints, fisher, elevation), first)
        moved[:, 10, :2] += 30
        assert not torch.allclose(network(maps, moved, joints, fisher, elevation), first)


@pytest.mark.parametrize("projection", ["perspective", "cylindrical", "equirectangular"])
def test_windows_show_joints_where_the_picture_has_them(projection):
    """Also at the edge of a panorama: window pixel -> picture pixel is the way back of `crop_inputs`."""
    fov_deg = 70.0 if projection == "perspective" else 200.0
    camera = Camera.from_fov(6000, 2500, fov_deg, projection=projection)
    up = np.array([0.05, -0.98, -0.1])
    fitted = Fitted(camera, [Plane(up / np.linalg.norm(up), 5.0)], np.zeros((4, 4)), {})
    person = body.load("open", "crowd")
    rng = np.random.default_rng(0)
    people = People.empty(3)
    people.pose[:] = rng.normal(0, 0.2, people.pose.shape)
    people.pose[:, 0] = [np.pi, 0, 0]
    azimuth = np.array([0.0, -0.5, 0.58]) * camera.fov_rad * 0.8
    people.transl_m[:] = np.stack([12 * np.sin(azimuth), 2 + 0 * azimuth, 12 * np.cos(azimuth)], 1)
    with torch.inference_mode():
        out = person(
            *(torch.from_numpy(a).float() for a in (people.pose, people.betas, people.transl_m))
        )
        points = person.keypoints(out.vertices).double().numpy()
    people.keypoints_px[..., :2] = camera.project(points)
    people.keypoints_px[..., 2] = 0.8
    tiles = [person_windows.tile_of_pose(row) for row in people.keypoints_px]
    inputs = person_windows.crop_inputs(people, tiles, fitted, person)
    view = person_windows.window_of(fitted, 0)
    for i, tile in enumerate(tiles):
        there = view.to_picture(tile, inputs.joints[i, :, :2].double().numpy())
        expected = camera.project(out.joints[i].double().numpy())
        np.testing.assert_allclose(there, expected, atol=0.05)
        seen = view.to_picture(tile, inputs.keypoints[i, :, :2].double().numpy())
        np.testing.assert_allclose(seen, people.keypoints_px[i, :, :2], atol=0.05)
    assert (inputs.keypoints[..., 2] > 0).all()  # everybody is in the window
    # Fisher parameters turn with the frame, and only the root's.
    people.fisher[:] = np.eye(3)
    turned = person_windows.crop_inputs(people, tiles, fitted, person)
    torch.testing.assert_close(turned.fisher[:, 0], turned.R_upright_cam.float())
    torch.testing.assert_close(turned.fisher[:, 1], torch.eye(3).expand(3, 3, 3))


def test_unsure_and_outlying_keypoints_are_not_shown():
    points = np.zeros((17, 3))
    points[:, 0], points[:, 1], points[:, 2] = (
        np.linspace(100, 150, 17),
        np.linspace(50, 250, 17),
        0.9,
    )
    tile = person_windows.tile_of_pose(points)
    far = points.copy()
    far[3] = [9000, 9000, 0.05]
    assert person_windows.tile_of_pose(far) == tile
    assert tile.side_h == pytest.approx(1.3 * 200) and tile.side_w == pytest.approx(
        tile.side_h * 0.8
    )


def test_the_trunk_shows_crops_at_three_scales():
    trunk = models.build("crowd3d-s").trunk
    with torch.inference_mode():
        maps = pyramid(trunk, torch.zeros(1, 3, CROP_H, CROP_W))
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 40, 32), (24, 20, 16), (32, 10, 8)]
