"""boxes-s: the published numbers, its importer, sizes of windows, and boxes out of its maps."""

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.paths import DEMO
from torch import nn

from crowd3d import models
from crowd3d.files.weights import metadata_of
from crowd3d.models import catalog, import_nanodet
from crowd3d.models.boxes_s import BINS, CHANNELS, SIDES, STRIDES, WINDOW_PX, BoxesS
from crowd3d.models.boxes_s_decode import decode
from crowd3d.models.engine import TorchEngine
from crowd3d.models.openvino_engine import OpenVinoEngine
from tiling import box_iou

# What the published network says of `picture()`: row, column, probability of a person, and four of its 44
# numbers about distances (`TOLD`), in two corners and where somebody is likeliest. From onnxruntime 1.32.
TOLD = [0, 12, 25, 43]
PUBLISHED = {
    8: [
        (0, 0, 0.01107, [2.5689, 1.8345, 0.8402, -0.7258]),
        (13, 24, 0.03761, [1.0499, -0.8053, 5.7097, -3.5965]),
        (51, 51, 0.01272, [2.1071, 1.7922, 0.3529, -0.5727]),
    ],
    16: [
        (0, 0, 0.00799, [-0.2134, 0.3320, 0.3091, -0.6645]),
        (16, 12, 0.05444, [-0.7500, -3.5124, 5.3673, -1.2358]),
        (25, 25, 0.00771, [0.0080, 0.5737, 0.4547, -0.5100]),
    ],
    32: [
        (0, 0, 0.01045, [0.0914, 0.9091, 0.6035, -1.2041]),
        (5, 7, 0.04483, [-1.7006, -0.8840, 0.0921, -1.3377]),
        (12, 12, 0.00959, [0.0404, 1.1379, 0.5956, -1.2044]),
    ],
}


def picture():
    """Something upright before something bright."""
    y, x = np.mgrid[:WINDOW_PX, :WINDOW_PX]
    rgb = np.stack([150 + x // 8, 60 + y // 4, 140 + (x + y) // 16], axis=2).astype(np.uint8)
    rgb[120:370, 150:250] = (30, 50, 120)
    rgb[80:130, 180:220] = (200, 150, 120)
    return rgb


def test_the_embedded_weights_say_what_the_published_network_says():
    maps = TorchEngine().load("boxes-s").run(picture()[None])
    for told, (stride, cells) in zip(maps, PUBLISHED.items(), strict=True):
        side = WINDOW_PX // stride
        assert told.shape == (1, CHANNELS, side, side)
        for row, column, chance, numbers in cells:
            found = told[0, :, row, column]
            assert float(found[0].sigmoid()) == pytest.approx(chance, abs=1e-5)
            torch.testing.assert_close(found[1:][TOLD], torch.tensor(numbers), atol=1.5e-4, rtol=0)
        row, column, *_ = cells[1]
        assert int(told[0, 0].argmax()) == row * side + column


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 160), (224, 96)])
def test_windows_of_any_size_and_batch(height, width):
    network = models.build("boxes-s")
    rgb = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        maps = network(rgb)
        alone = network(rgb[1:])
        last = network.of_scaled(network.scaled(rgb.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    for told, one, same, stride in zip(maps, alone, last, STRIDES, strict=True):
        assert told.shape == (2, CHANNELS, height // stride, width // stride)
        torch.testing.assert_close(told[1:], one, atol=1e-4, rtol=1e-4)
        assert torch.equal(told, same)


def test_openvino_gives_what_torch_gives_in_windows_of_any_size():
    rng = np.random.default_rng(2)
    ours, theirs = (engine.load("boxes-s") for engine in (OpenVinoEngine(), TorchEngine()))
    for height, width in ((WINDOW_PX, WINDOW_PX), (96, 160)):
        pixels = rng.integers(0, 255, (2, height, width, 3), np.uint8)
        for a, b in zip(ours.run(pixels), theirs.run(pixels), strict=True):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


def test_the_file_says_whose_weights_it_holds():
    file = catalog.embedded_file("boxes-s")
    assert (
        "NanoDet-g" in metadata_of(file)["origin"] and "Apache-2.0" in metadata_of(file)["origin"]
    )
    assert len(file.read_bytes()) < 7.6e6
    assert catalog.CATALOG["boxes-s"].licence == "Apache-2.0"


def test_it_finds_people_of_the_demo():
    rgb = np.ascontiguousarray(cv2.imread(str(DEMO))[900:1316, 300:716, ::-1])
    found = decode(TorchEngine().load("boxes-s").run(rgb[None]), 0.34)
    assert len(found.score) >= 3
    width, height = (found.box_px[:, 2:] - found.box_px[:, :2]).T
    assert (height > 1.2 * width).all()


# Boxes.


def empty(height, width, batch=1):
    """Maps in which nobody is."""
    maps = [torch.zeros(batch, CHANNELS, height // s, width // s) for s in STRIDES]
    for told in maps:
        told[:, 0] = -9.0
    return maps


def put(maps, stride, cell, chance, cells, tile=0):
    """Let a cell (row, column) tell of a box: so many cells to its left, top, right and bottom."""
    told = maps[STRIDES.index(stride)][tile, :, cell[0], cell[1]]
    told[0] = np.log(chance / (1 - chance))
    bins = torch.full((SIDES, BINS), -50.0)
    for side, distance in enumerate(cells):
        low = min(int(distance), BINS - 2)
        share = distance - low  # of two neighbouring bins, so that their mean is the distance
        bins[side, low] = np.log(max(1 - share, 1e-9))
        bins[side, low + 1] = np.log(max(share, 1e-9))
    told[1:] = bins.reshape(-1)


def test_nobody_is_found_in_empty_maps():
    found = decode(empty(64, 96), 0.1)
    assert found.tile.shape == found.score.shape == (0,) and found.box_px.shape == (0, 4)


@pytest.mark.parametrize("stride", STRIDES)
def test_sides_are_counted_from_the_middle_of_a_cell(stride):
    maps = empty(512, 768)
    put(maps, stride, (4, 7), 0.7, (2.25, 3.0, 0.5, 1.75))
    found = decode(maps, 0.3)
    box = np.array([7.5 - 2.25, 4.5 - 3, 7.5 + 0.5, 4.5 + 1.75]) * stride
    np.testing.assert_allclose(found.box_px.numpy(), box[None], atol=1e-3)
    assert float(found.score[0]) == pytest.approx(0.7)
    assert not len(decode(maps, 0.71).score)


def test_boxes_end_at_the_border():
    maps = empty(64, 96)
    put(maps, 32, (1, 2), 0.7, (10, 10, 10, 10))
    assert decode(maps, 0.3).box_px.tolist() == [[0, 0, 96, 64]]


def test_of_one_person_the_likeliest_box_stays():
    maps = empty(320, 320, batch=2)
    for tile in (0, 1):
        put(maps, 8, (10, 10), 0.6, (3, 6, 3, 6), tile)
        put(maps, 8, (10, 11), 0.8, (4, 6, 2, 6), tile)  # the same box
        put(maps, 16, (5, 5), 0.7, (1.5, 3, 1.5, 3), tile)  # nearly the same, from another level
    put(maps, 8, (10, 14), 0.5, (3, 6, 3, 6), 1)  # a neighbour who overlaps by less
    found = decode(maps, 0.3)
    assert found.tile.tolist() == [0, 1, 1]
    np.testing.assert_allclose(found.score, [0.8, 0.8, 0.5], atol=1e-6)


def test_no_two_boxes_of_a_window_are_alike_and_none_is_lost():
    """Against the naive twin: every box, by score, is compared with all that stay."""
    torch.manual_seed(3)
    maps = [5 * torch.randn(2, CHANNELS, 96 // s, 96 // s) for s in STRIDES]
    every, left = decode_all(maps), []
    for tile, score, box in every:
        same = [b for t, _, b in left if t == tile and box_iou(b[None], box[None])[0] > 0.6]
        if not same:
            left.append((tile, score, box))
    found = decode(maps, 0.0)
    assert found.tile.tolist() == [t for t, *_ in left] and 20 < len(left) < len(every)
    np.testing.assert_allclose(found.box_px, np.stack([b for *_, b in left]), atol=1e-3)


def decode_all(maps):
    """All cells' boxes, cell by cell: by tile, then by score."""
    height, width = (side * STRIDES[0] for side in maps[0].shape[-2:])
    boxes = []
    for told, stride in zip(maps, STRIDES, strict=True):
        for tile, row, column in np.ndindex(len(told), *told.shape[2:]):
            numbers = told[tile, :, row, column].double().numpy()
            bins = np.exp(numbers[1:].reshape(SIDES, BINS))
            left, top, right, bottom = (bins / bins.sum(axis=1, keepdims=True)) @ np.arange(BINS)
            x, y = column + 0.5, row + 0.5
            box = np.array([x - left, y - top, x + right, y + bottom]) * stride
            box = box.clip(0, [width, height, width, height])
            boxes.append((tile, float(told[tile, 0, row, column]), box))
    return sorted(boxes, key=lambda b: (b[0], -b[1]))


# Importing.


def published(seed=0):
    """Layers as the published file has them: blue first, eighty classes."""
    rng = np.random.default_rng(seed)
    layers = []
    for module in BoxesS().modules():
        if isinstance(module, nn.Conv2d):
            n, *rest = module.weight.shape
            n += 79 * (n == CHANNELS)
            layers.append(
                tuple(rng.normal(0, 0.1, s).astype(np.float16) for s in ((n, *rest), (n,)))
            )
    return layers


def test_layers_are_imported_in_order_red_first_and_of_persons(tmp_path, monkeypatch):
    layers, out = published(), tmp_path / "boxes.safetensors"
    monkeypatch.setattr(import_nanodet, "read_onnx", lambda path: layers)
    source = tmp_path / "some.onnx"
    source.touch()
    result = CliRunner().invoke(import_nanodet.main, [str(source), str(out)])
    assert result.exit_code == 0, result.output
    state = models.build("boxes-s", out).state_dict()
    np.testing.assert_array_equal(state["stem.weight"][:, 0], layers[0][0][:, 2])
    np.testing.assert_array_equal(state["stages.0.enter.weight"], layers[1][0])
    weight, bias = layers[-1]
    np.testing.assert_array_equal(state["head8.tell.weight"][0], weight[0])
    np.testing.assert_array_equal(state["head8.tell.weight"][1:], weight[80:])
    np.testing.assert_array_equal(state["head8.tell.bias"], bias[[0, *range(80, 124)]])


def test_layers_that_do_not_fit_are_named():
    layers = published()
    with pytest.raises(Exception, match="33 convolutions instead of 34"):
        import_nanodet.convert(layers[1:])
    weight, bias = layers[5]
    with pytest.raises(Exception, match=r"stages\.1\.enter does not fit"):
        import_nanodet.convert([*layers[:5], (weight[:8], bias), *layers[6:]])
