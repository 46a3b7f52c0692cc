"""Levels of which it is told who stands on them."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.ground import World, terrace

import optim

LOW_STEP = 1 - 0.3 / 9  # 30 cm below a camera at 9 m


def told_of(first: int, n: int) -> np.ndarray:
    return (np.arange(n) >= first).astype(np.int64)


@pytest.mark.parametrize("ratio", [0.5, LOW_STEP, 1.3])
def test_a_step_of_any_height_is_measured(ratio):
    """To 0.2 m as the median of scenes; 0.3 m is far too low to be found without being told."""
    errors = []
    for seed in (3, 103, 203, 303):
        world, people, first = terrace(ratio, seed)
        told = told_of(first, len(people))
        fit = world.fit(people, levels=told, focal_px=world.focal_px)
        np.testing.assert_array_equal(fit.plane_index, told)
        assert fit.report["ground"] == "levels"
        errors.append(fit.planes[0][1] - fit.planes[1][1] - 9 * (1 - ratio))
    assert np.median(np.abs(errors)) < 0.2
    if ratio == LOW_STEP:
        assert len(world.fit(people, max_planes=3, focal_px=world.focal_px).planes) == 1


def test_planes_come_in_the_order_of_the_levels():
    world, people, first = terrace(0.6, 3)
    told = told_of(first, len(people))
    one, other = world.fit(people, levels=told), world.fit(people, levels=1 - told)
    heights = [[height for _, height in fit.planes] for fit in (one, other)]
    np.testing.assert_allclose(heights[0], heights[1][::-1], rtol=0.01)
    below = world.fit(people, levels=1 - told, offset_m=5.4)
    assert below.planes[0][1] == 5.4 and below.planes[1][1] == pytest.approx(9.0, rel=0.05)


def test_of_whom_it_is_not_told_stands_on_the_likeliest_level():
    world, people, first = terrace(0.6, 3)
    truth = told_of(first, len(people))
    told = np.where(np.arange(len(people)) % 4, truth, -1)
    fit = world.fit(people, levels=told)
    np.testing.assert_array_equal(fit.plane_index[told >= 0], truth[told >= 0])
    others = (told < 0) & (fit.plane_index >= 0)
    assert others.sum() > 20 and (fit.plane_index == truth)[others].mean() > 0.95


def test_a_level_of_one_person_stays_one_and_does_not_bend_the_camera():
    world, people, first = terrace(0.6, 3)
    some = np.append(np.arange(first), first + 5)
    fit = world.fit(people[some], levels=told_of(first, len(some)))
    alone = world.fit(people[:first], ground="level")
    assert len(fit.planes) == 2
    assert fit.planes[1][1] == pytest.approx(5.4, rel=0.3)
    assert fit.planes[0][1] == pytest.approx(alone.offset_m, rel=0.02)


def test_a_level_of_nobody_is_as_high_as_the_first():
    world, people, first = terrace(0.6, 3)
    fit = world.fit(people, levels=2 * told_of(first, len(people)))
    assert fit.planes[1][1] == pytest.approx(fit.planes[0][1], rel=0.01)
    assert fit.planes[2][1] == pytest.approx(0.6 * fit.planes[0][1], rel=0.06)


def test_nothing_told_is_nothing_given():
    world = World()
    people = world.crowd(60, 1)
    nobody = world.fit(people, levels=np.full(60, -1))
    assert nobody.focal_px == world.fit(people).focal_px
    one = world.fit(people, levels=np.zeros(60, np.int64))
    assert one.focal_px == world.fit(people, ground="level").focal_px


def test_panoramas_and_free_centres_know_the_levels_too():
    world, people, first = terrace(0.6, 3)
    told = told_of(first, len(people))
    fit = optim.fit_with_free_center(people, world.size, center_sd_px=300.0, levels=told)
    assert fit.planes[1][1] / fit.planes[0][1] == pytest.approx(0.6, rel=0.06)
    fit = optim.fit_panorama(people, world.size, projection="cylindrical", levels=told)
    assert len(fit.planes) == 2
    np.testing.assert_array_equal(fit.plane_index, told)


@pytest.mark.parametrize(
    "options",
    [
        {"levels": np.zeros(3, np.int64)},
        {"levels": np.zeros(20)},
        {"levels": np.full(20, -2)},
        {"levels": np.full(20, 20)},
        {"levels": np.arange(20) % 2, "max_planes": 2},
        {"levels": np.arange(20) % 2, "ground": "slope"},
    ],
)
def test_levels_that_cannot_be_are_refused(options):
    world = World()
    with pytest.raises(optim.BadInput, match="levels"):
        world.fit(world.crowd(20, 0), **options)
