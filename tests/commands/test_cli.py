"""The command line as a process: exit codes, one clear line, nothing half-written, valid files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import crowd3d
from crowd3d.export import FILES


def _run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "crowd3d", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=cwd, env=environment
    )


def _noise_picture(path: Path, width: int = 320, height: int = 200) -> Path:
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), rng.integers(90, 160, (height, width, 3), dtype=np.uint8))
    return path


def _mistake(folder: Path, kind: str) -> list[object]:
    """Arguments of a run that must fail with exit code 2."""
    good = _noise_picture(folder / "good.png")
    out = folder / "out"
    bad = folder / "bad.jpg"
    if kind == "missing":
        return [folder / "nowhere.jpg", "-o", out]
    if kind == "folder":
        return [folder, "-o", out]
    if kind == "text":
        bad.write_text("this is not a picture")
        return [bad, "-o", out]
    if kind == "empty":
        bad.touch()
        return [bad, "-o", out]
    if kind == "truncated":
        whole = _noise_picture(folder / "whole.jpg", 600, 400).read_bytes()
        bad.write_bytes(whole[: len(whole) // 2])
        return [bad, "-o", out]
    if kind == "tiny":
        return [_noise_picture(folder / "tiny.png", 1, 1), "-o", out]
    if kind == "thin":
        return [_noise_picture(folder / "thin.png", 6000, 40), "-o", out]
    if kind == "too large":
        return [good, "-o", out, "--max-pixels", 1000]
    if kind == "unwritable":
        (folder / "file").touch()
        return [good, "-o", folder / "file" / "out"]
    if kind == "config":
        return [good, "-o", out, "--config", "defalt"]
    if kind == "config key":
        (folder / "mine.yaml").write_text("tile_pix: 512")
        return [good, "-o", out, "--config", folder / "mine.yaml"]
    if kind == "fov":
        return [good, "-o", out, "--fov", 190]
    if kind == "two cameras":
        return [good, "-o", out, "--fov", 60, "--focal-px", 500]
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "nowhere.jpg"),
        ("folder", "is a directory"),
        ("text", "bad.jpg"),
        ("empty", "empty"),
        ("truncated", "bad.jpg"),
        ("tiny", "1"),
        ("thin", "6000"),
        ("too large", "pixels"),
        ("unwritable", "cannot write"),
        ("config", "did you mean 'default'"),
        ("config key", "did you mean 'tile_px'"),
        ("fov", "between 0 and 180"),
        ("two cameras", "only one of"),
    ],
)
def test_a_users_mistake_ends_with_one_line_and_code_2(tmp_path, kind, says):
    run = _run("reconstruct", *_mistake(tmp_path, kind))
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert says in run.stderr
    if kind != "two cameras":  # click explains its own usage in several lines
        assert len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there_ends_with_code_3(tmp_path):
    run = _run(
        "reconstruct",
        _noise_picture(tmp_path / "a.png"),
        "-o",
        tmp_path / "out",
        "--device",
        "cuda:77",
    )
    assert run.returncode == 3
    assert "--device cpu" in run.stderr and "Traceback" not in run.stderr


def test_help_of_every_command():
    assert "reconstruct" in _run("--help").stdout
    assert "--focal-px" in _run("reconstruct", "--help").stdout
    assert crowd3d.__version__ in _run("--version").stdout


def test_a_picture_without_people_is_an_empty_scene_that_says_so(tmp_path):
    run = _run("reconstruct", _noise_picture(tmp_path / "empty.png"), "-o", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    assert "0 people, camera not determined" in run.stdout
    assert "no people were found" in run.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(FILES)
    scene = crowd3d.Scene.load(tmp_path / "out")
    assert len(scene.people) == 0 and scene.planes == []
    predict = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert predict["empty.png"]["person_list"] == []


def test_several_pictures_get_a_folder_each_and_quiet_is_quiet(tmp_path):
    pictures = [_noise_picture(tmp_path / f"{name}.png") for name in ("a", "b")]
    run = _run("reconstruct", *pictures, "-o", tmp_path / "out", "--quiet")
    assert run.returncode == 0
    assert run.stdout == "" and run.stderr == ""
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a", "b"]


def test_two_pictures_of_one_name_are_refused(tmp_path):
    (tmp_path / "x").mkdir()
    pictures = [_noise_picture(tmp_path / "a.png"), _noise_picture(tmp_path / "x" / "a.png")]
    run = _run("reconstruct", *pictures, "-o", tmp_path / "out")
    assert run.returncode == 2
    assert all(f"{path} " in run.stderr for path in pictures) and "rename" in run.stderr
    assert not (tmp_path / "out").exists()


def test_other_files_in_the_output_folder_survive(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert _run("reconstruct", _noise_picture(tmp_path / "a.png"), "-o", out).returncode == 0
    assert (out / "notes.txt").read_text() == "mine"
