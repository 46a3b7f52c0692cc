"""The shape of the ground is chosen by evidence: level, slope, levels, stands or terrain."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.ground import World, terrace

import optim
from optim import BadInput, NotEnoughPeople
from optim.projection import project

WORLD = {"fov": 50, "pitch": 14, "height": 9.0}


def slope(degrees: float, azimuth_deg: float):
    rise, azimuth = math.tan(math.radians(degrees)), math.radians(azimuth_deg)
    return lambda x, z: rise * (x * math.sin(azimuth) + z * math.cos(azimuth))


def stand(start_m: float, rise: float):
    return lambda x, z: rise * np.maximum(z - start_m, 0.0)


def hills(seed: int, height_m: float = 1.5, length_m: float = 20.0):
    rng = np.random.default_rng(seed)
    waves, phases = rng.normal(0, 1 / length_m, (40, 2)), rng.uniform(0, 2 * np.pi, 40)
    return lambda x, z: (
        height_m
        * math.sqrt(2 / 40)
        * np.sum(np.cos(waves @ np.stack([x, z]) + phases[:, None]), axis=0)
    )


SHAPES = {
    "slope": (slope(10, 0), 0.012),
    "slope aside": (slope(12, 90), 0.012),
    "slope down": (slope(-6, 30), 0.012),
    "stands": (stand(25, 0.5), 0.015),
    "terrain": (hills(1), 0.02),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_is_found_and_people_stand_on_it(name: str):
    relief, most = SHAPES[name]
    world = World(**WORLD)
    people, feet = world.crowd_and_feet(250, 3, outliers=0.05, relief=relief)
    fit = world.fit(people, focal_px=world.focal_px)
    assert fit.surface.kind == fit.report["ground"] == name.split()[0]
    seen = fit.ground_points(project(feet, world.focal_px, world.center_px))
    away = np.linalg.norm(feet, axis=1)
    assert np.nanmedian(np.linalg.norm(seen - feet, axis=1) / away) < most
    assert np.isnan(seen).sum() <= 2
    level = world.fit(people, focal_px=world.focal_px, ground="level")
    flat = level.ground_points(project(feet, world.focal_px, world.center_px))
    assert np.median(np.linalg.norm(flat - feet, axis=1) / away) > most


def test_gravity_is_not_the_slopes_normal():
    world = World(**WORLD)
    people = world.crowd(300, 5, relief=slope(12, 90))
    fit = world.fit(people, focal_px=world.focal_px)
    np.testing.assert_array_equal(fit.gravity, -fit.normal)
    assert math.degrees(math.acos(fit.normal @ world.normal)) < 1.2
    # Three points of the ground tell its own normal: 12 degrees off.
    points = fit.ground_points([[1500.0, 2400.0], [2500.0, 2400.0], [2000.0, 2800.0]])
    own = np.cross(points[1] - points[0], points[2] - points[0])
    tilt = math.degrees(math.acos(abs(own @ fit.normal) / np.linalg.norm(own)))
    assert tilt == pytest.approx(12, abs=1.0)


def test_flat_crowds_stay_level():
    rng, others = np.random.default_rng(11), 0
    for seed in range(40):
        pitch, fov = rng.uniform(8, 35), rng.uniform(30, 80)
        world = World(fov=fov, pitch=pitch, height=rng.uniform(3, 18))
        people = world.crowd(80, seed, outliers=0.15, far=6.0)
        known = {"focal_px": world.focal_px} if seed % 2 else {}
        others += world.fit(people, **known).surface.kind != "level"
    assert others <= 2


def test_a_step_behind_the_crowd_becomes_levels_or_a_steep_rise():
    world = World(**WORLD)
    people, feet = world.crowd_and_feet(300, 3, relief=lambda x, z: 3.5 * (z > 50))
    exif = (1.03 * world.focal_px, 0.05)
    fit, level = (world.fit(people, focal_prior=exif, ground=g) for g in ("auto", "level"))
    assert fit.surface.kind in ("levels", "stands")
    assert abs(math.log(fit.focal_px / world.focal_px)) < 0.05
    assert abs(math.log(level.focal_px / world.focal_px)) > 0.10
    seen = fit.ground_points(project(feet, world.focal_px, world.center_px))
    off = np.linalg.norm(seen - feet, axis=1) / np.linalg.norm(feet, axis=1)
    assert np.nanmedian(off) < 0.03


def test_levels_beside_one_another_are_found_without_asking():
    world, people, first = terrace(0.6, 3)
    fit = world.fit(people)
    assert fit.surface.kind == "levels" and len(fit.planes) == 2
    assert (fit.plane_index[:first] == 0).mean() > 0.9
    ratio = fit.surface.offsets_m[1] / fit.surface.offsets_m[0]
    assert ratio == pytest.approx(0.6, rel=0.05)


@pytest.mark.parametrize("ground", ["level", "slope", "stands", "terrain"])
def test_what_is_asked_for_is_fitted(ground: str):
    world = World(**WORLD)
    fit = world.fit(world.crowd(150, 2), focal_px=world.focal_px, ground=ground)
    assert fit.surface.kind == ground
    # A level plane is a special case of each.
    points = fit.ground_points([[1200.0, 2300.0], [2000.0, 2500.0], [2900.0, 2700.0]])
    heights = points @ world.normal
    np.testing.assert_allclose(heights, -9.0, atol=0.6)


def test_order_mirror_and_scale_do_not_matter():
    world = World(**WORLD)
    people = world.crowd(150, 4, relief=slope(10, 40))
    fit = world.fit(people, focal_px=world.focal_px)
    shuffled = world.fit(people[::-1], focal_px=world.focal_px)
    np.testing.assert_array_equal(shuffled.surface.relief.numbers, fit.surface.relief.numbers)
    mirrored = people.copy()
    mirrored[..., 0] = world.size[0] - mirrored[..., 0]
    other = world.fit(mirrored, focal_px=world.focal_px)
    right, ahead = fit.surface.relief.numbers
    np.testing.assert_allclose(other.surface.relief.numbers, [-right, ahead], atol=1e-4)
    double = people.copy()
    double[..., :2] *= 2
    size = (2 * world.size[0], 2 * world.size[1])
    larger = optim.fit_ground_camera(double, size, focal_px=2 * world.focal_px)
    np.testing.assert_allclose(larger.surface.relief.numbers, [right, ahead], atol=0.01)
    tall = world.fit(people, focal_px=world.focal_px, stature_m=3.4 / 2 * 1.1)
    assert tall.offset_m == pytest.approx(1.1 * fit.offset_m, rel=0.02)


def test_an_unknown_slope_widens_the_interval_of_an_unknown_focal_length():
    world = World(**WORLD)
    people = world.crowd(200, 6)
    alone, auto = world.fit(people, ground="level"), world.fit(people)
    assert auto.surface.kind == "level" and auto.focal_px == alone.focal_px
    assert auto.covariance[0, 0] > alone.covariance[0, 0]
    known = world.fit(people, focal_px=world.focal_px)
    sure = world.fit(people, focal_px=world.focal_px, ground="level")
    assert known.covariance[3, 3] < 4 * sure.covariance[3, 3]


def test_somebody_who_fits_never_makes_the_surface_less_sure_there():
    world = World(**WORLD)
    people = world.crowd(220, 8, relief=slope(10, 60))
    few = world.fit(people[:200], focal_px=world.focal_px, ground="slope")
    many = world.fit(people, focal_px=world.focal_px, ground="slope")
    where = np.array([[0.0, 20.0], [10.0, 40.0]])
    assert (many.surface.height_sd_m(where) < 1.02 * few.surface.height_sd_m(where)).all()


def test_the_sky_has_no_ground():
    world = World(**WORLD)
    fit = world.fit(world.crowd(60, 1))
    points = fit.ground_points([[2000.0, 10.0], [2000.0, 2900.0]])
    assert np.isnan(points[0]).all() and points[1, 2] > 0


@pytest.mark.parametrize("ground", ["auto", "slope", "stands", "terrain"])
def test_too_few_and_lined_up_people(ground: str):
    world = World(**WORLD)
    with pytest.raises(NotEnoughPeople):
        world.fit(world.crowd(1, 1), ground=ground)
    two = world.fit(world.crowd(3, 1), focal_px=world.focal_px, ground=ground)
    assert np.isfinite(two.covariance).all()
    row = world.crowd(400, 2)
    ankles = row[:, 15:, 1].mean(axis=1)
    row = row[np.argsort(np.abs(ankles - np.median(ankles)))[:14]]  # one row of seats
    fit = world.fit(row, focal_px=world.focal_px, ground=ground)
    assert np.isfinite(fit.covariance).all() and fit.offset_m > 0


def test_impossible_values_are_refused():
    world = World(**WORLD)
    people = world.crowd(30, 1)
    with pytest.raises(BadInput, match="ground must be one of auto, level"):
        world.fit(people, ground="moon")
    with pytest.raises(BadInput, match="points_px must be"):
        world.fit(people).ground_points([1.0, 2.0, 3.0])
    broken = people.copy()
    broken[:3] = np.nan
    broken[3:5, :, 0] = np.inf
    assert world.fit(broken).surface.kind == "level"
