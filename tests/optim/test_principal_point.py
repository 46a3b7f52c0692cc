"""The principal point of a crop is found where people show it, and left alone where they do not."""

from types import SimpleNamespace

import numpy as np
import pytest

from optim import fit_ground_camera, fit_with_free_center
from optim.ground.principal_point import _posterior
from optim.projection import project

SIZE, FOCAL_PX = (1600, 1200), 2000.0
HEIGHTS = np.array([.905, .92, .92, .91, .91, .794, .794, .63, .63, .48, .48, .505, .505, .285, .285, .053, .053])  # fmt: skip  # noqa: E501


def _crowd(n: int, center_u: float, seed: int, noise: float = 0.01) -> np.ndarray:
    """Upright people before a camera that looks down by 20 degrees."""
    rng = np.random.default_rng(seed)
    pitch = np.radians(20)
    up = np.array([0.0, -np.cos(pitch), -np.sin(pitch)])
    ahead = np.array([0.0, -np.sin(pitch), np.cos(pitch)])
    right = np.array([1.0, 0.0, 0.0])
    foot = (
        rng.uniform(-6, 6, n)[:, None] * right + rng.uniform(14, 30, n)[:, None] * ahead - 7.0 * up
    )
    stature = rng.normal(1.70, 0.08, n)
    points = foot[:, None] + (stature[:, None] * HEIGHTS)[..., None] * up
    pixels = project(points, FOCAL_PX, (center_u, SIZE[1] / 2))
    height_px = np.ptp(pixels[..., 1], axis=1)
    pixels = pixels + rng.normal(size=pixels.shape) * noise * height_px[:, None, None]
    return np.concatenate([pixels, np.full((n, 17, 1), 0.8)], axis=2)


@pytest.mark.parametrize("shift_px", [-120.0, 0.0, 120.0])
def test_a_shift_across_the_picture_is_found(shift_px):
    people = _crowd(300, SIZE[0] / 2 + shift_px, seed=1)
    fit = fit_with_free_center(people, SIZE, center_sd_px=0.05 * SIZE[0], focal_px=FOCAL_PX)
    assert fit.center_px[0] - SIZE[0] / 2 == pytest.approx(shift_px, abs=60)
    assert fit.center_px[1] == SIZE[1] / 2
    assert fit.focal_px == FOCAL_PX
    assert "estimated across" in fit.report["principal_point"]


def test_few_people_leave_it_near_the_centre():
    people = _crowd(5, SIZE[0] / 2, seed=2, noise=0.03)
    fit = fit_with_free_center(people, SIZE, center_sd_px=80.0, focal_px=FOCAL_PX)
    assert abs(fit.center_px[0] - SIZE[0] / 2) < 80.0


def test_it_is_better_than_assuming_the_centre_of_a_crop():
    up = np.array([0.0, -np.cos(np.radians(20)), -np.sin(np.radians(20))])
    errors = []
    for seed in range(5):
        people = _crowd(200, SIZE[0] / 2 + 150, seed)
        free = fit_with_free_center(people, SIZE, center_sd_px=80.0, focal_px=FOCAL_PX)
        fixed = fit_ground_camera(people, SIZE, focal_px=FOCAL_PX)
        errors.append([1 - free.normal @ up, 1 - fixed.normal @ up])
    free_error, fixed_error = np.mean(errors, axis=0)
    assert free_error < fixed_error


def test_what_is_not_known_of_the_principal_point_widens_the_covariance():
    people = _crowd(30, SIZE[0] / 2, seed=4)
    free = fit_with_free_center(people, SIZE, center_sd_px=80.0, focal_px=FOCAL_PX)
    given = fit_ground_camera(people, SIZE, center_px=free.center_px, focal_px=FOCAL_PX)
    added = free.covariance - given.covariance
    assert added[2, 2] > 0 and added[0, 0] == pytest.approx(0.0)
    shifted = (free.center_px[0] + 80.0, free.center_px[1])
    moved = fit_ground_camera(people, SIZE, center_px=shifted, focal_px=FOCAL_PX)
    roll = np.arctan2(moved.normal[0], -moved.normal[1]) - np.arctan2(
        given.normal[0], -given.normal[1]
    )
    assert np.sqrt(added[2, 2]) < 1.3 * abs(roll)


def _posts(n: int, seed: int) -> np.ndarray:
    """(n, 4) ends of vertical posts before the camera of `_crowd`, its principal point at the centre."""
    rng = np.random.default_rng(seed)
    pitch = np.radians(20)
    up = np.array([0.0, -np.cos(pitch), -np.sin(pitch)])
    ahead = np.array([0.0, -np.sin(pitch), np.cos(pitch)])
    foot = rng.uniform(-8, 8, n)[:, None] * [1.0, 0, 0] + rng.uniform(12, 30, n)[:, None] * ahead
    ends = np.stack([foot - 7.0 * up, foot - 4.0 * up], axis=1)
    pixels = project(ends, FOCAL_PX, (SIZE[0] / 2, SIZE[1] / 2)) + rng.normal(0, 0.3, (n, 2, 2))
    return pixels.reshape(n, 4)


def test_centres_that_make_lines_contradict_the_people_gain_nothing_by_it():
    """Costs with lines and without compare: else the fit runs to where the lines are refused."""
    people, posts = _crowd(150, SIZE[0] / 2, seed=6), _posts(60, seed=6)
    alone = fit_with_free_center(people, SIZE, center_sd_px=160.0)
    fit = fit_with_free_center(people, SIZE, center_sd_px=160.0, lines_px=posts)
    assert fit.report["lines"].startswith("used")
    assert abs(fit.center_px[0] - SIZE[0] / 2) < 60
    assert np.log(fit.focal_px / FOCAL_PX) == pytest.approx(0.0, abs=0.03)
    assert fit.covariance[0, 0] < alone.covariance[0, 0]


def test_some_of_many_people_place_it_and_all_say_the_rest(monkeypatch):
    people = _crowd(400, SIZE[0] / 2 + 120.0, seed=6)
    known = {"center_sd_px": 80.0, "focal_px": FOCAL_PX}
    whole = fit_with_free_center(people, SIZE, **known)
    monkeypatch.setattr("optim.ground.principal_point._ENOUGH_PEOPLE", 250)
    depths = np.full(400, np.nan), np.ones(400)
    fits = [
        fit_with_free_center(rows, SIZE, depth_prior=depths, **known)
        for rows in (people, people[::-1])
    ]
    assert fits[0].center_px == pytest.approx(fits[1].center_px, abs=1e-6)
    assert fits[0].center_px[0] == pytest.approx(
        whole.center_px[0], abs=40
    )  # as far as their spread allows
    assert fits[0].report["people"] == 400 and len(fits[0].inlier) == 400


@pytest.mark.parametrize("information", [0.0, 0.3, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("unknowns", [1, 2])
def test_a_normal_posterior_is_found_with_its_spread(information, unknowns):
    """People who say nothing leave the prior, of variance 1, as it was."""
    best, follows = np.array([0.4, -0.3])[:unknowns], np.array([0.1, 0.0, 0.02, -0.05])

    def fit_at(node):
        cost = 0.5 * information * float(np.sum((node - best) ** 2))
        return SimpleNamespace(total_cost=cost, unknowns=follows * node[0])

    mean, covariance, slopes = _posterior(fit_at, unknowns)
    variance = 1 / (1 + information)
    np.testing.assert_allclose(mean, information * variance * best, atol=0.15 * variance**0.5)
    np.testing.assert_allclose(np.diag(covariance), variance, rtol=0.12)
    np.testing.assert_allclose(slopes[:, 0], follows, atol=1e-9)
