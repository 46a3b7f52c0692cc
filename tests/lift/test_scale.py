"""The scale of people seen from above is between that of sticks and that of their bodies."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.scenes import tilted_plane

from crowd3d import Camera
from crowd3d.config import Config
from crowd3d.lift.scale import scaled_by_bodies
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import People

CAMERA = Camera.from_fov(1000, 1000, 70)


def crowd(fall_deg: float, stature_m: float, n: int = 20) -> tuple[People, Fitted]:
    """People whose torsos are seen from an angle above, on the ground below a camera that looks down."""
    plane = tilted_plane(80.0, height_m=10.0)
    bearing = np.linspace(0, 6, n)
    one = np.cross(plane.normal, [1.0, 0.0, 0.0])
    one /= np.linalg.norm(one)
    other = np.cross(plane.normal, one)
    away = 9.0 / np.tan(np.radians(fall_deg))
    out = np.cos(bearing)[:, None] * one + np.sin(bearing)[:, None] * other
    people = People.empty(n)
    people.torso_m = away * out - 9.0 * plane.normal
    people.stature_m = np.full(n, stature_m)
    return people, Fitted(CAMERA, [plane], np.diag([0.0, 1e-4, 1e-4, 1e-3]), {})


@pytest.mark.parametrize(("fall_deg", "share"), [(20.0, 0.0), (37.5, 0.25), (60.0, 0.5)])
def test_bodies_have_a_say_where_people_are_seen_from_above(fall_deg: float, share: float):
    people, fitted = crowd(fall_deg, 1.5)
    scaled = scaled_by_bodies(people, fitted, Config())
    assert scaled.planes[0].offset_m == pytest.approx(10.0 * (1.7 / 1.5) ** share)
    np.testing.assert_array_equal(scaled.normal, fitted.normal)


def test_a_known_height_and_few_people_change_nothing():
    people, fitted = crowd(60.0, 1.5)
    known = replace(fitted, covariance=np.diag([0.0, 1e-4, 1e-4, 0.0]))
    assert scaled_by_bodies(people, known, Config()) is known
    some, fitted = crowd(60.0, 1.5, n=5)
    assert scaled_by_bodies(some, fitted, Config()) is fitted
    assert scaled_by_bodies(People.empty(), fitted, Config()) is fitted
