"""Rays, and what the camera's pitch and roll do to the vertical."""

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


def test_published_plane():
    """A LargeCrowd calibration: pixel (9600, 6000) of a 19200 x 6480 picture."""
    normal, focal, center = np.array([-0.02459, -0.98542, -0.16834]), 29199.9, (9600.0, 3259.0)
    ray = rays([9600.0, 6000.0], focal, center)
    point = -16.03 / (ray @ normal) * ray
    assert point[2] == pytest.approx(61.47, abs=0.1) and point[1] == pytest.approx(5.77, abs=0.02)
    vanishing = focal * normal[:2] / normal[2] + center
    np.testing.assert_allclose(vanishing, (13866, 174190), rtol=1e-3)


def test_zero_vectors_have_no_direction():
    assert np.isnan(geometry.unit([[0.0, 0, 0]])).all()
