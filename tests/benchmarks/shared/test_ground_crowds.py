"""Generated crowds and the best that anybody could know of their camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from shared import ground_crowds

SCENARIOS = {scenario.name: scenario for scenario in ground_crowds.SCENARIOS}


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


def test_a_second_level_takes_from_what_is_known_of_the_first():
    """Of the same people on one level the camera's height is known better than if they stood on two."""
    two = SCENARIOS["terraced"]
    people = ground_crowds.crowd(two, 1)
    flat = replace(people, level=np.zeros_like(people.level))
    one = np.diag(ground_crowds.bound(replace(two, step_m=0.0), flat))
    both = np.diag(ground_crowds.bound(two, people))
    assert len(both) == 5 and (both[:4] > one).all()
    assert both[3] < 20 * one[3]
