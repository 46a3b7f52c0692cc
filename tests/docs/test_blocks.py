"""Every code block of every page runs, on a small picture; where that cannot be, its options are checked.

Blocks of a page run in order, in one folder and one Python session, as a reader would try them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.paths import ROOT

import crowd3d
import tiling
from crowd3d import body, data
from crowd3d import config as configs
from crowd3d.body.arrays import read_npz
from crowd3d.cli import main
from crowd3d.data.keypoint_export import write_poses
from crowd3d.export import predict_json
from crowd3d.scene.detections import Detections

LANGUAGES = {
    "python",
    "sh",
    "text",
    "json",
    "csv",
}  # text is what one reads; formats.md tests json and csv

# Lines that are checked and not run: beginning -> what is missing here. Their options must exist all the same.
ONLY_CHECKED = {
    "crowd3d batch photos -o results --ray": "a Ray cluster",
    "crowd3d reconstruct panorama.jpg --ray": "a Ray cluster",
    "crowd3d batch photos -o results --workers": "time: it starts processes; tests/batch runs such a batch",
    "crowd3d models convert-smpl": "a SMPL file, which may not be passed on; tests/body converts one like it",
    "crowd3d models import": "a published checkpoint",
    "crowd3d reconstruct panorama.jpg -o reader": "published weights",
    "crowd3d reconstruct panorama.jpg -o adapted": "published weights",
    "crowd3d reconstruct panorama.jpg -o expert": "published weights",
    "crowd3d reconstruct panorama.jpg -o prior": "published weights",
    "crowd3d adapt": "published weights",
    "crowd3d train": "motion capture, and hours; tests/training runs each for a few steps",
    "crowd3d data check PATH": "a data set of the reader's",
    "fresh/bin/crowd3d": "an environment that is made on the way; tests/test_package.py makes one",
}
# Lines that take minutes: run by `pytest -m slow`, checked otherwise.
SLOW = (
    "crowd3d synth --preset largecrowd-mini",
    "crowd3d largecrowd mini",
    "crowd3d evaluate predict.json mini",
    "crowd3d evaluate --check predict.json",
    "crowd3d data check mini",
)
# Commands of others, which are no business of ours: first word -> why nothing is checked.
OF_OTHERS = {"git": "needs a network", "cd": "belongs to git", ".": "belongs to venv"}


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiling.Journal]:
    """What the network saw in a tile, for all runs of this module together: it sees each tile once."""
    with tiling.Journal(tmp_path_factory.mktemp("journal"), sync=False) as opened:
        yield opened


@pytest.fixture
def quick(journal: tiling.Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs take the preset `fast` for `default` and the others, and share their tiles; no browser opens."""
    load = configs.load

    def fast(name: Any = "default") -> configs.Config:
        chosen = load(name)
        return load("fast") if str(name) in configs.preset_names() else chosen

    @contextmanager
    def shared(*_: object, **__: object) -> Iterator[tiling.Journal]:
        yield journal

    monkeypatch.setattr(configs, "load", fast)
    monkeypatch.setattr(tiling, "Journal", shared)
    monkeypatch.setattr(webbrowser, "open", lambda *_: True)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "1")


@pytest.fixture
def folder(
    quick: None, small_picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with the files that the pages name."""
    picture = small_picture.read_bytes()
    for name in (
        "panorama.jpg",
        "pano.jpg",
        "ceiling.jpg",
        "stands.jpg",
        "photos/a/b.jpg",
        "photos/c.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture)
    for name in ("MOCAP", "CLIPS", "SMPL_NEUTRAL.pkl", "base_69.pkl", "adapted.safetensors"):
        (tmp_path / name).mkdir() if name.isupper() else (tmp_path / name).touch()
    (tmp_path / "camera.json").write_text('{"width": 1000, "height": 500, "focal_px": 3100}')
    (tmp_path / "regions.geojson").write_text(json.dumps(_levels(1000, 500)))
    _write_body(tmp_path / "SMPL_NEUTRAL.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _levels(width: int, height: int) -> dict[str, Any]:
    """The left and the right half of a picture as two levels."""
    features = []
    for level, (left, right) in enumerate(((0, width / 2), (width / 2, width))):
        ring = [[left, 0], [right, 0], [right, height], [left, height], [left, 0]]
        area = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "geometry": area, "properties": {"level": level}})
    return {"type": "FeatureCollection", "features": features}


def _write_body(path: Path) -> None:
    """A body in SMPL's layout that is not ours by name."""
    arrays = read_npz(Path(body.__file__).with_name("open_crowd.npz"))
    tree = np.stack([arrays.parents, np.arange(24)])
    shape = {"v_template": arrays.v_template, "shapedirs": arrays.shapedirs, "f": arrays.faces}
    joints = {"J_regressor": arrays.j_regressor, "weights": arrays.weights, "kintree_table": tree}
    np.savez(path, **shape, **joints)


def _write_poses(path: Path) -> None:
    """The people of panorama.jpg in AlphaPose's format."""
    people = crowd3d.reconstruct("panorama.jpg").people
    n = len(people)
    found = Detections(
        people.score,
        np.ones(n),
        people.box_px,
        people.keypoints_px,
        np.zeros(n, bool),
        np.zeros(n, np.int64),
    )
    write_poses(path, {"panorama.jpg": found}, "alphapose")


def _scored(folder: Path) -> dict[str, Any]:
    """What the page on metrics names: two people of docs/formats.md, predicted and true; files and arrays."""
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    example = dict(re.findall(r'```json title="(\S+)"\n(.*?)\n```\n', page, flags=re.DOTALL))
    predicted = example["predict.json"].replace("plaza.jpg", "square0_00_000000.jpg")
    (folder / "predict.json").write_text(predicted)
    (folder / "LargeCrowd" / "annotations").mkdir(parents=True)
    (folder / "LargeCrowd" / "annotations" / "square0_00.json").write_text(
        example["annotations/square0_00.json"]
    )
    (one,) = predict_json.read(folder / "predict.json").values()
    posed = predict_json.posed(one, body.load("open", "full"))
    (true,) = data.load(folder / "LargeCrowd").frames.values()
    size = true.boxes_px[:, 2:] - true.boxes_px[:, :2]
    return {
        "pred_keypoints_px": posed.keypoints_px,
        "pred_torso_m": posed.torso_m,
        "gt_keypoints_px": true.keypoints_px[..., :2],
        "gt_area_px2": size.prod(axis=1),
        "gt_torso_m": true.torso_m,
        "gt_hvip_m": true.hvip_m,
    }


def test_every_block_says_what_it_is(page, page_blocks):
    for block in page_blocks:
        assert block.language in LANGUAGES, f"{page}, line {block.line}: {block.language!r}"


def test_blocks_run(page, page_blocks, folder):
    _run(page, page_blocks, folder, with_slow=False)


@pytest.mark.slow
def test_slow_blocks_run(page, page_blocks, folder):
    if not any(line.startswith(SLOW) for block in page_blocks for line in _lines(block.text)):
        pytest.skip("nothing on this page takes minutes")
    _run(page, page_blocks, folder, with_slow=True)


def _run(page: str, page_blocks: list[Any], folder: Path, *, with_slow: bool) -> None:
    names: dict[str, Any] = {}
    if page == "docs/metrics.md":
        names = _scored(folder)
    if any("poses.json" in block.text for block in page_blocks):
        _write_poses(folder / "poses.json")
    for block in page_blocks:
        where = f"{page}, line {block.line}"
        if block.language == "python":
            exec(compile(block.text, where, "exec"), names)
        elif block.language == "sh":
            for line in _lines(block.text):
                _run_line(line, where, with_slow=with_slow)


def _lines(text: str) -> list[str]:
    """Commands of a shell block: no comments, one command a line."""
    bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [part.strip() for line in bare if line for part in line.split("&&")]


def _run_line(line: str, where: str, *, with_slow: bool) -> None:
    words = shlex.split(os.path.expandvars(line))
    command = Path(words[0]).name or words[0]
    if command in OF_OTHERS:
        return
    check = _CHECKS.get(command)
    assert check is not None, f"{where}: nothing here can run {line!r}"
    if command != "crowd3d":
        check(words[1:])
    elif line.startswith(tuple(ONLY_CHECKED)) or (line.startswith(SLOW) and not with_slow):
        _check_options(words[1:])
    else:
        done = CliRunner().invoke(main, words[1:])
        assert done.exit_code == 0, f"{where}: {line}\n{done.output}\n{done.exception}"


def _check_options(words: list[str]) -> None:
    """Parses a line of ours without running it; an unknown option or a bad value is an error."""
    command: click.Command = main
    context = click.Context(main, info_name="crowd3d")
    while isinstance(command, click.Group):
        name, *words = words
        below = command.get_command(context, name)
        assert below is not None, f"there is no command {name!r}"
        command, context = below, click.Context(below, info_name=name, parent=context)
    command.make_context(context.info_name, list(words), parent=context.parent)


def _check_make(words: list[str]) -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in words:
        assert re.search(rf"^{target}:", rules, flags=re.MULTILINE), f"no target {target!r}"


def _check_pip(words: list[str]) -> None:
    """Extras that are asked for exist; torch is the version that the Makefile takes."""
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for word in words:
        for extra in re.findall(r"\[(.*)\]", word):
            for name in extra.split(","):
                assert re.search(rf"^{name} =", extras, flags=re.MULTILINE), f"no extra {name!r}"
        if word.startswith("torch=="):
            assert word in rules, f"{word} is not what the Makefile installs"


def _check_python(words: list[str]) -> None:
    """Scripts and folders that are named exist; what they do is tested where they are."""
    for word in words:
        if word.startswith(("docs/", "benchmarks/", "tests/")):
            assert (ROOT / word).exists(), f"there is no {word}"


_CHECKS: dict[str, Callable[[list[str]], None]] = {
    "crowd3d": _check_options,
    "make": _check_make,
    "pip": _check_pip,
    "pre-commit": lambda words: None,
    "python": _check_python,
    "python3": _check_python,
}


def test_what_is_only_checked_still_stands_on_a_page():
    everything = [
        line
        for page in (ROOT / "docs").glob("*.md")
        for line in page.read_text(encoding="utf-8").splitlines()
    ]
    for page in ("README.md", "CONTRIBUTING.md", "RELEASING.md"):
        everything += (ROOT / page).read_text(encoding="utf-8").splitlines()
    for beginning in (*ONLY_CHECKED, *SLOW):
        assert any(line.strip().startswith(beginning) for line in everything), beginning


def test_a_renamed_option_is_an_error():
    with pytest.raises(click.UsageError):
        _check_options(["reconstruct", "panorama.jpg", "-o", "out", "--refiner", "crowdnet-s"])
