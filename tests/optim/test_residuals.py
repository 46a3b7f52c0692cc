"""The formulas under the ground fit, each against a slow twin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.ground import SIZE, World
from hypothesis import given, settings
from hypothesis import strategies as st

from optim import anthropometry
from optim.ground.covariance import view_covariance
from optim.ground.inputs import camera_prior, checked, density_weights, measure_keypoints
from optim.ground.population import components, default_population, densities
from optim.ground.residuals import View, end_noise, log_offsets, predict, sway
from optim.ground.solver import Problem, minimise, objective, score_and_hessian
from optim.ground.sticks import Sticks, levels_from_keypoints, sticks_from_levels
from optim.projection import project

CENTER = np.array([2000.0, 1500.0])


def _sticks(n: int = 6, seed: int = 0) -> Sticks:
    rng = np.random.default_rng(seed)
    bottom = rng.uniform([200, 1700], [3800, 2900], (n, 2))
    length = rng.uniform(100, 300, n)
    top = bottom + np.stack([rng.normal(0, 5, n), -length], axis=1)
    one = np.ones(n)
    return Sticks(
        np.arange(n),
        bottom,
        top,
        9 * one,
        4 * one,
        -one,
        length,
        0 * one,
        0.053 * one,
        0.794 * one,
        np.zeros(n, bool),
    )


def _problem(world: World, people: np.ndarray) -> Problem:
    given_values = checked(world.size, None, None, None, (0, 0), (1.7, 0.095, 0.02))
    _, _, sticks = measure_keypoints(people, given_values)
    prior = camera_prior(given_values, sticks)
    return Problem(sticks, density_weights(sticks), given_values.center_px, 1.70, prior)


def _slow_top(view: View, i: int, log_stature: float, lean, sticks: Sticks, bottom_px=None):
    """The top of stick i, step by step."""
    bottom_px = sticks.bottom_px[i] if bottom_px is None else bottom_px
    focal, offset = math.exp(view.log_focal), math.exp(view.log_offset)
    ray = np.array([*(bottom_px - CENTER) / focal, 1.0])
    foot = ray * (offset - sticks.bottom_height[i] * 1.70) / -(ray @ view.normal)
    length = (sticks.top_height - sticks.bottom_height)[i] * 1.70 * math.exp(log_stature)
    return project(foot + length * (view.normal + lean), focal, CENTER)


@settings(max_examples=20)
@given(st.floats(-0.1, 0.8), st.floats(-0.2, 0.2), st.floats(1.0, 3.5), st.integers(0, 99))
def test_predictions_and_jacobians_are_those_of_the_slow_twin(pitch, roll, log_offset, seed):
    view = View.of(2800.0, pitch, roll, math.exp(log_offset))
    sticks = _sticks(seed=seed)
    p = predict(view, sticks, CENTER, 1.70)
    for i in np.flatnonzero(p.is_valid):
        at = sticks.bottom_px[i]
        none = np.zeros(3)
        top = _slow_top(view, i, 0.0, none, sticks)
        np.testing.assert_allclose(sticks.top_px[i] - p.residual[i], top, rtol=1e-9)
        if np.abs(top).max() > 1e5:
            continue
        h = 1e-6
        for k in range(4):
            step = np.eye(4)[k] * h
            ahead = _slow_top(view.moved(step), i, 0.0, none, sticks)
            behind = _slow_top(view.moved(-step), i, 0.0, none, sticks)
            np.testing.assert_allclose(
                p.jacobian[i, :, k], (ahead - behind) / (2 * h), rtol=2e-4, atol=2e-2
            )
        by_size = (_slow_top(view, i, h, none, sticks) - top) / h
        np.testing.assert_allclose(p.along[i], by_size, rtol=1e-3, atol=1e-2)
        for k in range(2):
            moved = _slow_top(view, i, 0.0, none, sticks, at + np.eye(2)[k] * 1e-4)
            np.testing.assert_allclose(
                p.by_bottom[i, :, k], (moved - top) / 1e-4, rtol=1e-3, atol=1e-3
            )


def test_sway_and_noise_are_covariances_by_simulation():
    view, sticks = View.of(2800.0, 0.4, 0.1, 8.0), _sticks(3)
    p = predict(view, sticks, CENTER, 1.70)
    rng = np.random.default_rng(0)
    axes = np.linalg.svd(view.normal[None])[2][1:]
    for i in range(3):
        tops = [_slow_top(view, i, 0.0, rng.normal(0, 0.01, 2) @ axes, sticks) for _ in range(4000)]
        seen = np.cov(np.array(tops).T) / 1e-4
        np.testing.assert_allclose(sway(p, sticks, 1.70)[i], seen, rtol=0.1, atol=0.03 * seen.max())
    np.testing.assert_allclose(
        end_noise(p, sticks)[0],
        9 * p.by_bottom[0] @ p.by_bottom[0].T + (p.by_bottom[0] + p.by_bottom[0].T) + 4 * np.eye(2),
    )


@settings(max_examples=15)
@given(st.floats(0.0, 0.7), st.floats(-0.2, 0.2), st.integers(0, 99))
def test_a_perfect_stick_tells_the_camera_s_height(pitch, roll, seed):
    view, sticks = View.of(2800.0, pitch, roll, 7.0), _sticks(seed=seed)
    p = predict(view, sticks, CENTER, 1.70)
    exact = Sticks(**{**sticks.__dict__, "top_px": sticks.top_px - p.residual})
    log_height, lean = log_offsets(view.normal[None], np.array([2800.0]), exact, CENTER, 1.70)
    np.testing.assert_allclose(log_height[0][p.is_valid], math.log(7.0), atol=1e-9)
    np.testing.assert_allclose(lean[0][p.is_valid], 0, atol=1e-9)


def test_people_above_the_horizon_and_behind_the_camera_are_invalid_not_infinite():
    sticks = _sticks()
    sticks.bottom_px[0, 1] = 100.0
    p = predict(View.of(2800.0, 0.0, 0.0, 5.0), sticks, CENTER, 1.70)
    assert not p.is_valid[0] and p.is_valid[1:].all()
    parts = components(p, sticks, default_population(), 1.70)
    log_density, membership, _ = densities(p, parts)
    assert np.isfinite(log_density).all() and np.isfinite(parts.information).all()
    assert membership[:, 0].sum() == 0


def _slow_unevenness(view: View, sticks: Sticks, i: int) -> np.ndarray:
    """The top moves with the ground's height as with the camera's height, in the other direction.

    How uneven the ground is grows with the distance of the ankles.
    """
    focal, offset = math.exp(view.log_focal), math.exp(view.log_offset)
    ray = np.array([*(sticks.bottom_px[i] - CENTER) / focal, 1.0])
    angle = math.asin(-(ray @ view.normal) / np.linalg.norm(ray))
    height = offset - sticks.bottom_height[i] * 1.70
    sd_m = anthropometry.GROUND_GRADE_SD * height / math.tan(angle)
    tops = [
        _slow_top(View(view.log_focal, view.normal, math.log(offset + d)), i, 0.0,
                  np.zeros(3), sticks)
        for d in (-1e-6, 1e-6)
    ]  # fmt: skip
    by_height = (tops[1] - tops[0]) / 2e-6
    return np.outer(by_height, by_height) * sd_m**2


def test_the_mixture_is_that_of_the_slow_twin():
    view, sticks, population = View.of(2800.0, 0.3, 0.0, 7.0), _sticks(5), default_population()
    p = predict(view, sticks, CENTER, 1.70)
    log_density, membership, _ = densities(p, components(p, sticks, population, 1.70))
    for i in range(5):
        terms = []
        for k in range(3):
            g = p.along[i]
            mean = g * (math.exp(population.log_stature[k]) - 1)
            spread = math.exp(population.log_stature[k]) * population.log_stature_sd[k]
            cov = spread**2 * np.outer(g, g) + end_noise(p, sticks)[i]
            cov = cov + population.lean_sd_rad[k] ** 2 * sway(p, sticks, 1.70)[i]
            cov = cov + _slow_unevenness(view, sticks, i)
            e = p.residual[i] - mean
            norm = sticks.length_px[i] ** 2 / (2 * math.pi * math.sqrt(np.linalg.det(cov)))
            terms.append(population.share[k] * norm * math.exp(-0.5 * e @ np.linalg.solve(cov, e)))
        terms.append(population.share[3] / (9 * math.pi))
        assert log_density[i] == pytest.approx(math.log(sum(terms)), rel=1e-7)
        np.testing.assert_allclose(
            membership[:, i], np.array(terms[:3]) / sum(terms), rtol=1e-6, atol=1e-12
        )


def test_scores_are_the_gradient_of_the_log_density():
    world = World()
    problem = _problem(world, world.crowd(20, 0, outliers=0.3))
    view = View.of(3300.0, 0.25, 0.02, 7.2)
    parts = problem.components(problem.predict(view), default_population())
    scores, hessian = score_and_hessian(problem, view, problem.predict(view), parts)
    for k in range(4):
        step = np.eye(4)[k] * 1e-6
        ahead, behind = (
            densities(problem.predict(v), parts)[0] for v in (view.moved(step), view.moved(-step))
        )
        np.testing.assert_allclose(scores[:, k], (ahead - behind) / 2e-6, rtol=1e-3, atol=1e-2)
    assert (np.linalg.eigvalsh(hessian) > 0).all()


def test_steps_never_raise_the_cost_and_end_at_a_minimum():
    world = World()
    problem, population = _problem(world, world.crowd(60, 1, outliers=0.2)), default_population()
    start = View.of(2500.0, 0.1, 0.1, 12.0)
    end = minimise(problem, start, population, renewals=6)
    assert objective(problem, end, population) < objective(problem, start, population)
    again = minimise(problem, end, population)
    np.testing.assert_allclose(again.minus(end), 0, atol=1e-4)
    assert (np.linalg.eigvalsh(view_covariance(problem, end, population)) > 0).all()


def test_view_steps_round_trip():
    view, step = View.of(3000.0, 0.3, -0.1, 5.0), np.array([1e-4, 2e-4, -3e-4, 1e-4])
    np.testing.assert_allclose(view.moved(step).minus(view), step, atol=1e-7)
    assert np.linalg.norm(view.moved(1e3 * step).normal) == pytest.approx(1)


# --- sticks
# ----------------------------------------------------------------------------------------


def test_sticks_of_exact_bodies_end_at_ankles_and_shoulders():
    world = World(pitch=35, height=4.0)
    people = world.crowd(10, 2, lean_deg=0, spread=0, noise=0, far=3.0)
    levels = levels_from_keypoints(people)
    view = View.of(world.focal_px, world.pitch, world.roll, world.height)
    affine = sticks_from_levels(levels, np.arange(10))
    growth = predict(view, affine, world.center_px, 1.70).depth_growth
    exact = sticks_from_levels(levels, np.arange(10), growth)
    error = [np.abs(s.bottom_px - people[:, 15:, :2].mean(1)).max() for s in (affine, exact)]
    assert error[1] < 0.35 * error[0]  # perspective bends the scale of heights
    np.testing.assert_allclose(
        exact.length_px, np.linalg.norm(exact.top_px - exact.bottom_px, axis=1)
    )


def test_unseen_joints_do_not_count_and_one_sided_ones_count_less():
    people = World().crowd(1, 3)
    levels = levels_from_keypoints(people)
    people[0, 16] = [np.nan, np.nan, 0.9]
    one_ankle = levels_from_keypoints(people)
    assert one_ankle.sd_px[0, 4] > 1.5 * levels.sd_px[0, 4]
    np.testing.assert_allclose(one_ankle.points_px[0, 4], people[0, 15, :2])
    people[0, 15, 2] = 0.0
    assert np.isinf(levels_from_keypoints(people).sd_px[0, 4])
    assert np.isfinite(
        sticks_from_levels(levels_from_keypoints(people), np.arange(1)).bottom_px
    ).all()


def test_effective_lengths_are_what_detectors_see():
    length = (anthropometry.SHOULDER_FRACTION - anthropometry.ANKLE_FRACTION) * 1.70
    assert 1.24 < length < 1.27
    assert anthropometry.ANKLE_FRACTION * 1.70 == pytest.approx(0.14, abs=0.002)


def test_crowded_people_share_their_weight():
    world = World()
    people = world.crowd(50, 4)
    crowd = np.repeat(people[:1], 200, axis=0)
    crowd[..., :2] += np.random.default_rng(0).normal(0, 5, (200, 1, 2))
    problem = _problem(world, np.concatenate([people, crowd]))
    alone = _problem(world, people)
    assert (alone.weight > 0.7).mean() > 0.9
    assert problem.weight.sum() < 0.5 * 250
    assert problem.weight.sum() < 0.9 * 250 or problem.weight.min() < 1
    assert SIZE == world.size
