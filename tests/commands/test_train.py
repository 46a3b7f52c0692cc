"""`crowd3d train`: weights that load, runs that go on, and one line for every mistake."""

import ast
import json

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.paths import ROOT
from scipy.spatial.transform import Rotation

from crowd3d import lift, models
from crowd3d.cli import main
from crowd3d.data.cmu import Clip
from crowd3d.detect import facing
from crowd3d.models.engine import torch_engine
from crowd3d.training.facing import train as facing_train
from crowd3d.training.glance import train as glance_train
from crowd3d.training.lift import train as lift_train

LIFT = """
steps: 4
batch: 16
warmup: 1
network: {width: 16, depth: 1}
held_out: ["03"]
validation: ["01_05"]
poses: {everyday: 200, weights: {everyday: 0.5, cmu_01: 0.5}}
"""
CROPS = """
steps: 2
batch: 4
network: {width: 16, depth: 1}
rootnet: {steps: 2, batch: 4}
groups:
  plain:
    first_seed: 81001
    pictures: 1
    validation_seed: 81002
    validation_pictures: 1
    held_out_seed: 81003
    held_out_pictures: 1
    scene: {width: 480, height: 360, people: 12, poses: 300, person_px: 110, isolated: 1, wrong: 1}
"""
FACING = """
steps: 5
batch: 8
scenes: {phone: {seeds: [1-4], width: 1200, height: 900, people: 10}}
"""
GLANCE = """
steps: 3
batch: 4
judged: 8
crops: {side_px: 64, textures: 4, texture_px: 96}
scenes: {phone: {seeds: [1-1], width: 480, height: 360, people: 8}}
held_out: {phone: {seeds: [2-2], width: 480, height: 360, people: 8}}
"""


def run(*arguments):
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def one_line(result):
    """The message of a mistake."""
    assert result.exit_code == 2, result.output
    assert len(result.output.strip().splitlines()) == 1 and "Traceback" not in result.output
    return result.output


def page(folder, text):
    file = folder / "recipe.yaml"
    file.write_text(text)
    return file


def motion(name, seed):
    """Ten frames of somebody who stands and moves a little."""
    turns = Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 0.2, (240, 3)))
    return Clip(name, turns.as_matrix().reshape(10, 24, 3, 3), 30.0, np.zeros((10, 3)))


@pytest.fixture
def train_lift(tmp_path, monkeypatch):
    """`crowd3d train lift` by a tiny recipe on motion from memory."""
    clips = [motion(name, seed) for seed, name in enumerate(("01_01", "01_05", "03_01"))]
    monkeypatch.setattr(lift_train, "load_clips", lambda *_: clips)
    for count in ("_WATCHED", "_CALIBRATED_BY", "_JUDGED_BY"):
        monkeypatch.setattr(lift_train, count, 50)
    folders = ("--mocap", tmp_path, "--deepmimic", tmp_path)
    recipe = page(tmp_path, LIFT)
    return lambda out, *more: run("lift", *folders, "-o", out, "--recipe", recipe, *more)


def test_the_lift_from_a_recipe_to_weights_that_load(train_lift, tmp_path):
    out = tmp_path / "a" / "out"
    result = train_lift(out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "lift.safetensors: PA-MPJPE" in result.output and len(result.output.splitlines()) == 1
    names = sorted(file.name for file in out.iterdir())
    assert names == ["lift.json", "lift.log.jsonl", "lift.safetensors"]
    loaded = lift.load(out / "lift.safetensors")
    facts = json.loads((out / "lift.json").read_text())
    assert loaded.facts["recipe"]["steps"] == 4 and loaded.facts["held_out"] == facts["held_out"]
    shorter = train_lift(tmp_path / "b", "--steps", 2, "--quiet")
    assert shorter.exit_code == 0 and shorter.output == ""
    assert json.loads((tmp_path / "b" / "lift.json").read_text())["recipe"]["steps"] == 2


def test_a_stopped_run_needs_resume_and_ends_with_the_same_bytes(train_lift, tmp_path, monkeypatch):
    assert train_lift(tmp_path / "whole").exit_code == 0
    calibrate = lift_train.calibrate

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(lift_train, "calibrate", stop)
    assert train_lift(tmp_path / "half").exit_code == 130
    monkeypatch.setattr(lift_train, "calibrate", calibrate)
    assert "lift.checkpoint" in one_line(again := train_lift(tmp_path / "half"))
    assert "--resume" in again.output
    assert "settings" in one_line(train_lift(tmp_path / "half", "--resume", "--steps", 3))
    assert train_lift(tmp_path / "half", "--resume").exit_code == 0
    whole, half = (tmp_path / name / "lift.safetensors" for name in ("whole", "half"))
    assert whole.read_bytes() == half.read_bytes()
    assert train_lift(tmp_path / "half").exit_code == 0  # it is finished, so a new one may begin


@pytest.mark.parametrize("command", ["lift", "crops", "facing", "glance"])
def test_mistakes_in_recipes_are_one_line(tmp_path, command):
    needed = ["-o", tmp_path / "out"]
    if command == "lift":
        needed += ["--mocap", tmp_path, "--deepmimic", tmp_path]
    assert "did you mean 'steps'" in one_line(
        run(command, *needed, "--recipe", page(tmp_path, "stesp: 3"))
    )
    assert "not valid YAML" in one_line(
        run(command, *needed, "--recipe", page(tmp_path, "steps: ["))
    )
    name = {"lift": "lift", "crops": "crowdnet_s", "facing": "facing", "glance": "glance"}[command]
    misspelt = name[:-1]
    assert f"did you mean {name!r}" in one_line(run(command, *needed, "--recipe", misspelt))
    assert not (tmp_path / "out").exists()


def test_motion_that_is_missing_is_one_line(tmp_path, train_lift):
    out = ("-o", tmp_path / "out")
    assert "--mocap and --deepmimic" in one_line(run("crops", *out))
    recipe = page(tmp_path, LIFT.replace('["03"]', '["77"]'))
    folders = ("--mocap", tmp_path, "--deepmimic", tmp_path)
    assert "held_out" in one_line(run("lift", *folders, *out, "--recipe", recipe))
    nowhere = run("lift", *out, "--mocap", tmp_path / "nowhere", "--deepmimic", tmp_path)
    assert nowhere.exit_code == 2 and "does not exist" in nowhere.output


def test_folders_without_motion_are_one_line(tmp_path):
    folders = ("--mocap", tmp_path, "--deepmimic", tmp_path)
    assert "no .amc file" in one_line(run("lift", *folders, "-o", tmp_path / "out"))


@pytest.mark.parametrize("command", ["crops", "facing", "glance"])
def test_a_folder_in_use_is_told_before_anything_is_rendered(tmp_path, command):
    name = {"crops": "crowdnet-s", "facing": "facing", "glance": "glance-s"}[command]
    (tmp_path / f"{name}.checkpoint").touch()
    recipe = page(tmp_path, {"crops": CROPS, "facing": FACING, "glance": GLANCE}[command])
    message = one_line(run(command, "-o", tmp_path, "--recipe", recipe))
    assert f"{name}.checkpoint" in message and "--resume" in message
    assert not (tmp_path / "renders").exists()


def test_heads_on_crops_from_a_recipe_to_weights_that_load(tmp_path):
    arguments = ("crops", "--recipe", page(tmp_path, CROPS), "--renders", tmp_path / "renders")
    result = run(*arguments, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "mm (plain)" in result.output
    files = [tmp_path / "out" / f"{name}.safetensors" for name in ("crowdnet-s", "rootnet-s")]
    models.build("rootnet-s", files[1])
    page_of = json.loads(files[0].with_suffix(".json").read_text())
    assert page_of["recipe"]["steps"] == 2 and page_of["examples"] > 0
    assert not list((tmp_path / "out").glob("*.checkpoint"))
    rendered = {f: f.stat().st_mtime_ns for f in (tmp_path / "renders").rglob("*.npz")}
    assert len(rendered) == 3
    assert run(*arguments, "-o", tmp_path / "again", "--quiet").output == ""
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "renders").rglob("*.npz")} == rendered
    again = tmp_path / "again" / "rootnet-s.safetensors"
    assert again.read_bytes() == files[1].read_bytes()
    page(tmp_path, CROPS.replace("people: 12", "people: 13"))
    assert "another recipe" in one_line(run(*arguments, "-o", tmp_path / "third"))


@pytest.mark.slow
def test_the_readout_from_a_recipe_to_weights_that_load(tmp_path):
    arguments = ("facing", "--recipe", page(tmp_path, FACING), "-o", tmp_path / "out")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    file = tmp_path / "out" / "facing.safetensors"
    first = file.read_bytes()
    readout = facing.load(file)
    assert readout.network == facing.network(torch_engine()).weights_hash
    facts = json.loads((tmp_path / "out" / "facing.json").read_text())
    assert facts == readout.facts and facts["windows"] > 0
    assert (tmp_path / "out" / "renders" / "phone-4" / "image.jpg").exists()
    assert run(*arguments).exit_code == 0
    assert file.read_bytes() == first


def test_the_glance_resumes_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    arguments = ("glance", "--recipe", page(tmp_path, GLANCE), "--renders", tmp_path / "renders")
    result = run(*arguments, "-o", tmp_path / "whole")
    assert result.exit_code == 0, result.output
    assert "keeps 99 % of people" in result.output and len(result.output.splitlines()) == 1
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert names == ["glance-s.json", "glance-s.log.jsonl", "glance-s.safetensors"]
    whole = tmp_path / "whole" / "glance-s.safetensors"
    models.build("glance-s", whole)
    facts = json.loads(whole.with_suffix(".json").read_text())
    assert facts["recipe"]["steps"] == 3 and set(facts["held_out"]) > {"0.95", "0.99"}

    told = glance_train.told

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(glance_train, "told", stop)
    assert run(*arguments, "-o", tmp_path / "half").exit_code == 130
    monkeypatch.setattr(glance_train, "told", told)
    assert "--resume" in one_line(run(*arguments, "-o", tmp_path / "half"))
    assert run(*arguments, "-o", tmp_path / "half", "--resume", "--quiet").output == ""
    assert (tmp_path / "half" / "glance-s.safetensors").read_bytes() == whole.read_bytes()


def test_too_few_scenes_that_show_anybody_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(facing_train, "load_scenes", lambda *_: [])
    recipe = page(tmp_path, FACING)
    assert "show anybody" in one_line(run("facing", "-o", tmp_path / "out", "--recipe", recipe))


def test_help_needs_no_network():
    """Whatever is slow to import is imported when a training runs."""
    tree = ast.parse((ROOT / "crowd3d" / "commands" / "train.py").read_text(encoding="utf-8"))
    names = {alias.name for n in tree.body if isinstance(n, ast.Import) for alias in n.names}
    names |= {n.module for n in tree.body if isinstance(n, ast.ImportFrom)}
    light = {"crowd3d.commands.options", "crowd3d.commands.terminal"}  # as every command's
    assert names <= light | {"__future__", "click", "collections.abc", "pathlib"}
    for command in ("lift", "crops", "facing", "glance"):
        told = run(command, "--help").output
        for option in ("--out", "--recipe", "--steps", "--resume", "--device", "--quiet"):
            assert option in told
