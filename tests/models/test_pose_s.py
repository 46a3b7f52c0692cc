"""pose-s: agreement with the published network, what it shares with facing-s, and decoding."""

import numpy as np
import pytest
import torch

from crowd3d import models
from crowd3d.files.weights import metadata_of, read_weights, write_weights
from crowd3d.models import catalog
from crowd3d.models.engine import torch_engine
from crowd3d.models.openvino_engine import OpenVinoEngine
from crowd3d.models.pose_s import PoseMaps
from crowd3d.models.pose_s_decode import decode

SKIN, SHIRT, TROUSERS, HAIR = (200, 150, 120), (40, 70, 160), (50, 50, 60), (60, 40, 30)
# Lines of a drawn person: ends, half the width, colour.
FIGURE = (
    ((128, 60), (128, 60), 16, SKIN),  # head
    ((128, 78), (128, 88), 6, SKIN),
    ((113, 98), (108, 132), 8, SHIRT),  # arms
    ((143, 98), (150, 132), 8, SHIRT),
    ((108, 132), (101, 164), 6, SKIN),
    ((150, 132), (160, 162), 6, SKIN),
    ((120, 150), (118, 192), 10, TROUSERS),  # legs
    ((136, 150), (140, 192), 10, TROUSERS),
    ((118, 192), (115, 230), 8, TROUSERS),
    ((140, 192), (146, 228), 8, TROUSERS),
    ((120, 102), (121, 148), 12, SHIRT),  # trunk
    ((136, 102), (135, 148), 12, SHIRT),
    ((128, 50), (128, 53), 15, HAIR),
    ((122, 62), (122, 62), 2, (20, 20, 20)),  # eyes
    ((134, 62), (134, 62), 2, (20, 20, 20)),
    ((128, 68), (128, 69), 2, (170, 110, 90)),  # mouth
)
# u, v, score of the figure, by the published network in TensorFlow.js 4.22.0.
PUBLISHED = (
    (125.517, 72.282, 0.456), (132.123, 67.101, 0.506), (121.799, 67.228, 0.661),
    (139.374, 66.168, 0.701), (115.549, 65.662, 0.603), (144.299, 95.858, 0.854),
    (110.773, 94.440, 0.846), (152.786, 125.762, 0.629), (105.955, 122.732, 0.765),
    (158.620, 148.654, 0.409), (100.517, 146.292, 0.524), (139.793, 157.747, 0.813),
    (116.672, 158.479, 0.738), (141.863, 194.379, 0.449), (116.032, 194.133, 0.426),
    (144.224, 224.884, 0.386), (114.596, 225.731, 0.294),
)  # fmt: skip


def _figure() -> np.ndarray:
    """(256, 256, 3) RGB, the drawn person on a coloured ground."""
    v, u = np.mgrid[:256, :256] + 0.5
    picture = np.stack([150 + v / 4, 170 + u / 8, 190 - v / 8], axis=-1)
    for start, end, radius, colour in FIGURE:
        along = np.subtract(end, start)
        share = ((u - start[0]) * along[0] + (v - start[1]) * along[1]) / max(along @ along, 1)
        share = share.clip(0, 1)
        du, dv = u - start[0] - share * along[0], v - start[1] - share * along[1]
        picture[du**2 + dv**2 < radius**2] = colour
    return picture.astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return models.shared("pose-s")


@pytest.mark.parametrize("engine", [torch_engine(), OpenVinoEngine()])
def test_agrees_with_the_published_network(engine):
    runner = engine.load("pose-s")
    found = decode(PoseMaps(*runner.run(_figure()[None])))[0].numpy()
    np.testing.assert_allclose(found[:, :2], np.array(PUBLISHED)[:, :2], atol=0.02)
    np.testing.assert_allclose(found[:, 2], np.array(PUBLISHED)[:, 2], atol=2e-3)
    # In the window for one person it sees much the same.
    narrow = decode(PoseMaps(*runner.run(_figure()[None, :, 48:208])))[0].numpy()
    narrow[:, 0] += 48
    assert np.abs(narrow - found)[:, :2].max() < 8 and (narrow[:, 2] > 0.1).all()


@pytest.mark.parametrize("height,width", [(256, 160), (256, 256), (64, 96)])
def test_features_are_those_of_facing_s_and_maps_have_a_cell_for_every_four_pixels(
    network, height, width
):
    rgb = torch.randint(255, (2, 3, height, width), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        maps = network(rgb.float())
        features = models.shared("facing-s")(rgb.float())
    assert torch.equal(maps[0], features) and maps.features is maps[0]
    channels = [1, 17, 34, 34]
    assert [m.shape for m in maps[1:]] == [(2, c, height // 4, width // 4) for c in channels]
    assert decode(maps).shape == (2, 17, 3)


def test_the_lower_stages_are_stored_once(network):
    file = catalog.embedded_file("pose-s")
    stored = read_weights(file).tensors
    assert not any(name.startswith("lower.") for name in stored)
    assert len(file.read_bytes()) < 9.4e6 and "Thunder" in metadata_of(file)["origin"]
    lower = models.shared("facing-s").state_dict()
    assert lower.keys() == network.lower.state_dict().keys()
    for name, tensor in network.lower.state_dict().items():
        assert torch.equal(tensor, lower[name])
    assert sum(p.numel() for p in network.parameters()) == 4_645_774 + 1_580_272


def test_a_file_with_the_lower_stages_is_taken_as_it_is(tmp_path):
    own = models.build("pose-s", None).state_dict()
    write_weights(tmp_path / "own.safetensors", own, {})
    state = models.build("pose-s", tmp_path / "own.safetensors").state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in own.items())


def _maps(height: int, width: int, batch: int = 1) -> PoseMaps:
    def empty(channels):
        return torch.zeros(batch, channels, height, width)

    return PoseMaps(empty(168), empty(1), empty(17), empty(34), empty(34))


def test_the_person_in_the_middle_is_taken_and_keypoints_near_where_they_are_expected():
    maps = _maps(64, 40)
    maps.center[0, 0, 30, 21], maps.center[0, 0, 30, 2] = (
        0.5,
        1.0,
    )  # the stronger one is at the border
    for u, shift in ((21, 3.0), (2, -1.0)):
        maps.keypoint_regression[0, ::2, 30, u] = -4.0
        maps.keypoint_regression[0, 1::2, 30, u] = shift
    maps.keypoint_heat[0, :, 27, 24] = 0.4  # a cell below where it is expected
    maps.keypoint_heat[0, :, 10, 2] = 1.0  # of somebody else
    maps.keypoint_offset[0, ::2, 27, 24] = 0.25
    maps.keypoint_offset[0, 1::2, 27, 24] = -0.5
    np.testing.assert_allclose(decode(maps)[0], [[94.0, 109.0, 0.4]] * 17, rtol=1e-6)


@pytest.mark.parametrize("seed,height,width", [(0, 16, 16), (1, 16, 24), (2, 24, 8)])
def test_decoding_agrees_with_its_naive_twin(seed, height, width):
    generator = torch.Generator().manual_seed(seed)
    maps = PoseMaps(*(torch.rand(m.shape, generator=generator) for m in _maps(height, width, 3)))
    maps.keypoint_regression.mul_(20).sub_(10)
    found = decode(maps)
    cells = [(v, u) for v in range(height) for u in range(width)]

    def best(heat, place):
        return max(cells, key=lambda cell: float(heat[cell]) / (np.hypot(*cell - place) + 1.8))

    for b in range(3):
        _, center, heat, regression, offset = (m[b].numpy() for m in maps)
        v, u = best(center[0], np.array([height // 2, width // 2]))
        for k in range(17):
            at = best(heat[k], np.array([v, u]) + regression[2 * k : 2 * k + 2, v, u])
            dv, du = offset[2 * k : 2 * k + 2, at[0], at[1]]
            expected = [4 * (at[1] + du), 4 * (at[0] + dv), heat[k][at]]
            np.testing.assert_allclose(found[b, k], expected, rtol=1e-5)
