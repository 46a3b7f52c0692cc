"""Rays, planes and the upright frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim import geometry
from optim.projection import project, rays

angle = st.floats(-1.4, 1.4)
seeds = st.integers(0, 2**31)


@given(pitch=angle, roll=st.floats(-3.1, 3.1))
def test_pitch_and_roll_round_trip(pitch, roll):
    normal = geometry.normal_from_pitch_roll(pitch, roll)
    assert np.linalg.norm(normal) == pytest.approx(1)
    np.testing.assert_allclose(
        geometry.pitch_roll_from_normal(3 * normal), (pitch, roll), atol=1e-9
    )


def test_the_signs_of_pitch_and_roll():
    down = geometry.normal_from_pitch_roll(0.3, 0.0)
    assert down[1] < 0 and down[2] < 0  # up comes towards a camera that looks down
    assert geometry.normal_from_pitch_roll(0.0, 0.1)[0] > 0  # up leans to the right


@given(pitch=angle, roll=angle)
def test_the_tangents_are_derivatives_by_pitch_and_roll(pitch, roll):
    normal = geometry.normal_from_pitch_roll(pitch, roll)
    basis = geometry.tangent_basis(normal)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(basis @ normal, 0, atol=1e-12)
    h = 1e-6
    by_pitch = geometry.normal_from_pitch_roll(pitch + h, roll) - normal
    by_roll = geometry.normal_from_pitch_roll(pitch, roll + h) - normal
    np.testing.assert_allclose(by_pitch / h, basis[0], atol=1e-5)
    np.testing.assert_allclose(by_roll / h, basis[1] * math.cos(pitch), atol=1e-5)


@given(seed=seeds)
def test_projection_and_rays_are_inverse(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform([-5, -5, 5], [5, 5, 20], (20, 3))
    focal, center = rng.uniform(500, 5000), rng.uniform(0, 2000, 2)
    directions = rays(project(points, focal, center), focal, center)
    np.testing.assert_allclose(directions, geometry.unit(points), atol=1e-10)


@given(seed=seeds, offset=st.floats(0.1, 1e6))
def test_intersections_lie_on_the_plane_and_on_the_ray(seed, offset):
    rng = np.random.default_rng(seed)
    normal = geometry.unit(rng.normal(size=3))
    directions = geometry.unit(rng.normal(size=(50, 3)))
    points = geometry.intersect_plane(directions, normal, offset)
    falling = directions @ normal < -1e-9
    rising = directions @ normal > 1e-9
    assert np.isfinite(points[falling]).all() and np.isnan(points[rising]).all()
    heights = geometry.height_above(points[falling], normal, offset)
    scale = np.linalg.norm(points[falling], axis=1)
    np.testing.assert_allclose(heights / scale, 0, atol=1e-9)
    np.testing.assert_allclose(geometry.unit(points[falling]), directions[falling], atol=1e-9)


def test_rays_along_the_horizon_meet_nothing():
    assert np.isnan(geometry.intersect_plane([1.0, 0, 0], [0, -1.0, 0], 2.0)).all()


def test_published_plane():
    """A LargeCrowd calibration: pixel (9600, 6000) of a 19200 x 6480 picture."""
    normal, focal, center = np.array([-0.02459, -0.98542, -0.16834]), 29199.9, (9600.0, 3259.0)
    point = geometry.intersect_plane(rays([9600.0, 6000.0], focal, center), normal, 16.03)
    assert point[2] == pytest.approx(61.47, abs=0.1) and point[1] == pytest.approx(5.77, abs=0.02)
    vanishing = focal * normal[:2] / normal[2] + center
    np.testing.assert_allclose(vanishing, (13866, 174190), rtol=1e-3)


@given(seed=seeds)
def test_the_upright_camera_looks_along_the_ray_without_roll(seed):
    rng = np.random.default_rng(seed)
    normal = geometry.unit(rng.normal(size=3))
    directions = geometry.unit(rng.normal(size=(20, 3)))
    R = geometry.upright_rotation(directions, normal)
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (20, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-9)
    np.testing.assert_allclose((R @ directions[..., None])[..., 0], [[0, 0, 1]] * 20, atol=1e-9)
    up = R @ normal
    np.testing.assert_allclose(up[:, 0], 0, atol=1e-9)  # no roll
    assert (up[:, 1] <= 1e-9).all()  # y still points down


def test_the_upright_camera_of_a_level_camera_is_the_camera():
    np.testing.assert_allclose(geometry.upright_rotation([0, 0, 2.0], [0, -1.0, 0]), np.eye(3))


@pytest.mark.parametrize("ray", [[0, 1.0, 0], [0, -1.0, 0]])
def test_looking_along_gravity_is_still_a_rotation(ray):
    R = geometry.upright_rotation(ray, [0, -1.0, 0])
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(R @ ray, [0, 0, 1], atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)


def test_zero_vectors_have_no_direction():
    assert np.isnan(geometry.unit([[0.0, 0, 0]])).all()
