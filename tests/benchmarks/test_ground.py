"""The benchmark of the ground fit measures what it says: truth has no error, and efficiency is near one."""

from __future__ import annotations

from dataclasses import replace

import ground_camera
import numpy as np
import pytest
from shared import ground_crowds
from shared.released_search import released_search

SCENARIOS = {scenario.name: scenario for scenario in ground_crowds.SCENARIOS}


def _truth(scenario, people):
    offsets = scenario.heights_m[people.level]
    return ground_camera.Found(scenario.focal_px, scenario.normal, offsets, 0.0)


@pytest.mark.parametrize("name", ["largecrowd", "upward", "steep rolled", "terraced 10 %"])
def test_the_truth_has_no_error_and_a_wrong_camera_has(name):
    scenario = SCENARIOS[name]
    people = ground_crowds.crowd(scenario, 0)
    truth = _truth(scenario, people)
    right = ground_camera.errors(scenario, people, truth)
    assert max(right.focal, right.normal_deg, right.height_m, right.ppds_loss) < 1e-6
    assert right.right_level == 100
    assert right.position_m < 1e-9
    higher = replace(truth, offset_m=1.1 * truth.offset_m)
    wrong = ground_camera.errors(scenario, people, higher)
    assert wrong.height_m == pytest.approx(0.1 * scenario.heights_m.max())
    assert wrong.ppds_loss == pytest.approx(10.0, rel=0.1)


def test_the_same_seed_gives_the_same_crowd():
    scenario = SCENARIOS["wide 25 %"]
    a, b, c = (ground_crowds.crowd(scenario, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a.keypoints, b.keypoints)
    assert not np.array_equal(a.keypoints, c.keypoints)


def test_four_times_the_people_halve_the_bound():
    few = SCENARIOS["street"]
    many = replace(few, people=4 * few.people)
    sd = [np.sqrt(np.diag(ground_crowds.bound(s, ground_crowds.crowd(s, 1)))) for s in (few, many)]
    np.testing.assert_allclose(sd[0] / sd[1], 2.0, rtol=0.2)


def test_the_released_search_finds_a_camera_from_perfect_people(monkeypatch):
    for name in ("LEAN_SD_RAD", "LOG_STATURE_SD", "NOISE"):
        monkeypatch.setattr(ground_crowds, name, 1e-9)
    scenario = SCENARIOS["wide"]
    people = ground_crowds.crowd(scenario, 0)
    focal, normal, height = released_search(
        people.keypoints, scenario, ground_camera.LENGTH_M, ground_camera.ANKLE_M
    )
    assert focal == pytest.approx(scenario.focal_px, rel=0.02)
    assert normal @ scenario.normal > np.cos(np.radians(0.5))
    assert height == pytest.approx(scenario.height_m, rel=0.02)


def test_a_second_level_takes_from_what_is_known_of_the_first():
    """Of the same people on one level the camera's height is known better than if they stood on two."""
    two = SCENARIOS["terraced"]
    people = ground_crowds.crowd(two, 1)
    flat = replace(people, level=np.zeros_like(people.level))
    one = np.diag(ground_crowds.bound(replace(two, step_m=0.0), flat))
    both = np.diag(ground_crowds.bound(two, people))
    assert len(both) == 5 and (both[:4] > one).all()
    assert both[3] < 20 * one[3]


@pytest.mark.parametrize("name", ["wide", "street", "terraced"])
def test_the_fit_is_about_as_good_as_any_can_be(name):
    row = ground_camera.measure(SCENARIOS[name], 12, 0, 100)
    ratios = np.array(list(row["ours"].values())[:3]) / row["bound"]
    # A median of 12 scenes scatters by a third.
    assert (ratios < 2.0).all()
    assert "| " + name in ground_camera.line(row)
