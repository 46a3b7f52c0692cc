"""Training tiles: renders with truth, seen otherwise, and what the network finds in them."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from crowd3d import body, models
from crowd3d.body.tree import COCO_MIRROR
from crowd3d.camera import Camera
from crowd3d.errors import DataError, OutputError
from crowd3d.models.heads import STRIDES, point_below, sample_levels
from crowd3d.training.augment import AugmentRecipe, augment, mirrored, spoiled, zoomed
from crowd3d.training.tile_looks import Targets, look_frozen, matches, targets_of
from crowd3d.training.tiles import (
    Tile,
    TileRecipe,
    TileStream,
    load_tile,
    render_tile,
    save_tile,
    tile_path,
)

RECIPE = TileRecipe(
    side_px=256, people=(3, 4), person_px=(90.0, 110.0), presets=("plaza",), roll_sd_deg=0.0
)


@pytest.fixture(scope="module")
def tile() -> Tile:
    return render_tile(2_000_003, RECIPE)


def camera_of(tile: Tile) -> Camera:
    truth = tile.truth
    u, v = (float(c) for c in truth.center_px)
    return Camera(tile.rgb.shape[1], tile.rgb.shape[0], float(truth.focal_px), (u, v))


def assert_consistent(tile: Tile) -> None:
    camera, truth = camera_of(tile), tile.truth
    np.testing.assert_allclose(camera.project(truth.torso_m), truth.torso_px, atol=1e-6)
    np.testing.assert_allclose(camera.project(truth.hvip_m), truth.hvip_px, atol=1e-6)
    projected = camera.project(truth.keypoints_m)
    np.testing.assert_allclose(projected, truth.keypoints_px[..., :2], atol=1e-6)
    on_plane = (truth.hvip_m * truth.normals[truth.plane]).sum(1) + truth.offsets_m[truth.plane]
    np.testing.assert_allclose(on_plane, 0, atol=1e-9)


def test_a_seed_gives_the_same_tile_and_another_seed_another(tile: Tile) -> None:
    again = render_tile(2_000_003, RECIPE)
    np.testing.assert_array_equal(tile.rgb, again.rgb)
    for field in fields(tile.truth):
        np.testing.assert_array_equal(
            getattr(tile.truth, field.name), getattr(again.truth, field.name)
        )
    assert (render_tile(2_000_004, RECIPE).rgb != tile.rgb).any()


def test_people_have_about_the_wanted_height(tile: Tile) -> None:
    assert len(tile.truth)
    standing = tile.truth.inside > 0.99
    height = np.ptp(tile.truth.boxes_px[standing][:, 1::2], axis=1)
    assert (height > 30).all() and (height < 250).all()
    assert_consistent(tile)


def test_truth_follows_every_change(tile: Tile) -> None:
    assert_consistent(mirrored(tile))
    assert_consistent(zoomed(tile, 0.8, np.array([10.0, 3.0])))
    assert_consistent(augment(tile, AugmentRecipe(), np.random.default_rng(5)))


def test_two_mirrors_change_nothing(tile: Tile) -> None:
    twice = mirrored(mirrored(tile))
    np.testing.assert_array_equal(twice.rgb, tile.rgb)
    for field in fields(tile.truth):
        np.testing.assert_allclose(
            getattr(twice.truth, field.name), getattr(tile.truth, field.name), atol=1e-9
        )


def test_a_mirrored_pose_makes_the_mirrored_body(tile: Tile) -> None:
    model = body.load("open", "crowd")

    def keypoints(tile: Tile) -> torch.Tensor:
        truth = tile.truth
        values = (truth.pose, truth.betas, truth.transl_m)
        out = model(*(torch.as_tensor(v, dtype=torch.float32) for v in values))
        return model.keypoints(out.vertices)

    expected = keypoints(tile)[:, list(COCO_MIRROR)] * torch.tensor([-1.0, 1, 1])
    apart = (keypoints(mirrored(tile)) - expected).norm(dim=-1)
    assert apart.max() < 0.03  # the body is not quite symmetric


def test_zooming_moves_a_painted_dot_to_where_truth_says() -> None:
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[20:24, 30:34] = 255  # its middle is at (32, 22)
    truth = render_tile(2_000_003, replace(RECIPE, side_px=64, people=(1, 1))).truth
    moved = zoomed(Tile(rgb, truth), 1.5, np.array([-8.0, 4.0])).rgb[..., 0].astype(float)
    v, u = np.mgrid[:64, :64] + 0.5
    at = np.array([(u * moved).sum(), (v * moved).sum()]) / moved.sum()
    np.testing.assert_allclose(at, [32 * 1.5 - 8, 22 * 1.5 + 4], atol=0.05)


def test_spoiling_depends_on_the_generator_alone(tile: Tile) -> None:
    first, again, other = (
        spoiled(tile.rgb, AugmentRecipe(), np.random.default_rng(s)) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and first.shape == tile.rgb.shape


def test_a_tile_is_kept_and_read(tile: Tile, tmp_path) -> None:
    save_tile(tmp_path / "a.npz", tile, 3)
    read = load_tile(tmp_path / "a.npz")
    assert np.abs(read.rgb.astype(int) - tile.rgb).mean() < 12  # JPEG
    np.testing.assert_array_equal(read.truth.pose, tile.truth.pose)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


def test_damaged_tiles_and_folders_are_named(tile: Tile, tmp_path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no tile")
    with pytest.raises(DataError, match=r"a\.npz"):
        load_tile(tmp_path / "a.npz")
    with pytest.raises(OutputError, match="cannot write"):
        TileStream(tmp_path / "a.npz" / "tiles", RECIPE)


def test_a_stream_uses_what_is_there(tile: Tile, tmp_path) -> None:
    with TileStream(tmp_path, RECIPE) as stream:
        save_tile(tile_path(tmp_path, 7), tile, 7)
        stream.order([7])
        np.testing.assert_array_equal(stream.get(7).truth.betas, tile.truth.betas)


def test_a_folder_of_another_recipe_is_refused(tmp_path) -> None:
    TileStream(tmp_path, RECIPE)
    TileStream(tmp_path, replace(RECIPE, count=5))
    with pytest.raises(DataError, match="another recipe"):
        TileStream(tmp_path, replace(RECIPE, people=(1, 1)))


def test_people_are_matched_where_left_and_right_are_confused(tile: Tile) -> None:
    truth = tile.truth
    shown = np.flatnonzero((truth.visibility > 0.5) & (truth.inside > 0.99))
    boxes, keypoints = truth.boxes_px[shown], truth.keypoints_px[shown][:, list(COCO_MIRROR)]
    row, who = matches(boxes, keypoints, truth, 256)
    np.testing.assert_array_equal(shown[row], who)
    assert len(row)
    assert not len(matches(boxes + 100, keypoints + 100, truth, 1000)[0])
    assert not len(matches(boxes[:0], keypoints[:0], truth, 256)[0])


def test_targets_agree_with_each_other(tile: Tile) -> None:
    """Range, height and elevation tell where the ground below the torso is seen."""
    truth = tile.truth
    who = np.arange(len(truth))
    keypoints = truth.keypoints_px.copy()
    keypoints[..., 2] = 1
    targets = targets_of(keypoints, truth, who)
    below = point_below(targets.torso_uv, _Depth(targets), targets.elevation_rad)
    torch.testing.assert_close(below, targets.hvip_uv, atol=2e-4, rtol=0)
    heading = targets.rotations[:, 0] @ torch.tensor([0.0, 1.0, 0.0])
    assert (heading[:, 1] < -0.7).all()  # heads up in a frame whose y points down


class _Depth:
    """The fields of a lift's answer that `point_below` reads."""

    def __init__(self, targets: Targets) -> None:
        self.range_statures = targets.range_statures
        self.torso_height_statures = targets.torso_height_statures


def test_features_are_read_between_cells() -> None:
    generator = torch.Generator().manual_seed(0)
    levels = tuple(torch.randn(2, 3, 64 // s, 64 // s, generator=generator) for s in STRIDES)
    points = torch.rand(5, 4, 2, generator=generator) * 64
    rows = torch.tensor([0, 1, 1, 0, 1])
    found = sample_levels(levels, rows, points)
    for at, level in enumerate(levels):
        expected = torch.nn.functional.grid_sample(
            level[rows], points[:, None] / 32 - 1, padding_mode="border", align_corners=False
        )[:, :, 0].transpose(1, 2)
        torch.testing.assert_close(found[..., 3 * at : 3 * at + 3], expected, atol=1e-5, rtol=0)


def test_the_network_finds_people_in_tiles(tile: Tile) -> None:
    network = models.build()
    samples, targets = look_frozen(network, [tile, mirrored(tile)])
    assert len(samples) == len(targets) > 1
    assert samples.shape[1:] == (18, 144) and torch.isfinite(samples).all()


def test_the_six_maps_are_those_of_the_trunk() -> None:
    network = models.build()
    rgb = torch.rand(1, 3, 64, 96) * 255
    with torch.inference_mode():
        maps, levels = network.with_pyramid(rgb)
        again = network(rgb)
        center = torch.sigmoid(network.center(network.trunk(rgb * 0.00784301757 - 1.0)))
    assert torch.equal(maps.center, center) and torch.equal(again.center, center)
    assert [v.shape[-1] for v in levels] == [96 // s for s in STRIDES]
