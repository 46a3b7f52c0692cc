"""What is given of camera and ground stays as it is; the rest is fitted, as exactly as its covariance says."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.ground import SCENES, World, terrace

import optim
from optim.projection import project, rays

FIVE = (-0.28, 0.08, 0.002, -0.001, -0.01)
KNOWN = ("focal_px", "gravity", "offset_m")


def _given(world, names):
    truth = {"focal_px": world.focal_px, "gravity": -world.normal, "offset_m": world.height}
    return {name: truth[name] for name in names}


def _through(world, people, distortion, **lens):
    """The same people as a lens that bends shows them."""
    bent = people.copy()
    straight = rays(people[..., :2], world.focal_px, world.center_px)
    bent[..., :2] = project(straight, world.focal_px, world.center_px, distortion, **lens)
    return bent


@pytest.mark.parametrize("name", ["street", "steep", "wide"])
@pytest.mark.parametrize("known", [KNOWN[2:], KNOWN[1:], KNOWN[::2], KNOWN[:2], KNOWN])
def test_given_values_are_kept_and_the_others_found(name, known):
    world = World(**SCENES[name])
    fit = world.fit(world.crowd(60, 3, outliers=0.1), **_given(world, known))
    errors, sd = world.errors(fit), np.sqrt(np.diag(fit.covariance))
    given = np.array([KNOWN[0] in known, *[KNOWN[1] in known] * 2, KNOWN[2] in known])
    assert (sd[given] == 0).all() and (sd[~given] > 0).all()
    assert not fit.covariance[given].any() and not fit.covariance[:, given].any()
    np.testing.assert_allclose(errors[given], 0, atol=1e-12)
    assert (np.abs(errors[~given]) < 3.5 * sd[~given]).all()
    assert fit.offset_m == world.height or KNOWN[2] not in known
    assert fit.report["height"] == ("given" if KNOWN[2] in known else "estimated")


def test_a_known_height_measures_the_people():
    """People 6 % taller than assumed: without the height the scene is too small, with it they are taller."""
    world = World(fov=60, pitch=20, height=8.0)
    people = world.crowd(120, 5)
    focal = {"focal_px": world.focal_px, "gravity": -world.normal, "stature_m": 1.60}
    small = world.fit(people, **focal)
    assert small.offset_m == pytest.approx(8.0 * 1.60 / 1.70, rel=0.02)
    fit = world.fit(people, offset_m=8.0, **focal)
    assert fit.offset_m == 8.0 and fit.report["stature_m"] == pytest.approx(1.70, rel=0.02)


def test_a_known_height_makes_the_focal_length_surer():
    world = World(pitch=25, height=9.0)
    people = world.crowd(40, 2)
    free, held = world.fit(people), world.fit(people, offset_m=9.0)
    assert held.covariance[0, 0] < free.covariance[0, 0]


def test_few_people_are_enough_where_much_is_known():
    world = World()
    people = world.crowd(2, 1)
    with pytest.raises(optim.NotEnoughPeople):
        world.fit(people)
    fit = world.fit(people, **_given(world, KNOWN[1:]))
    assert abs(world.errors(fit)[0]) < 4 * np.sqrt(fit.covariance[0, 0])
    assert world.fit(people[:1], **_given(world, KNOWN)).inlier.all()


@pytest.mark.parametrize("height", [9.0, 5.4])
def test_of_several_levels_one_has_the_known_height(height):
    world, people, first = terrace(0.6, 3)
    fit = world.fit(people, max_planes=2, offset_m=height)
    ratio = 0.6 if height == 9.0 else 1 / 0.6
    assert fit.planes[0][1] == height
    assert fit.planes[1][1] == pytest.approx(height * ratio, rel=0.05)
    assert (fit.plane_index[:first] == (height != 9.0)).mean() > 0.9


def test_any_lens_is_taken_away_before_the_fit():
    world = World(fov=75)
    people = world.crowd(80, 6)
    straight = world.fit(people, focal_px=world.focal_px)
    seen = _through(world, people, FIVE, pixel_aspect=1.02)
    fit = world.fit(seen, focal_px=world.focal_px, distortion=FIVE, pixel_aspect=1.02)
    np.testing.assert_allclose(fit.normal, straight.normal, atol=1e-6)
    np.testing.assert_allclose(fit.offset_m, straight.offset_m, rtol=1e-6)
    assert fit.distortion == FIVE
    ignored = world.fit(seen, focal_px=world.focal_px)
    assert np.arccos(ignored.normal @ straight.normal) > np.deg2rad(0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"offset_m": 0.0}, "offset_m must be a height"),
        ({"offset_m": float("nan")}, "offset_m must be a height"),
        ({"distortion": (0.1, 0.1, 0.1)}, "3 coefficients of distortion are none"),
        ({"distortion": (0.1, float("inf"))}, "finite coefficients"),
        (
            {"projection": "fisheye-equisolid", "focal_px": 900.0, "distortion": (0.1,) * 4},
            "4 coefficients",
        ),
        ({"pixel_aspect": 0.0}, "pixel_aspect must be positive"),
        ({"projection": "cylindrical", "focal_px": 900.0, "pixel_aspect": 1.1}, "has no lens"),
    ],
)
def test_impossible_values_are_refused(options, message):
    with pytest.raises(optim.BadInput, match=message):
        World().fit(World().crowd(10, 1), **options)
