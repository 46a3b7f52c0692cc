"""The ground at pixels and at points: levels, and surfaces against a walk along the ray."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.grounds import KINDS, surface_of

from crowd3d.scene.camera import Camera
from crowd3d.scene.ground import Ground
from crowd3d.scene.plane import Level, Plane
from crowd3d.scene.standing import foot_below_px, person_height_px, standing_height_px
from optim.geometry import normal_from_pitch_roll

CAMERA = Camera.from_fov(3000, 2000, 60)
UP = normal_from_pitch_roll(0.25, 0.05)
BELOW = Plane(UP, 6.0)
PX = np.stack(np.meshgrid([300.0, 1500.0, 2600.0], [1100.0, 1500.0, 1900.0]), axis=-1).reshape(
    -1, 2
)


def _ground(kind: str) -> Ground:
    return Ground([BELOW], surface_of(kind, BELOW))


def _walked_m(ground: Ground, ray: np.ndarray, above_m: float) -> np.ndarray:
    """The first point of a ray that is not over the ground by more than `above_m`, in steps of a centimetre."""
    points = np.arange(0.5, 200.0, 0.01)[:, None] * ray
    where = points @ ground.surface.axes.T
    over = points @ UP + BELOW.offset_m - ground.surface.heights_m(where) - above_m
    below = np.flatnonzero(over <= 0)
    return points[below[0]] if len(below) else np.full(3, np.nan)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("above_m", [0.0, 1.2])
def test_the_ground_under_a_pixel_is_where_a_walk_along_its_ray_ends(kind, above_m):
    ground, rays = _ground(kind), CAMERA.rays(PX)
    level = ground.under(CAMERA, PX, above_m)
    found = level.raised(above_m).intersect_m(rays)
    slow = np.array([_walked_m(ground, ray, above_m) for ray in rays])
    near = np.isfinite(slow).all(axis=1)
    assert near.sum() >= 6
    np.testing.assert_allclose(found[near], slow[near], atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_feet_lie_on_the_surface_straight_below(kind):
    ground = _ground(kind)
    points = ground.points_m(CAMERA, PX)
    known = np.isfinite(points).all(axis=1)
    points, plane = points[known], np.zeros(known.sum(), np.int64)
    feet = ground.feet_m(points + 1.3 * UP, plane)
    np.testing.assert_allclose(feet, points, atol=1e-6)
    np.testing.assert_allclose(ground.heights_m(points, plane), points @ UP + 6.0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_tangents_touch_the_surface_and_lean_as_it_does(kind):
    ground = _ground(kind)
    points = ground.points_m(CAMERA, PX)
    points = points[np.isfinite(points).all(axis=1)]
    plane = np.zeros(len(points), np.int64)
    near = ground.tangents(points, plane)
    over = np.sum(near.normals * points, axis=1) + near.offsets_m
    np.testing.assert_allclose(over, 0, atol=1e-6)
    for axis in ground.surface.axes * 1e-4:
        moved = ground.feet_m(points + axis, plane)
        over = np.sum(near.normals * moved, axis=1) + near.offsets_m
        np.testing.assert_allclose(over, 0, atol=1e-6)
    assert near.by_number.shape == (len(points), len(ground.surface.relief.numbers))


def test_a_level_is_the_same_with_and_without_a_surface():
    flat = Ground([BELOW])
    points = flat.points_m(CAMERA, PX)
    np.testing.assert_allclose(points, BELOW.intersect_m(CAMERA.rays(PX)))
    near = flat.tangents(points, np.zeros(len(PX), np.int64))
    np.testing.assert_allclose(near.normals, UP)
    np.testing.assert_allclose(near.offsets_m, 6.0)
    assert flat.kind == "level" and Ground([BELOW, Plane(UP, 4.0)]).kind == "levels"


@pytest.mark.parametrize("kind", KINDS)
def test_twice_as_high_a_camera_sees_twice_as_large_a_ground(kind):
    ground = _ground(kind)
    once, twice = ground.points_m(CAMERA, PX), ground.scaled(2.0).points_m(CAMERA, PX)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)


def test_people_uphill_appear_larger():
    slope = _ground("slope")  # which rises ahead
    on_slope = standing_height_px(CAMERA, slope, PX, 1.7)
    on_level = standing_height_px(CAMERA, Ground([BELOW]), PX, 1.7)
    assert (on_slope > on_level).all()


def test_ground_above_the_camera_is_seen_looking_up():
    stand = Level(np.array([0.0, -1.0, 0.0]), np.array([-3.0]))
    up, down = CAMERA.rays([[1500.0, 600.0], [1500.0, 1400.0]])
    assert stand.intersect_m(up[None])[0, 1] == pytest.approx(-3.0)
    assert np.isnan(stand.intersect_m(down[None])).all()
    head_px = np.array([[1500.0, 300.0]])
    foot_px = foot_below_px(CAMERA, stand, head_px, 1.7)
    assert foot_px[0, 1] > 300.0
    assert person_height_px(CAMERA, stand, foot_px, 1.7)[0] == pytest.approx(foot_px[0, 1] - 300.0)
