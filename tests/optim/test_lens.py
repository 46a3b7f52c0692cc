"""Lens models: OpenCV's own functions are the naive twin, and looking back along a ray is the inverse."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim import lens as lenses
from optim.projection import project, rays

SIZE, FOCAL_PX, CENTER_PX, ASPECT = (4000, 3000), 3000.0, (2040.0, 1475.0), 1.01
BROWN = {
    2: (-0.15, 0.02),
    4: (0.1, 0.01, 0.001, -0.002),
    5: (-0.28, 0.08, 0.001, -0.0007, -0.01),
    8: (-0.28, 0.08, 0.001, -0.0007, -0.01, 0.1, 0.02, 0.001),
    12: (-0.28, 0.08, 0.001, -0.0007, -0.01, 0.1, 0.02, 0.001, 0.002, -0.001, 0.001, 0.0003),
}


def _grid(step=37):
    u, v = np.meshgrid(np.arange(0, SIZE[0], step) + 0.5, np.arange(0, SIZE[1], step) + 0.5)
    return np.stack([u, v], axis=-1)


@pytest.mark.parametrize("count", BROWN)
def test_it_is_opencvs_model(count):
    rng = np.random.default_rng(count)
    points = np.c_[rng.uniform(-0.65, 0.65, (500, 2)), np.ones(500)] * rng.uniform(1, 50, (500, 1))
    K = np.array([[FOCAL_PX, 0, CENTER_PX[0]], [0, FOCAL_PX * ASPECT, CENTER_PX[1]], [0, 0, 1]])
    coefficients = np.array(BROWN[count] + (0.0, 0.0) * (count == 2))
    theirs = cv2.projectPoints(points[:, None], np.zeros(3), np.zeros(3), K, coefficients)[0]
    ours = project(points, FOCAL_PX, CENTER_PX, BROWN[count], pixel_aspect=ASPECT)
    np.testing.assert_allclose(ours, theirs[:, 0], atol=1e-9)


@pytest.mark.parametrize("count", BROWN)
def test_rays_are_inverse_all_over_the_picture(count):
    pixels = _grid()
    seen = rays(pixels, FOCAL_PX, CENTER_PX, BROWN[count], pixel_aspect=ASPECT)
    back = project(seen, FOCAL_PX, CENTER_PX, BROWN[count], pixel_aspect=ASPECT)
    assert np.abs(back - pixels).max() < 1e-6
    np.testing.assert_allclose(np.linalg.norm(seen, axis=-1), 1.0)


@given(
    st.lists(st.floats(-0.6, 0.6), min_size=2, max_size=2),
    st.lists(st.floats(-0.01, 0.01), min_size=2, max_size=2),
    st.floats(-0.2, 0.2),
    st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=3),
)
def test_no_lens_gives_anything_but_one_finite_ray(radial, tangential, third, below):
    coefficients = (*radial, *tangential, third, *below)
    seen = rays(_grid(300), FOCAL_PX, CENTER_PX, coefficients)
    assert np.isfinite(seen).all() and (seen[..., 2] > 0).all()


@given(st.floats(-0.6, 0.6), st.floats(-0.3, 0.3), st.floats(-0.1, 0.1))
def test_a_radial_lens_is_invertible_even_where_its_model_folds_back(k1, k2, k3):
    coefficients = (k1, k2, 0.0, 0.0, k3)
    pixels = _grid(300)
    back = project(
        rays(pixels, FOCAL_PX, CENTER_PX, coefficients), FOCAL_PX, CENTER_PX, coefficients
    )
    assert np.abs(back - pixels).max() < 1e-6


def test_where_the_model_ends_is_known():
    assert lenses.reach((0.1, 0.0)) == math.inf
    end = math.sqrt(0.9 / 0.9)  # 1 - 0.9 r^2 = 0.1, the least slope
    assert lenses.reach((-0.3, 0.0)) == pytest.approx(end * (1 - 0.3 * end**2))
    assert math.isfinite(lenses.reach((0.0, 0.0, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0)))  # a pole


@pytest.mark.parametrize("count", BROWN)
def test_coefficients_for_another_focal_length_bend_the_same_pixels(count):
    pixels = _grid(300)
    other = lenses.for_focal(BROWN[count], 1.1)
    near = rays(pixels, FOCAL_PX, CENTER_PX, BROWN[count])
    far = rays(pixels, 1.1 * FOCAL_PX, CENTER_PX, other)
    straight = [ray[..., :2] / ray[..., 2:] * focal for ray, focal in ((near, 1.0), (far, 1.1))]
    np.testing.assert_allclose(straight[0], straight[1], atol=1e-9)
