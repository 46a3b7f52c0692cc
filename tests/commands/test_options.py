"""Options that commands share, the settings behind them, and what commands say."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from crowd3d import config
from crowd3d.cli import main
from crowd3d.commands.options import reconstruct_options
from crowd3d.commands.terminal import warn
from crowd3d.picture.camera_hint import CameraHint


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("min_trust: .nan", "the number .nan is not finite"),
        ("max_upscale: .inf", "the number .inf is not finite"),
        ("rounds: 0", "rounds must be positive"),
        ("rounds: two", "rounds must be int"),
        ("refine_pose: 1", "refine_pose must be bool"),
        ("tile_px: 500", "multiple of 32"),
        ("person_fill_min: 0.5", "below person_fill_max"),
        ("depth_prior: size", "one of none, body, rootnet, rootnet-s"),
        ("refine: true", "is called 'refine_scene' now"),
        ("ground: hill", "one of auto, level, slope, levels, stands, terrain"),
        ("ground: slope\nmax_planes: 2", "leave out one of --max-planes"),
        ("tile_pix: 512", "did you mean 'tile_px'?"),
        ("- 1", "'key: value' lines"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_setting_is_one_line_and_code_2(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "mine.yaml").write_text(line)
    arguments = ["reconstruct", "a.jpg", "--config", str(tmp_path / "mine.yaml")]
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 2 and says in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_every_setting_is_explained_in_its_line() -> None:
    source = inspect.getsource(config.Config)
    for field in dataclasses.fields(config.Config):
        assert re.search(rf"^    {field.name}: \w+ = \S+  # \w.+", source, re.MULTILINE), field.name


def test_pages_are_found_by_kind() -> None:
    assert {"default", "fast", "accurate", "largecrowd"} <= set(config.preset_names())
    assert "lift" in config.pages("recipes") and "lift" not in config.pages("presets")
    for name in config.preset_names():
        config.load(name)


@pytest.mark.parametrize("command", ["reconstruct a.jpg", "batch a -o b", "adapt --scene a -o b"])
def test_only_one_camera_may_be_given(command: str) -> None:
    run = CliRunner().invoke(main, [*command.split(), "--fov", "60", "--focal-px", "500"])
    assert run.exit_code == 2 and "only one of --focal-px, --fov and --camera" in run.stderr


def test_choices_are_arguments_of_reconstruct() -> None:
    from crowd3d import reconstruct

    got: list[dict[str, object]] = []
    command = click.command()(reconstruct_options(lambda choices: got.append(choices)))
    arguments = ["--fov", "60", "--no-fuse-looks", "--max-planes", "3", "--device", "cpu"]
    arguments += ["--ground", "levels", "--regions", "r.geojson"]
    run = CliRunner().invoke(command, arguments)
    assert run.exit_code == 0, run.output
    (choices,) = got
    assert set(choices) <= set(inspect.signature(reconstruct).parameters)
    assert choices["config"] == config.Config(fuse_looks=False, max_planes=3, ground="levels")
    assert choices["camera"] == CameraHint(fov_deg=60.0, regions=Path("r.geojson"))
    assert (choices["device"], choices["model"], choices["keypoints"]) == ("cpu", None, None)


def test_warnings_beyond_a_number_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    warn(["a", "b", "c"], at_most=1)
    assert capsys.readouterr() == ("", "warning: a\nwarning: and 2 more\n")
    warn(["a", "b"])
    assert capsys.readouterr().err == "warning: a\nwarning: b\n"
    warn(["a"], at_most=1)
    assert capsys.readouterr().err == "warning: a\n"


def test_the_old_name_of_an_option_is_told() -> None:
    run = CliRunner().invoke(main, ["reconstruct", "a.jpg", "--refine", "crowdnet-s"])
    assert run.exit_code == 2 and "--refine-crops" in run.stderr
