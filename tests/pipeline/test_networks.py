"""Which networks a run uses, from the command line to the files; Crowd3DNet is an oracle or a tiny one."""

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.crowd3dnet import SIZE, Oracle, TinyTrunk, fitted_of, read, save_network, standing

from crowd3d import Scene, api
from crowd3d.cli import main
from crowd3d.config import Config
from crowd3d.data.keypoint_export import write_poses
from crowd3d.errors import ConfigError, ModelError
from crowd3d.files.weights import metadata_of, tensors_hash, write_weights
from crowd3d.models import registry
from crowd3d.models.crowd3dnet import Crowd3DNet
from crowd3d.patches.reader import PatchReader
from crowd3d.pipeline.networks import build_detector, choose, on_one_level
from crowd3d.scene.detections import Detections


def test_a_network_is_chosen_by_name_or_by_what_its_file_says(tmp_path):
    file = save_network(tmp_path / "own.safetensors")
    assert choose(file).reader == file and choose(file).detector == "embedded"
    assert choose("crowd3dnet").reader == "embedded"
    assert choose(None).reader is None and choose("crowd3d-s").reader is None
    write_weights(tmp_path / "root.safetensors", {"a": torch.zeros(1)}, {"network": "rootnet"})
    for wrong in (tmp_path / "root.safetensors", "rootnet", tmp_path / "none.safetensors"):
        with pytest.raises(ModelError):
            choose(wrong)
    with pytest.raises(ModelError, match="finds nobody"):
        build_detector("crowd3dnet", "cpu", Config())


def test_files_say_what_they_are(tmp_path):
    file = save_network(tmp_path / "own.safetensors", body="open")
    assert metadata_of(file) == {"network": "crowd3dnet", "body": "open"}
    first = file.read_bytes()
    torch.manual_seed(1)
    assert save_network(file, body="open").read_bytes() != first
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(ModelError, match="not a "):
        metadata_of(tmp_path / "bad.safetensors")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "crowd.png"
    cv2.imwrite(str(path), np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    return path


def test_missing_weights_are_one_line_that_says_where_they_are_had(tmp_path, picture, monkeypatch):
    monkeypatch.setenv("CROWD3D_HOME", str(tmp_path / "home"))
    out = tmp_path / "out"
    result = CliRunner().invoke(
        main, ["reconstruct", str(picture), "-o", str(out), "--model", "crowd3dnet"]
    )
    assert result.exit_code == 2 and len(result.output.strip().splitlines()) == 1
    assert "crowd3d models import crowd3dnet FILE" in result.output
    assert "github.com/1020244018/Crowd3D" in result.output and not out.exists()


def write_seen(path, people):
    one = np.ones(len(people))
    none = np.zeros(len(people), np.int64)
    found = Detections(one, one, people.box_px, people.keypoints_px, none > 0, none)
    write_poses(path, {"crowd.png": found}, "alphapose")


def test_untrained_weights_from_a_file_do_not_break_a_run(tmp_path, picture, monkeypatch):
    monkeypatch.setitem(registry._NETWORKS, "crowd3dnet", lambda: Crowd3DNet(TinyTrunk()))
    torch.manual_seed(0)
    network = Crowd3DNet(TinyTrunk())
    torch.nn.init.normal_(network.center_head.out.weight)
    file = save_network(tmp_path / "own.safetensors", network)
    fitted = fitted_of(20)
    write_seen(tmp_path / "poses.json", read(fitted, Oracle(*standing(fitted, 4)[:2])))
    options = ["--keypoints", str(tmp_path / "poses.json"), "--fov", "60", "--model", str(file)]
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["reconstruct", str(picture), "-o", str(out), *options])
    assert result.exit_code == 0, result.output
    people = Scene.load(out).people
    assert np.isfinite(people.torso_m).all() and np.isfinite(people.pose).all()


@pytest.mark.parametrize("trained_for", ["smpl", "open"])
def test_from_the_picture_to_the_files(tmp_path, picture, monkeypatch, trained_for):
    """Own 2D poses give the camera, the network the people; the rest of the run stays as it was."""
    fitted = fitted_of(20)
    told, torso, _ = standing(fitted, 20)
    seen = read(fitted, Oracle(told, torso))
    write_seen(tmp_path / "poses.json", seen)
    oracle = Oracle(told, torso)
    monkeypatch.setattr(
        api, "build_reader", lambda *_: PatchReader(oracle, trained_for=trained_for)
    )
    monkeypatch.setattr(api, "run_of", lambda *_, **__: {})  # the oracle has no file of weights
    scene = api.reconstruct(
        picture,
        camera=fitted.camera,
        model="crowd3dnet",
        keypoints=tmp_path / "poses.json",
        out=tmp_path / "out",
    )
    assert len(scene.people) == 20 and oracle.looks >= 20
    versions = Scene.load(tmp_path / "out").diagnostics["versions"]
    assert versions["network"] == "crowd3dnet"
    assert versions["network_weights"] == tensors_hash(oracle)[:16]
    plane = fitted.planes[0]
    assert scene.planes[0].offset_m == pytest.approx(plane.offset_m, rel=0.1)
    doubts = [w for w in scene.diagnostics["warnings"] if "own shapes are not used" in w]
    assert len(doubts) == (trained_for == "smpl")
    assert (tmp_path / "out" / "overlay.jpg").exists()
    assert not list((tmp_path / "out").glob(".crowd3d-*"))
    default = api.reconstruct(picture, camera=fitted.camera, keypoints=tmp_path / "poses.json")
    assert "network" not in default.diagnostics["versions"]


def test_crowd3dnet_stands_on_one_level():
    assert on_one_level(Config()).ground == "level"
    with pytest.raises(ConfigError, match="slope"):
        on_one_level(Config(ground="slope"))
