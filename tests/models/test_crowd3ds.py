"""The default network: agreement with the published one, no limit on people, clear errors."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from crowd3d import models
from crowd3d.errors import ModelError
from crowd3d.models.crowd3ds import Crowd3dS, Maps
from crowd3d.models.crowd3ds_decode import decode
from crowd3d.models.heads_s import CHANNELS

SIZES = ((64, 96), (128, 128), (160, 224), (256, 256))


def random_image(seed: int, height: int, width: int) -> np.ndarray:
    """(1, 3, H, W) float32, 0..255: coarse and fine noise, so that deep layers have something to see."""
    rng = np.random.default_rng(seed)
    coarse = (
        rng.uniform(0, 255, (3, height // 16, width // 16)).repeat(16, axis=1).repeat(16, axis=2)
    )
    fine = rng.uniform(0, 255, (3, height, width))
    return (0.7 * coarse + 0.3 * fine).astype(np.float32)[None]


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return models.build()


@pytest.mark.parametrize("index", range(len(SIZES)))
def test_agrees_with_the_published_network(network, index, data_dir):
    reference = np.load(data_dir / "crowd3ds_reference.npz")
    with torch.inference_mode():
        maps = network(torch.from_numpy(random_image(index, *SIZES[index])))._asdict()
    del maps["heads"]  # our own
    for name, ours in maps.items():
        if name == "center":  # the reference keeps only local maxima
            ours = torch.where(F.max_pool2d(ours, 3, 1, 1) == ours, ours, 0.0)
        np.testing.assert_allclose(
            ours.numpy()[:, :, ::3, ::3],
            reference[f"{index}_{name}"],
            atol=1e-3,
            rtol=0,
            err_msg=name,
        )


def test_batches_and_single_images_agree(network):
    images = torch.from_numpy(np.concatenate([random_image(s, 64, 96) for s in range(3)]))
    with torch.inference_mode():
        together = network(images.to(memory_format=torch.channels_last))
        alone = network(images[1:2])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-3, rtol=1e-4)


def _maps_with_people(n: int, side_cells: int) -> tuple[Maps, np.ndarray]:
    """Maps that hold n people on a grid, each 4 cells apart, keypoints at the centre cell plus (1, 1)."""
    channels = {
        "center": 1, "box_size": 2, "box_offset": 2, "keypoint_heat": 17,
        "keypoint_regression": 34, "keypoint_offset": 34, "heads": CHANNELS,
    }  # fmt: skip
    maps = {k: torch.zeros(1, c, side_cells, side_cells) for k, c in channels.items()}
    maps["heads"][:, 0] = -9.0
    per_row = side_cells // 4
    cells = np.array([(4 * (i // per_row) + 1, 4 * (i % per_row) + 1) for i in range(n)])
    v, u = torch.from_numpy(cells).T
    maps["center"][0, 0, v, u] = torch.linspace(0.5, 0.9, n)
    maps["box_size"][0, :, v, u] = torch.tensor([[3.0], [2.0]])
    maps["keypoint_regression"][0, :, v, u] = 1.0
    maps["keypoint_heat"][0, :, v + 1, u + 1] = 0.8
    maps["keypoint_offset"][0, :, v + 1, u + 1] = 0.25
    return Maps(**maps), cells


def test_decoding_returns_every_person_where_it_is():
    maps, cells = _maps_with_people(900, 128)
    found = decode(maps, min_score=0.2)
    assert len(found.score) == 900
    np.testing.assert_allclose(found.keypoints_px[:, 0, 0], (cells[:, 1] + 1.25) * 4)
    np.testing.assert_allclose(found.keypoints_px[:, 16, 1], (cells[:, 0] + 1.25) * 4)
    np.testing.assert_allclose(found.keypoints_px[..., 2], 0.8)
    box = found.box_px.numpy()
    np.testing.assert_allclose(box[:, 2] - box[:, 0], 8.0)
    np.testing.assert_allclose(box[:, 3] - box[:, 1], 12.0)
    np.testing.assert_allclose((box[:, 0] + box[:, 2]) / 2, cells[:, 1] * 4)


def test_a_keypoint_is_taken_near_its_regressed_place_and_not_from_a_neighbour():
    maps, _ = _maps_with_people(1, 64)
    maps.keypoint_heat[0, :, 12, 12] = 1.0  # stronger, but ten cells away from a person of three
    found = decode(maps, min_score=0.2)
    np.testing.assert_allclose(found.keypoints_px[0, :, 2], 0.8)


def _with_a_head(maps: Maps, row: int, column: int, head_px: float) -> Maps:
    """Somebody who stands, all of whom is told by the head."""
    maps.heads[0, 0, row, column] = 2.0
    maps.heads[0, 1, row, column] = np.log(head_px)
    down = torch.tensor([1.0, 1.0, 2.2, 2.2, 3.1, 3.1, 3.3, 3.3, 5.0, 5.0, 6.6, 6.6])
    maps.heads[0, 2::2, row, column] = 0.0
    maps.heads[0, 3::2, row, column] = down
    return maps


def test_a_head_is_somebody_with_a_body_below():
    maps, _ = _maps_with_people(1, 64)
    maps = _with_a_head(maps, 20, 30, 12.0)
    found = decode(maps, min_score=0.2, min_head=0.3)
    assert found.head_px.isnan().tolist() == [True, False]
    head = found.keypoints_px[1, :5]
    np.testing.assert_allclose(head[:, 0], 30.5 * 4)  # the middle of its cell
    np.testing.assert_allclose(head[:, 1], 20.5 * 4)
    np.testing.assert_allclose(found.head_px[1], 12.0, rtol=1e-5)
    np.testing.assert_allclose(found.score[1], 1 / (1 + np.exp(-2.0)), rtol=1e-5)
    left, top, right, bottom = found.box_px[1].tolist()
    assert left < 30.5 * 4 < right
    assert top < 20.5 * 4 - 6.0 and bottom > 20.5 * 4 + 6.6 * 12.0


def test_limbs_of_a_head_are_taken_where_they_are_seen():
    maps, _ = _maps_with_people(1, 64)
    maps = _with_a_head(maps, 20, 30, 12.0)
    maps.keypoint_heat[0, 5, 24, 31] = 0.9  # a shoulder, a cell below and beside its likely place
    found = decode(maps, min_score=0.2, min_head=0.3)
    np.testing.assert_allclose(found.keypoints_px[1, 5], [31 * 4, 24 * 4, 0.9], rtol=1e-6)


def test_a_head_less_probable_than_asked_for_is_nobody():
    maps, _ = _maps_with_people(1, 64)
    maps = _with_a_head(maps, 20, 30, 12.0)
    assert len(decode(maps, min_score=0.95, min_head=0.9).score) == 0


def test_nobody_is_an_answer():
    maps, _ = _maps_with_people(1, 64)
    assert len(decode(maps, min_score=0.95).score) == 0


def test_unknown_network_names_the_nearest():
    with pytest.raises(ModelError, match="crowd3d-s"):
        models.build("crowd3ds")


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="does not hold"):
        models.build("crowd3d-s", path)


def test_garbage_is_not_weights(tmp_path):
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(b"not a tensor")
    with pytest.raises(ModelError, match=r"not a \.safetensors"):
        models.build("crowd3d-s", path)
    with pytest.raises(ModelError, match="cannot read"):
        models.build("crowd3d-s", tmp_path / "missing.safetensors")


def test_fresh_network_has_the_published_size():
    network = Crowd3dS()
    ours = sum(p.numel() for p in network.heads.parameters())
    assert sum(p.numel() for p in network.parameters()) - ours == 4_723_346
