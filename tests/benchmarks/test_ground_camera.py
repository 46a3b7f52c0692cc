"""The benchmark of the ground fit measures what it says: truth has no error, and efficiency is near one."""

from __future__ import annotations

from dataclasses import replace

import ground_camera
import numpy as np
import pytest
from shared import ground_crowds

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


@pytest.mark.parametrize("name", ["wide", "street", "terraced"])
def test_the_fit_is_about_as_good_as_any_can_be(name):
    row = ground_camera.measure(SCENARIOS[name], 12, 1, 100)
    ratios = np.array(list(row["ours"].values())[:3]) / row["bound"]
    # A median of 12 scenes scatters by a third.
    assert (ratios < 2.0).all()
    line = ground_camera.line(row)
    assert line[0] == name and len(line) == len(ground_camera.COLUMNS)
    assert None not in line
