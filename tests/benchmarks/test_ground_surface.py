"""Scenes of uneven ground are scored by where feet are, and a line tells what ground was found."""

from dataclasses import replace

import ground_surface
import numpy as np
import pytest
from helpers.scenes import without_place
from shared import stages, ways
from shared.rendered import Crowd, rendered


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    crowd = Crowd("small", "plaza", (1600, 800), 20, 5)
    picture, truth = rendered(crowd, tmp_path_factory.mktemp("crowds"))
    seen = stages.seen_before(ways._true_people(truth), ways._true_fit(truth))
    return stages.scene_of(picture.name, seen, ways._size_px(truth)), truth


def test_feet_on_the_true_ground_are_at_its_height(drawn):
    scene, truth = drawn
    row = ground_surface.scored(scene, truth)
    assert row["ground"] == "level" and row["gravity_deg"] < 1e-6 and row["feet_m"] < 1e-6
    people = replace(scene.people, hvip_m=scene.people.hvip_m - 0.7 * truth.gravity)
    higher = ground_surface.scored(replace(scene, people=people), truth)
    assert higher["feet_m"] == pytest.approx(0.7)


def test_a_scene_without_places_has_a_row(drawn):
    scene, truth = drawn
    everybody = list(range(len(scene.people)))
    row = ground_surface.scored(without_place(scene, {"on a poster": everybody}), truth)
    assert row["feet_m"] is None and row["recall_60"] == 1.0
    made = ground_surface.surface_table({"none": {**row, "seconds": 1.0}}, "")
    assert made.rows[0][list(made.columns).index("feet m")] is None


def test_the_table_names_the_ground_and_ends_with_the_mean(drawn):
    row = {**ground_surface.scored(*drawn), "seconds": 1.0}
    rows = {"a": {**row, "ground": "slope", "feet_m": 0.1}, "b": {**row, "feet_m": 0.3}}
    made = ground_surface.surface_table(rows, "title")
    assert [line[:2] for line in made.rows] == [["a", "slope"], ["b", "level"], ["mean of 2", None]]
    column = list(made.columns).index("feet m")
    np.testing.assert_allclose([line[column] for line in made.rows], [0.1, 0.3, 0.2])
    assert "| mean of 2 | - |" in made.markdown()
