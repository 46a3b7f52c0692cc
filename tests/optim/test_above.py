"""Who is above the ground, by size: axioms, and people whose heights are known."""

import numpy as np
import pytest

from optim.errors import BadInput
from optim.place.above import people_above


def test_larger_people_are_higher():
    """As long as a usual height explains them, and they are too large for children on a box."""
    for camera_m in (1.6, 3.0, 5.0, 10.0):
        size = np.linspace(0.12, -np.log1p(-min(2.0 / camera_m, 0.5)), 200)
        told = people_above(size, np.full(200, 0.04), camera_m)
        unsure = told.probability[:-1] < 0.8
        assert (np.diff(told.probability)[unsure] > 0).all(), camera_m
        called = told.probability[:-1] > 0.5
        assert (np.diff(told.height_m)[called] > 0).all(), camera_m
        small = people_above(np.linspace(-0.6, 0.1, 50), np.full(50, 0.04), camera_m)
        assert small.probability.max() < 0.02 < 0.25 < told.probability[-1], camera_m


def test_nobody_is_above_who_looks_no_larger_for_it():
    size = np.linspace(-0.6, 0.6, 50)
    assert people_above(size, np.full(50, 0.04), 1e6).probability.max() < 0.011


def test_the_less_sure_a_size_the_less_it_tells():
    sd = np.linspace(0.0, 0.5, 40)
    chance = people_above(np.full(40, np.log(5 / 3.8)), sd, 5.0).probability
    assert chance[0] > 0.9 and (np.diff(chance) < 0).all() and chance[-1] < 0.02


@pytest.mark.parametrize("camera_m", [2.0, 5.0, 12.0])
def test_heights_are_known_as_well_as_they_are_said_to_be(camera_m):
    """Drawn from the priors: probabilities are frequencies, and errors are as large as their sd."""
    rng = np.random.default_rng(0)
    n, sd = 60_000, 0.04
    most = min(4.0, camera_m - 0.3)
    height = np.zeros(n)
    drawn = 0.3 + rng.exponential(1.0, n // 4)
    height[: n // 100] = drawn[drawn < most][: n // 100]
    stature = np.where(rng.random(n) < 0.1, rng.normal(-0.31, 0.18, n), rng.normal(0, 0.06, n))
    seen = stature - np.log1p(-height / camera_m) + rng.normal(0, sd, n)
    told = people_above(seen, np.full(n, sd), camera_m)
    above = height > 0
    assert told.probability.sum() == pytest.approx(above.sum(), rel=0.15)
    called = told.probability > 0.5
    assert above[called].mean() > 0.65
    error = (told.height_m - height)[above] / told.height_sd_m[above]
    assert np.sqrt(np.mean(error**2)) == pytest.approx(1.0, abs=0.15)


def test_people_of_all_statures_stand_on_level_ground():
    rng = np.random.default_rng(1)
    for camera_m in (1.7, 4.0, 8.0, 20.0):
        seen = np.log(rng.uniform(1.5, 1.95, 30_000) / 1.7) + rng.normal(0, 0.04, 30_000)
        chance = people_above(seen, np.full(30_000, 0.056), camera_m).probability
        assert np.mean(chance > 0.5) < 1 / 300, camera_m


def test_people_on_posters_and_screens_are_not_above():
    told = people_above(np.log([2.5, 4.0, 8.0]), np.full(3, 0.05), np.full(3, 10.0))
    assert told.probability.max() < 0.5


def test_where_nothing_can_be_told_nobody_is_above():
    size = np.array([np.nan, np.inf, 0.3, 0.3, 0.3, 0.3])
    camera = np.array([5.0, 5.0, 0.8, -3.0, np.nan, 5.0])
    told = people_above(size, np.array([0.1, 0.1, 0.1, 0.1, 0.1, np.nan]), camera)
    np.testing.assert_array_equal(told.probability, 0.0)
    np.testing.assert_array_equal(told.height_m, 0.0)
    assert people_above(np.zeros(0), np.zeros(0), 5.0).probability.shape == (0,)


def test_everybody_is_judged_alone():
    rng = np.random.default_rng(2)
    size, sd, camera = rng.normal(0, 0.2, 50), rng.uniform(0, 0.2, 50), rng.uniform(0.5, 20, 50)
    order = rng.permutation(50)
    told = people_above(size, sd, camera)
    other = people_above(size[order], sd[order], camera[order])
    np.testing.assert_array_equal(other.height_m, told.height_m[order])


def test_contradictions_are_named():
    with pytest.raises(BadInput, match="must be"):
        people_above(np.zeros(2), np.zeros(3), 5.0)
    with pytest.raises(BadInput, match="camera_height_m"):
        people_above(np.zeros(2), np.zeros(2), np.zeros(3))
    with pytest.raises(BadInput, match="negative"):
        people_above(np.zeros(2), np.full(2, -0.1), 5.0)
