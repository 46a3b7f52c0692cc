"""Terraces are found where they are, and one ground is never split by noise."""

from __future__ import annotations

import ground_camera
import numpy as np
import pytest
from helpers.ground import SCENES, World, terrace
from shared import ground_crowds


@pytest.mark.parametrize("ratio", [0.5, 0.7, 1.3, 1.6])
def test_two_levels(ratio):
    world, people, first = terrace(ratio, 3)
    fit = world.fit(people, max_planes=3)
    assert len(fit.planes) == 2
    np.testing.assert_allclose(fit.planes[1][1] / fit.planes[0][1], ratio, rtol=0.06)
    np.testing.assert_allclose(fit.offset_m, 9.0, rtol=0.08)
    assert (fit.plane_index[:first] == 0).mean() > 0.9
    assert (fit.plane_index[first:] == 1).mean() > 0.9
    assert fit.planes[0][1] == fit.offset_m


@pytest.mark.parametrize("ratio", [0.5, 0.7, 1.3, 1.6])
def test_levels_below_a_known_camera_are_found_to_a_few_centimetres(ratio):
    world, people, first = terrace(ratio, 103)
    fit = world.fit(
        people, max_planes=3, focal_px=world.focal_px, gravity=-world.normal, mean_stature_sd_m=0.0
    )
    offsets = [offset for _, offset in fit.planes]
    np.testing.assert_allclose(offsets, [9.0, 9.0 * ratio], atol=0.15)
    told = fit.plane_index >= 0
    right = fit.plane_index == (np.arange(len(people)) >= first)
    assert right[told].mean() > 0.95 and told.mean() > 0.95


def test_a_border_drawn_before_the_camera_was_right_moves():
    """Two crowds whose first split lies metres beside the step, because one plane was fitted to both."""
    for seed in (2003, 2013):
        world, people, first = terrace(1.3, seed)
        fit = world.fit(people, max_planes=3)
        known = fit.plane_index >= 0
        right = fit.plane_index == (np.arange(len(people)) >= first)
        assert right[known].mean() > 0.97


@pytest.mark.parametrize("name", ["terraced 10 %", "platform 10 %"])
def test_two_levels_below_an_unknown_camera_are_found_to_a_few_centimetres(name):
    """Each level of 300 people within 15 cm (median of scenes; the bound of both is about 10)."""
    scenario = next(s for s in ground_crowds.SCENARIOS if s.name == name)
    errors, right = [], []
    for seed in range(24):
        people = ground_crowds.crowd(scenario, seed)
        found, _ = ground_camera.ours(scenario, people)
        levels = [np.median(found.offset_m[people.level == k]) for k in (0, 1)]
        errors.append(np.abs(levels - scenario.heights_m))
        right.append(ground_camera.errors(scenario, people, found).right_level)
    assert (np.median(errors, axis=0) < 0.15).all()
    assert np.median(right) > 95 and min(right) > 90


def test_one_level_is_kept_where_it_is_known():
    world, people, _ = terrace(0.6, 3)
    assert len(world.fit(people, ground="level").planes) == 1


@pytest.mark.parametrize("name", SCENES)
def test_one_ground_is_never_split_by_noise(name):
    world = World(**SCENES[name])
    for seed, outliers in ((0, 0.0), (1, 0.3), (100, 0.3)):
        people = world.crowd(300, seed, outliers=outliers)
        fit = world.fit(people, center_px=world.center_px, max_planes=4)
        assert len(fit.planes) == 1
        assert set(fit.plane_index) <= {-1, 0}


@pytest.mark.slow
def test_no_second_ground_in_a_hundred_single_ones():
    for seed in range(100):
        rng = np.random.default_rng(1000 + seed)
        world = World(
            fov=rng.uniform(45, 90),
            pitch=rng.uniform(8, 45),
            roll=rng.uniform(-8, 8),
            height=rng.uniform(3, 16),
        )
        people = world.crowd(int(rng.integers(40, 200)), seed, outliers=rng.choice([0.0, 0.1, 0.3]))
        assert len(world.fit(people, max_planes=4).planes) == 1


def test_few_people_have_one_ground():
    world = World()
    assert len(world.fit(world.crowd(8, 0), max_planes=3).planes) == 1
