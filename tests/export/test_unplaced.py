"""People without a place: every file of a run has them, or leaves them out, and none has a NaN of theirs."""

from __future__ import annotations

import csv
import json
import math
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.scenes import level_scene, two_level_scene, without_place

from crowd3d import body as bodies
from crowd3d.body.model import BodyModel
from crowd3d.cli import main
from crowd3d.export import FILES, tables, write_all
from crowd3d.export.bodies import CrowdMesh
from crowd3d.export.floorplan import floor_plan
from crowd3d.export.overlay import draw_overlay
from crowd3d.export.rebody import rebody
from crowd3d.scene.scene import Scene
from crowd3d.scene.unplaced import UNKNOWN_REASON

SQUARE, POSTER = "on another square, 12 m lower, <em>", "on a poster"
SOME = {SQUARE: [0, 3], POSTER: [4]}
ALL = {SQUARE: [0, 1, 2, 3], POSTER: [4, 5]}
GROUPS = {"none": {}, "some": SOME, "all": ALL}
SIZE = 400, 200


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return bodies.load("open", "crowd")


def a_scene(groups: dict[str, list[int]]) -> Scene:
    """Six people on two levels of ground, with boxes in a row, of whom some have no place."""
    scene = two_level_scene(6)
    left = 100.0 + 120 * np.arange(6)
    scene.people.box_px = np.stack([left, left * 0 + 150, left + 60, left * 0 + 330], axis=1)
    return without_place(scene, groups)


def strict(text: str) -> Any:
    return json.loads(text, parse_constant=lambda name: pytest.fail(name))


def glb_names(content: bytes) -> list[str]:
    (length,) = struct.unpack_from("<I", content, 12)
    document = strict(content[20 : 20 + length].decode())
    return [node["name"] for node in document["nodes"]]


@pytest.fixture(scope="module", params=GROUPS, ids=list(GROUPS))
def written(
    request: pytest.FixtureRequest, body: BodyModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Scene, list[int], Path]:
    """A scene, its rows that have no place, and the folder of its files."""
    groups = GROUPS[request.param]
    scene = a_scene(groups)
    folder = tmp_path_factory.mktemp("run")
    picture = np.full((*SIZE[::-1], 3), 128, np.uint8)
    paths = write_all(scene, picture, folder, body)
    assert [path.name for path in paths] == list(FILES)
    return scene, sorted(row for rows in groups.values() for row in rows), folder


def note_of(row: int) -> str:
    return SQUARE if row < 4 else POSTER


def test_the_table_has_everybody_and_says_why(written):
    scene, lost, folder = written
    with open(folder / "people.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-1] == "note" and tuple(rows[0]) == tables.COLUMNS
    assert [int(row["id"]) for row in rows] == scene.people.id.tolist()
    for i, row in enumerate(rows):
        numbers = [row[key] for key in tables.NUMBERS if key not in ("id", "score")]
        assert row["score"] == "0.9"
        if i in lost:
            assert numbers == [""] * len(numbers) and row["note"] == note_of(i)
        else:
            assert all(math.isfinite(float(number)) for number in numbers) and row["note"] == ""


def test_features_without_a_place_have_no_geometry(written):
    scene, lost, folder = written
    features = strict((folder / "people.geojson").read_text())["features"]
    people = [f for f in features if f["properties"]["kind"] == "person"]
    assert [f["properties"]["id"] for f in people] == scene.people.id.tolist()
    for i, feature in enumerate(people):
        assert (feature["geometry"] is None) == (i in lost)
        assert feature["properties"].get("note") == (note_of(i) if i in lost else None)
    ellipses = [f["properties"]["id"] for f in features if f not in people]
    assert ellipses == [i for i in range(6) if i not in lost]


def test_bodies_and_predictions_are_of_people_with_a_place(written):
    scene, lost, folder = written
    there = [i for i in range(6) if i not in lost]
    names = glb_names((folder / "scene.glb").read_bytes())
    assert [n for n in names if n.startswith("person")] == [f"person_{i:04d}" for i in there]
    assert "ground_0" in names
    (entry,) = strict((folder / "predict.json").read_text()).values()
    shapes = [person["shape"] for person in entry["person_list"]]
    assert shapes == scene.people.betas[there].tolist()


def test_the_scene_comes_back(written):
    scene, lost, folder = written
    strict((folder / "scene.json").read_text())
    back = Scene.load(folder)
    assert np.flatnonzero(~back.people.placed).tolist() == lost
    assert back.diagnostics == scene.diagnostics
    for name, values in vars(scene.people).items():
        np.testing.assert_array_equal(getattr(back.people, name), values)


def test_the_page_lists_them_and_shows_no_body(written):
    _, lost, folder = written
    text = (folder / "report.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    data = strict(found[1])
    assert [person.get("note", "") for person in data["people"]] == [
        note_of(i) if i in lost else "" for i in range(6)
    ]
    assert data["bodies"] == [i for i in range(6) if i not in lost]
    assert np.isfinite(np.array(data["feet"])).all()
    assert all(box is not None for box in data["boxes"])
    assert (f"{len(lost)} of them without a place" in text) == bool(lost)
    assert SQUARE not in text  # escaped


def test_the_overlay_has_a_dashed_box_in_place_of_a_body(written):
    scene, lost, folder = written
    drawn = cv2.imread(str(folder / "overlay.jpg")).astype(int)
    grey = np.ptp(drawn, axis=2) < 12
    for i in range(6):
        left, top, right, bottom = np.rint(scene.people.box_px[i] * SIZE[0] / 900).astype(int)
        edge = drawn[top + 3 : bottom - 3, left - 1 : left + 2][
            grey[top + 3 : bottom - 3, left - 1 : left + 2]
        ]
        assert (np.ptp(edge) > 60) == (i in lost)  # light and dark
        if i in lost:
            assert (grey[top:bottom, left:right]).mean() > 0.5


def test_nobody_without_a_place_leaves_the_picture_as_it_was(body):
    scene = a_scene({})
    scene.people = scene.people.filter(np.zeros(6, bool))
    picture = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), np.uint8)
    nobody = CrowdMesh(np.zeros(0, np.int64), np.zeros((0, 3, 3), np.float32), np.zeros((0, 3)))
    np.testing.assert_array_equal(draw_overlay(scene, nobody, picture), picture)


def test_boxes_may_lie_anywhere_and_reasons_may_be_long(body):
    scene = a_scene({"é" * 300: [0, 1, 2, 3], "short": [4, 5]})
    scene.people.box_px = np.array(
        [
            [np.nan] * 4,
            [-1e9, -5, 1e9, 1e9],
            [895, 0, 1900, 2],
            [5, 5, 5, 5],
            [0, 490, 9, 600],
            [-50, -50, -10, -10],
        ]
    )
    nobody = CrowdMesh(np.zeros(0, np.int64), np.zeros((0, 3, 3), np.float32), np.zeros((0, 3)))
    for size in ((400, 900), (3, 5)):
        picture = np.full((*size, 3), 90, np.uint8)
        assert draw_overlay(scene, nobody, picture).shape == picture.shape


def test_who_is_in_no_group_has_a_reason_all_the_same():
    scene = a_scene(SOME)
    scene = replace(scene, diagnostics={})
    notes = [row.get("note") for row in tables.rows(scene)]
    assert notes == [UNKNOWN_REASON, None, None, UNKNOWN_REASON, UNKNOWN_REASON, None]


def test_the_floor_plan_knows_nothing_of_them():
    plan = floor_plan(a_scene(SOME))
    assert plan.placed.tolist() == [False, True, True, False, False, True]
    for values in (plan.position_m[:, 0], plan.heading_deg, plan.sigma_major_m):
        assert np.isnan(values).tolist() == (~plan.placed).tolist()


@pytest.mark.parametrize("with_ground", [True, False])
def test_another_body_changes_only_their_shape(body, with_ground):
    scene = a_scene(SOME)
    scene.planes = scene.planes if with_ground else []
    told = rebody(scene, body, body).people
    for name in ("transl_m", "torso_m", "hvip_px", "hvip_m", "stature_m", "position_cov_m2"):
        lost = np.isnan(getattr(told, name)).reshape(6, -1)
        assert lost.all(axis=1).tolist() == lost.any(axis=1).tolist() == (~told.placed).tolist()
    np.testing.assert_array_equal(told.plane, scene.people.plane)
    np.testing.assert_array_equal(told.pose, scene.people.pose)
    lost = ~told.placed
    np.testing.assert_array_equal(told.torso_px[lost], scene.people.torso_px[lost])
    assert np.isfinite(told.betas).all()


def test_commands_count_them(tmp_path, body):
    scene = a_scene(SOME)
    write_all(scene, np.full((50, 90, 3), 128, np.uint8), tmp_path / "run", body)
    run = CliRunner().invoke(main, ["view", "--no-browser", str(tmp_path / "run")])
    assert "square.jpg: 6 people (3 of them without a place), camera 5.0 m" in run.output
    again = ["export", str(tmp_path / "run"), "-o", str(tmp_path / "again")]
    run = CliRunner().invoke(main, again)
    assert run.exit_code == 0, run.output
    assert "6 people (3 of them without a place) as open" in run.output
    for name in ("people.csv", "people.npz", "predict.json", "people.geojson"):
        ours, theirs = (tmp_path / folder / name for folder in ("run", "again"))
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_predictions_keep_the_ids_of_the_others():
    scene = level_scene(5)
    before = tables.rows(scene)
    after = tables.rows(without_place(scene, {POSTER: [1]}))
    assert [row for row in after if "note" not in row] == [before[i] for i in (0, 2, 3, 4)]
