"""Stored scenes that were altered, and names that no file, font or terminal can take."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from helpers.paths import ROOT
from helpers.scenes import level_scene, scattered_scene

from crowd3d.errors import SceneError
from crowd3d.export.topview import draw_topview
from crowd3d.scene.people import ABOVE, GROUND, SEATED, UNKNOWN
from crowd3d.scene.scene import Scene
from crowd3d.scene.storage import people_bytes


@pytest.fixture
def folder(tmp_path):
    scattered_scene(4).save(tmp_path)
    return tmp_path


def with_json(folder, **changes):
    file = folder / "scene.json"
    values = json.loads(file.read_text())
    for name, value in changes.items():
        *path, last = name.split("__")
        place = values
        for step in path:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value
    file.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"diagnostics__warnings": [1]}, "found int where str belongs"),
        ({"diagnostics__warnings": "all"}, "found str where list belongs"),
        ({"diagnostics__seconds": {"find": "5"}}, "where a number belongs"),
        ({"diagnostics__unplaced": [{"reason": "x"}]}, "has no 'ids'"),
        ({"diagnostics__covariance_log_focal_pitch_roll_log_height": [[1]]}, "has the shape 1 x 1"),
        ({"planes__0__offset_m": "5"}, "offset_m of a plane holds something else than numbers"),
        ({"planes__0__offset_m": 1e9}, "beyond"),
        ({"planes__0__normal": [0, -1]}, "has the shape 2"),
        ({"planes__0__region": [[0, 0], [1, 2, 3]]}, "a region"),
        ({"image_name": "\ud800"}, "not Unicode"),
        ({"image_name": 5}, "found int where str"),
        ({"camera__focal_px": "wide"}, "malformed"),
        ({"counts__people": 5}, "speaks of 5 people"),
    ],
)
def test_altered_scenes_are_named(folder, changes, says):
    with_json(folder, **changes)
    with pytest.raises(SceneError, match=says):
        Scene.load(folder)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("plane", 7, r"plane is not in -1\.\.0"),
        ("plane", -2, "plane is not in"),
        ("seen", 3, r"seen is not in 0\.\.2"),
        ("footing", 4, r"footing is not in 0\.\.3"),
        ("above_m", 1e9, r"above_m holds numbers beyond 1e\+07"),
        ("stature_m", 1e9, r"stature_m holds numbers beyond 1e\+07"),
        ("hvip_px", np.inf, "hvip_px holds numbers beyond"),
    ],
)
def test_people_who_cannot_be_are_named(folder, name, value, says):
    scene = scattered_scene(4)
    getattr(scene.people, name)[0] = value
    (folder / "people.npz").write_bytes(people_bytes(scene.people))
    with pytest.raises(SceneError, match=f"people.npz is malformed: .*{says}"):
        Scene.load(folder)


def test_what_bears_people_comes_back(folder):
    scene = scattered_scene(4)
    scene.people.footing[:] = [GROUND, SEATED, ABOVE, UNKNOWN]
    scene.people.above_m[2], scene.people.above_sd_m[2] = 1.2, 0.3
    scene.save(folder)
    people = Scene.load(folder).people
    assert people.footing.tolist() == [GROUND, SEATED, ABOVE, UNKNOWN]
    assert people.above_m.tolist() == [0, 0, 1.2, 0] and people.above_sd_m[2] == 0.3


@pytest.mark.parametrize("schema", ["crowd3d-scene/1", "crowd3d-scene/2"])
def test_of_older_files_it_is_not_known_what_bears_people(folder, schema):
    arrays = dict(np.load(folder / "people.npz"))
    for name in ("footing", "above_m", "above_sd_m"):
        del arrays[name]
    np.savez(folder / "people.npz", **arrays)
    with_json(folder, schema=schema)
    people = Scene.load(folder).people
    assert (people.footing == UNKNOWN).all()
    assert not people.above_m.any() and not people.above_sd_m.any()


def test_people_who_unpack_to_gigabytes_are_not_unpacked(folder):
    with zipfile.ZipFile(folder / "people.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("pose.npy", "w") as stream:
            shape = {"descr": "|u1", "fortran_order": False, "shape": (600_000_000,)}
            np.lib.format.write_array_header_1_0(stream, shape)
            for _ in range(60):
                stream.write(bytes(10_000_000))
    with pytest.raises(SceneError, match=r"unpacked it has 600 MB, more than 500"):
        Scene.load(folder)


def test_a_name_that_is_no_text_reaches_no_font():
    """OpenCV ends the process on half a character."""
    scene = scattered_scene(3)
    for name in ("caf\udce9.jpg", "\ud800", "a\x00b", "\n\x1b"):
        scene.image_name = name
        assert draw_topview(scene, 700).shape[1] == 700


def test_a_scene_of_a_picture_whose_name_is_no_text(tmp_path):
    scene = level_scene(3, name=os.fsdecode(b"caf\xe9.jpg"))
    scene.save(tmp_path / "a")
    assert Scene.load(tmp_path / "a").image_name == r"caf\xe9.jpg"
    run = subprocess.run(
        [sys.executable, "-m", "crowd3d", "export", tmp_path / "a", "-o", tmp_path / "b"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0 and run.stdout.startswith(r"caf\xe9.jpg: 3 people")
    assert r"<title>caf\xe9.jpg" in (tmp_path / "b" / "report.html").read_text(encoding="utf-8")
