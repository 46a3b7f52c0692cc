"""Where `crowd3d reconstruct` writes, and what it does not overwrite unasked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from crowd3d import reconstruct
from crowd3d.cli import main
from crowd3d.commands import reconstruct as command
from crowd3d.commands.folders import folders_of
from crowd3d.errors import OutputError
from crowd3d.export import FILES

JOURNAL = ".crowd3d-journal"


def paint(path: Path, seed: int = 0) -> Path:
    """A picture without people, which takes no time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(90, 160, (96, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["reconstruct", *map(str, arguments), "--config", "fast"])


def diagnostics(folder: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(folder) / "scene.json").read_text())["diagnostics"]
    return found


def contents(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def names(folder: str | Path) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pano.png and its result in pano_crowd3d."""
    folder = tmp_path_factory.mktemp("finished")
    paint(folder / "pano.png")
    run = call(folder / "pano.png", "-o", folder / "pano_crowd3d")
    assert run.exit_code == 0, run.output
    return folder


@pytest.fixture
def done(finished: Path, here: Path) -> Path:
    """The same as the current folder."""
    shutil.copytree(finished, here, dirs_exist_ok=True)
    return here


def refused(run: Result, *words: str) -> None:
    assert run.exit_code == 2 and run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert all(word in line for word in (*words, "--overwrite", "-o")), line


def test_one_picture_and_nothing_else(here: Path, tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "panorama.png")
    run = call(tmp_path / "photos" / "panorama.png")
    assert run.exit_code == 0, run.output
    assert run.stdout.rstrip().endswith("-> panorama_crowd3d")
    assert names(here) == ["panorama_crowd3d"]
    assert sorted(contents("panorama_crowd3d")) == sorted(FILES)


def test_several_pictures_get_a_folder_each() -> None:
    pictures = [Path("x/a.jpg"), Path("b.c.png")]
    assert folders_of(pictures, None) == [Path("a_crowd3d"), Path("b.c_crowd3d")]
    assert folders_of(pictures, Path("out")) == [Path("out/a"), Path("out/b.c")]
    assert folders_of(pictures[:1], Path("out")) == [Path("out")]
    for out in (None, Path("out")):
        with pytest.raises(OutputError, match=r"x/a\.jpg and a\.png would both go to .*a"):
            folders_of([pictures[0], Path("a.png")], out)


def test_pictures_of_one_name_are_refused_before_anything_is_done(here: Path) -> None:
    run = call(paint(here / "a.png"), paint(here / "x" / "a.png", seed=1))
    assert run.exit_code == 2 and "would both go to a_crowd3d" in run.stderr
    assert not Path("a_crowd3d").exists()


def test_the_same_again_is_done_again(done: Path) -> None:
    before = contents("pano_crowd3d")
    (done / "pano_crowd3d" / "people.csv").unlink()
    run = call("pano.png", "--device", "cpu", "--max-pixels", 10**6)  # neither changes the result
    assert run.exit_code == 0, run.output
    after = contents("pano_crowd3d")
    assert {name for name in after if after[name] != before[name]} <= {"scene.json", "report.html"}


@pytest.mark.parametrize("options", [["--fov", 70], ["--max-planes", 2], ["--keypoints", "p.json"]])
def test_other_settings_do_not_overwrite(done: Path, options: list[object]) -> None:
    (done / "p.json").write_text("[]")
    before = contents("pano_crowd3d")
    refused(call("pano.png", *options), "pano_crowd3d holds the scene of pano.png with other")
    assert contents("pano_crowd3d") == before


def test_another_picture_does_not_overwrite(done: Path) -> None:
    before = contents("pano_crowd3d")
    other = paint(done / "other.png", seed=1)
    refused(call(other, "-o", "pano_crowd3d"), "pano_crowd3d holds the scene of pano.png;")
    paint(done / "pano.png", seed=2)  # edited since
    refused(call("pano.png"), "another picture called pano.png")
    # None of several pictures is begun if one of them cannot be.
    refused(call(paint(done / "a.png"), "pano.png"), "pano.png")
    assert not Path("a_crowd3d").exists()
    assert contents("pano_crowd3d") == before


def test_asked_for_it_overwrites(done: Path) -> None:
    paint(done / "pano.png", seed=2)
    (done / "pano_crowd3d" / "notes.txt").write_text("mine")
    before = diagnostics("pano_crowd3d")["run"]
    run = call("pano.png", "--fov", 70, "--overwrite")
    assert run.exit_code == 0, run.output
    after = diagnostics("pano_crowd3d")["run"]
    assert all(after[key] != before[key] for key in ("picture", "settings"))
    assert (done / "pano_crowd3d" / "notes.txt").read_text() == "mine"
    assert call("pano.png", "--fov", 70).exit_code == 0
    refused(call("pano.png"), "with other settings")


def test_a_scene_of_an_older_version_is_another_result(done: Path) -> None:
    file = done / "pano_crowd3d" / "scene.json"
    scene = json.loads(file.read_text())
    del scene["diagnostics"]["run"]
    scene["software"]["crowd3d"] = "0.1.0"
    file.write_text(json.dumps(scene))
    refused(call("pano.png"), "the scene of pano.png by crowd3d 0.1.0")
    for text in ("{", "[]", "{}", json.dumps({**scene, "diagnostics": None})):
        file.write_text(text)
        refused(call("pano.png"), "scene.json that cannot be read")


def test_python_says_the_same_of_a_run_and_overwrites(done: Path) -> None:
    from crowd3d import Camera, config

    told = diagnostics("pano_crowd3d")["run"]
    settings = config.load("fast")
    assert reconstruct("pano.png", config=settings).diagnostics["run"] == told
    camera = Camera.from_fov(160, 96, 70.0)
    scene = reconstruct("pano.png", config=settings, camera=camera, out="pano_crowd3d")
    assert scene.diagnostics["run"]["settings"] != told["settings"]
    assert diagnostics("pano_crowd3d")["run"] == scene.diagnostics["run"]


class Killed:
    """Progress that kills the run when its first step is done."""

    def __init__(self, quiet: bool) -> None:
        pass

    def __enter__(self) -> Killed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def start(self, stage: str, total: int) -> None:
        pass

    def advance(self, steps: int = 1) -> None:
        raise KeyboardInterrupt


def test_a_killed_run_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(here / "pano.png")
    with monkeypatch.context() as patch:
        patch.setattr(command, "progress_bars", Killed)
        assert call("pano.png").exit_code == 130
    assert names("pano_crowd3d") == [JOURNAL]
    run = call("pano.png")
    assert run.exit_code == 0, run.output
    assert sorted(contents("pano_crowd3d")) == sorted(FILES)


def test_a_killed_run_does_not_take_a_finished_result(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents("pano_crowd3d")
    with monkeypatch.context() as patch:
        patch.setattr(command, "progress_bars", Killed)
        assert call("pano.png", "--fov", 70, "--overwrite").exit_code == 130
    assert names("pano_crowd3d").count(JOURNAL) == 1
    refused(call("pano.png", "--fov", 70), "with other settings")
    shutil.rmtree(done / "pano_crowd3d" / JOURNAL)
    assert contents("pano_crowd3d") == before


def test_a_folder_that_cannot_be_written_to(here: Path) -> None:
    paint(here / "pano.png")
    (here / "pano_crowd3d").write_text("a file of mine")
    run = call("pano.png")
    assert run.exit_code == 2 and "cannot write into pano_crowd3d" in run.stderr
    assert (here / "pano_crowd3d").read_text() == "a file of mine"
