"""Names of files that are no text, no names of folders, or no numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crowd3d.batch import records
from crowd3d.batch.plan import parse_shard, plan, result_name
from crowd3d.data.folders import find_scenes, natural_key
from crowd3d.errors import ConfigError

NOT_UTF8 = os.fsdecode(b"caf\xe9.jpg")
ODD = [
    "...jpg",
    "..jpg",
    "batch.csv.jpg",
    "scene.json.jpg",
    ".crowd3d-journal.jpg",
    "1²2.jpg",
    NOT_UTF8,
]
ODD += ["a\nb\x1b[31m.jpg", "9" * 240 + ".jpg", "ünï 人.jpg", "x" * 251 + ".jpg", "plain.jpg"]


def test_results_stay_inside_the_folder_and_never_clash(tmp_path):
    out = tmp_path / "out"
    for name in ODD:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "batch.csv").mkdir()
    (tmp_path / "batch.csv" / "scene.jpg").write_bytes(b"")
    found = plan([tmp_path / name for name in ODD], out) + plan([tmp_path], out)
    folders = {task.picture.name: task.folder for task in found}
    assert folders["plain.jpg"] == out / "plain" and folders[NOT_UTF8] == out / NOT_UTF8[:-4]
    assert (
        folders["...jpg"] == out / "_...jpg" and folders["batch.csv.jpg"] == out / "_batch.csv.jpg"
    )
    assert folders["scene.jpg"] == out / "_batch.csv" / "scene"
    for folder in folders.values():
        assert out in folder.resolve().parents and folder.name not in ("batch.csv", "scene.json")
        (folder / "x").mkdir(parents=True)  # none is too long, and two are never one
    assert len(set(folders.values())) == len(ODD) + 1
    assert len(os.fsencode(f"{result_name('é' * 125 + '.jpg')}_crowd3d")) <= 255


def test_the_table_of_a_batch_takes_every_name(tmp_path):
    for name in ODD:
        (tmp_path / name).write_bytes(b"")
    tasks = plan([tmp_path / name for name in ODD], tmp_path / "out")
    for task in tasks:
        task.folder.mkdir(parents=True)
        record = {"picture": task.name, "settings": "s", "error": f"cannot read {task.name}"}
        records.write_record(task.folder, record)
    records.write_table(tasks, "s", tmp_path / "out")
    lines = (tmp_path / "out" / "batch.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(ODD)
    assert any(line.startswith(r"caf\xe9.jpg,caf\xe9,") for line in lines)
    assert any(line.startswith(r"a\nb\x1b[31m.jpg,") for line in lines)


def test_numbers_in_names_are_compared_as_numbers():
    names = ["f10", "f9", "f" + "9" * 5000, "f010", "1²2", "f٣", "f2b"]
    assert sorted(names, key=natural_key) == [
        "1²2",
        "f2b",
        "f9",
        "f10",
        "f010",
        "f" + "9" * 5000,
        "f٣",
    ]


@pytest.mark.parametrize("text", ["²/3", "1/²", f"1/{'9' * 5000}", "٣/٤", "1/", "/", "0/3", "4/3"])
def test_shares_are_numbers(text):
    with pytest.raises(ConfigError, match="is no share"):
        parse_shard(text)


def test_scenes_of_odd_names_are_found(tmp_path):
    (tmp_path / "1²2.jpg").write_bytes(b"")
    (tmp_path / NOT_UTF8).write_bytes(b"")
    assert len([p for scene in find_scenes(tmp_path) for p in scene.pictures]) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="names are text there")
def test_one_picture_whose_name_is_no_text_does_not_end_a_batch(tmp_path):
    for name in (NOT_UTF8, "1²2.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"no picture")
    run = subprocess.run(
        [sys.executable, "-m", "crowd3d", "batch", tmp_path, "-o", tmp_path / "out"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert "3 of 3 pictures failed" in run.stderr and r"caf\xe9.jpg" in run.stderr
    assert len((tmp_path / "out" / "batch.csv").read_text(encoding="utf-8").splitlines()) == 4
