"""The default network: agreement with the published one, no limit on people, clear errors."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from crowd3d import models
from crowd3d.errors import ModelError
from crowd3d.models.crowd3ds import Crowd3dS, Heads
from crowd3d.models.crowd3ds_decode import decode

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
        heads = network(torch.from_numpy(random_image(index, *SIZES[index])))
    for name, ours in heads._asdict().items():
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


def _heads_with_people(n: int, side_cells: int) -> tuple[Heads, np.ndarray]:
    """Maps that hold n people on a grid, each 4 cells apart, keypoints at the centre cell plus (1, 1)."""
    maps = {
        "center": 1, "box_size": 2, "box_offset": 2, "keypoint_heat": 17,
        "keypoint_regression": 34, "keypoint_offset": 34,
    }  # fmt: skip
    heads = {k: torch.zeros(1, c, side_cells, side_cells) for k, c in maps.items()}
    per_row = side_cells // 4
    cells = np.array([(4 * (i // per_row) + 1, 4 * (i % per_row) + 1) for i in range(n)])
    v, u = torch.from_numpy(cells).T
    heads["center"][0, 0, v, u] = torch.linspace(0.5, 0.9, n)
    heads["box_size"][0, :, v, u] = torch.tensor([[3.0], [2.0]])
    heads["keypoint_regression"][0, :, v, u] = 1.0
    heads["keypoint_heat"][0, :, v + 1, u + 1] = 0.8
    heads["keypoint_offset"][0, :, v + 1, u + 1] = 0.25
    return Heads(**heads), cells


def test_decoding_returns_every_person_where_it_is():
    heads, cells = _heads_with_people(900, 128)
    found = decode(heads, min_score=0.2)
    assert len(found.score) == 900
    np.testing.assert_allclose(found.keypoints_px[:, 0, 0], (cells[:, 1] + 1.25) * 4)
    np.testing.assert_allclose(found.keypoints_px[:, 16, 1], (cells[:, 0] + 1.25) * 4)
    np.testing.assert_allclose(found.keypoints_px[..., 2], 0.8)
    box = found.box_px.numpy()
    np.testing.assert_allclose(box[:, 2] - box[:, 0], 8.0)
    np.testing.assert_allclose(box[:, 3] - box[:, 1], 12.0)
    np.testing.assert_allclose((box[:, 0] + box[:, 2]) / 2, cells[:, 1] * 4)


def test_a_keypoint_is_taken_near_its_regressed_place_and_not_from_a_neighbour():
    heads, _ = _heads_with_people(1, 64)
    heads.keypoint_heat[0, :, 12, 12] = 1.0  # stronger, but ten cells away from a person of three
    found = decode(heads, min_score=0.2)
    np.testing.assert_allclose(found.keypoints_px[0, :, 2], 0.8)


def test_nobody_is_an_answer():
    heads, _ = _heads_with_people(1, 64)
    assert len(decode(heads, min_score=0.95).score) == 0


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
    assert sum(p.numel() for p in Crowd3dS().parameters()) == 4_723_346
