"""Reliefs: heights along rays are those of marching along them, and every derivative is the numeric one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.ground import World
from hypothesis import given
from hypothesis import strategies as st

from optim.ground.fitter import Fitter
from optim.ground.ground_camera import _measured
from optim.ground.inputs import checked
from optim.ground.relief import Relief, level_axes
from optim.ground.residuals import View, rays_of

CENTERS = np.array([[0.0, 4.0], [1.0, 6.0]])


def _relief() -> Relief:
    """Some of everything."""
    smooth = Relief.smooth(CENTERS, 2.0, 0.1, 0.1).moved(np.array([0.03, 0.02, 0.05, -0.04]))
    hinges = np.array([[0.2, 0.3, 3.0]])
    return replace(smooth, hinges=hinges, mean=np.zeros(7), information=np.eye(7))


def _problem(world: World, people: np.ndarray, relief: Relief):
    given = checked(world.size, None, None, None, (0.0, 0.0), (1.7, 0.095, 0.04))
    fitter = Fitter(given, _measured(given, people, None, None), 1, "level")
    view = View.of(world.focal_px, world.pitch, world.roll, world.height)
    return replace(fitter.problem, ground=relief), view


def _marched(relief: Relief, way: np.ndarray, fall: float, above: float) -> float:
    """How often a ray is followed until it meets the ground, by small steps."""
    depth = np.linspace(1e-3, 30.0, 300_001)
    over = depth * fall - 1 + relief.heights(depth[:, None] * way) + above
    return float(depth[np.argmax(over > 0)])


def test_rays_meet_the_ground_where_marching_finds_it():
    relief = _relief()
    ways = np.array([[0.1, 1.0], [-0.2, 1.0], [0.3, 0.8], [0.0, 0.5], [0.1, 1.0]])
    falls = np.array([0.5, 0.2, 0.11, 1.0, -0.05])  # the last one rises, as to a stand
    for above in (0.0, 0.02):
        marched = [_marched(relief, w, f, above) for w, f in zip(ways, falls, strict=True)]
        for is_first in (False, True):
            found = relief.depths(ways, falls, above, is_first=is_first)
            np.testing.assert_allclose(found, marched, atol=2e-4)


def test_rays_that_miss_the_ground_meet_nothing():
    falling = Relief(tilt=np.array([0.0, -0.5]), mean=np.zeros(2), information=np.eye(2))
    ways, falls = np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([0.4, 0.9])
    assert np.isnan(falling.depths(ways, falls)).tolist() == [
        True,
        False,
    ]  # it falls faster than the first ray
    flat = Relief.tilted(0.1)
    assert np.isnan(flat.depths(ways, np.array([-0.1, 0.0]), is_first=True)).all()


def test_a_hill_hides_what_is_behind_it():
    hill = Relief.smooth(np.array([[0.0, 4.0]]), 0.5, 0.5, 0.1).moved(np.array([0.0, 0.0, 0.9]))
    way, fall = np.array([[0.0, 1.0]]), np.array([0.1])
    first = hill.depths(way, fall, is_first=True)[0]
    assert first == pytest.approx(_marched(hill, way[0], 0.1, 0.0), abs=2e-4) and first < 4.5


def test_derivatives_are_the_numeric_ones():
    world = World(fov=50, pitch=14, roll=3, height=9.0)
    people = world.crowd(60, 3, relief=lambda x, z: 0.3 * np.maximum(z - 25, 0))
    problem, view = _problem(world, people, _relief())
    prediction, sticks = problem.predict(view), problem.sticks

    def tops(problem, view):
        return problem.sticks.top_px - problem.predict(view).residual

    for k in range(11):
        step = np.eye(11)[k] * 1e-6
        ahead = tops(problem.moved(step[4:]), view.moved(step[:4]))
        behind = tops(problem.moved(-step[4:]), view.moved(-step[:4]))
        numeric = (ahead - behind) / 2e-6
        off = np.abs(numeric - prediction.jacobian[:, :, k]).max()
        assert off < 1e-4 * np.abs(numeric).max(), k
    for k in range(2):
        moved = [
            replace(problem, sticks=replace(sticks, bottom_px=sticks.bottom_px + s * np.eye(2)[k]))
            for s in (1e-3, -1e-3)
        ]
        numeric = (tops(moved[0], view) - tops(moved[1], view)) / 2e-3
        np.testing.assert_allclose(prediction.by_bottom[:, :, k], numeric, rtol=1e-4, atol=1e-5)


def test_a_relief_without_heights_is_level_ground():
    world = World()
    people = world.crowd(40, 1)
    flat = Relief.smooth(CENTERS, 2.0, 0.1, 0.1).hinged(np.array([0.0, 0.4, 2.0]), np.ones(3))
    problem, view = _problem(world, people, flat)
    level = replace(problem, ground=None).predict(view)
    shaped = problem.predict(view)
    np.testing.assert_allclose(shaped.residual, level.residual, atol=1e-9)
    np.testing.assert_allclose(shaped.jacobian[:, :, :4], level.jacobian, atol=1e-6)


def test_places_are_told_to_the_right_and_ahead():
    view = View.of(1000.0, 0.3, 0.0, 2.0)
    right, ahead = level_axes(view.normal)
    np.testing.assert_allclose(right, [1, 0, 0], atol=1e-12)
    assert ahead @ view.normal == pytest.approx(0) and ahead[2] > 0.9


@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(-0.2, 1.0), st.floats(-0.7, 0.7))
def test_a_tilt_is_a_plane(right: float, ahead: float, fall: float, aside: float):
    relief = Relief(tilt=np.array([right, ahead]), mean=np.zeros(2), information=np.eye(2))
    way = np.array([aside, 1.0])
    approach = fall + way @ [right, ahead]  # the closed form: t (f + w . tilt) = 1
    depth = relief.depths(way[None], np.array([fall]))[0]
    if approach > 0.02:
        assert depth == pytest.approx(1 / approach, rel=1e-5)
    if approach < 0:
        assert np.isnan(depth)


def test_far_from_all_bumps_the_prior_is_left():
    relief = Relief.smooth(CENTERS, 2.0, 0.1, 0.1)
    sd = np.sqrt(relief.unseen_variance(np.array([[0.0, 4.0], [0.5, 5.0], [40.0, 40.0]])))
    assert sd[0] < 0.01 and sd[1] < 0.05 and sd[2] == pytest.approx(0.1)


def test_rays_of_a_perspective_picture():
    world = World()
    problem, view = _problem(world, world.crowd(5, 1), _relief())
    rays, moves = rays_of(view, problem.sticks, problem.center_px)
    seen = rays[:, :2] / rays[:, 2:] * world.focal_px + world.center_px
    np.testing.assert_allclose(seen, problem.sticks.bottom_px)
    nearer, _ = rays_of(
        replace(view, log_focal=view.log_focal + 1e-6), problem.sticks, problem.center_px
    )
    np.testing.assert_allclose((nearer - rays) / 1e-6, moves[:, 0], atol=1e-5)
