"""What is said of the search: shares that add up, a map that points at what is left, and plain words."""

import json

import numpy as np
import pytest

import tiling
from crowd3d.pipeline.looked import Looked

SIZE = (4800, 2400)
NOBODY = np.zeros((0, 4))


@pytest.fixture
def bands():
    return tiling.height_bands(SIZE, 25.0, 2.0)


def test_a_picture_that_a_glance_found_empty_is_complete(bands):
    for band in bands:
        band.chance[:] = -np.inf
    looked = Looked.of(bands, NOBODY, None)
    assert looked.is_complete
    assert looked.in_words() == "looked at everything, down to people 25 px tall"
    facts = looked.to_dict()
    assert facts["share"] == 1.0
    assert {heights["empty"] for heights in facts["heights"]} == {1.0}
    assert np.unique(facts["map"]["smallest_px"]).tolist() == [25]


def test_what_is_left_is_named_and_mapped(bands):
    for band in bands:
        band.looked[:] = True
    small = bands[0]
    small.looked[:, small.looked.shape[1] // 2 :] = False
    small.chance[1::2] = -np.inf  # half of the half is empty
    looked = Looked.of(bands, NOBODY, "max_tiles")
    assert not looked.is_complete
    words = "not looked at when max_tiles was reached: 50% of the places where people of 25-50 px could be"
    assert looked.in_words() == words
    rows, columns = looked.smallest_px.shape
    assert (looked.smallest_px[:, : columns // 2 - 1] == 25).all()
    assert (looked.smallest_px[:, columns // 2 + 1 :] == 50).all()
    assert looked.cell_px * columns == pytest.approx(SIZE[0], rel=0.05)
    assert looked.cell_px * rows == pytest.approx(SIZE[1], rel=0.05)


def test_shares_add_up_and_are_plain_json(bands):
    rng = np.random.default_rng(0)
    for band in bands:
        band.chance[rng.random(band.chance.shape) < 0.4] = -np.inf
        band.looked[:] = rng.random(band.looked.shape) < 0.5
    people = np.array([[100.0, 100.0, 900.0, 2300.0]])
    facts = Looked.of(bands, people, None).to_dict()
    for heights in facts["heights"]:
        total = heights["looked"] + heights["empty"] + heights["left"]
        assert total == pytest.approx(1.0, abs=2e-4)
        assert heights["left"] > 0
    assert facts == json.loads(json.dumps(facts))


def test_nobody_smaller_is_looked_for_where_a_large_person_stands(bands):
    people = np.array([[0.0, 0.0, 4800.0, 2400.0]])
    looked = Looked.of(bands[:-1], people, None)
    assert looked.is_complete
