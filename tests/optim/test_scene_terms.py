"""Derivatives and the arrow's factorisation against slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from shared.scene_crowds import Crowd, Sticks

from optim.refine.separation import overlaps
from optim.refine.solver import factorise
from optim.refine.terms import normal_equations, person_costs, state_at, total_cost
from optim.rotation import left_jacobian, rotation_matrix, skew

VECTORS = np.array([[0, 0, 0], [1e-6, 0, 2e-6], [0.3, -0.2, 0.1], [2.0, 1.0, -1.5]])


def _problem(monkeypatch, **options):
    """The problem that `refine_scene` builds of a crowd, and where it starts from, moved a little."""
    import optim.refine.scene as scene

    kept = {}

    def stop(problem, start):
        kept.update(problem=problem, start=start)
        raise StopIteration

    monkeypatch.setattr(scene, "minimise", stop)
    with pytest.raises(StopIteration):
        Crowd(**options).refine()
    monkeypatch.undo()
    problem, start = kept["problem"], kept["start"]
    rng = np.random.default_rng(0)
    theta = np.zeros_like(start.theta)
    free = problem.shared.free
    theta[free] = rng.normal(size=len(free)) * 0.005
    people = start.people + rng.normal(size=start.people.shape) * 0.03
    return problem, state_at(problem, theta, people)


def test_rotations_and_their_jacobian():
    np.testing.assert_allclose(
        rotation_matrix(VECTORS), Rotation.from_rotvec(VECTORS).as_matrix(), atol=1e-12
    )
    step = np.array([1e-6, -2e-6, 1.5e-6])
    change = rotation_matrix(VECTORS + step) @ rotation_matrix(VECTORS).transpose(0, 2, 1)
    expected = np.einsum("nij,j->ni", left_jacobian(VECTORS), step)
    np.testing.assert_allclose(change - np.eye(3), skew(expected), atol=1e-11)


def test_bodies_of_sticks_move_as_their_derivative_says():
    crowd = Crowd(n=5, seed=0)
    bodies = Sticks(crowd.lifted)
    pose = np.random.default_rng(1).normal(0, 0.3, (5, 18))
    _, jacobian = bodies(pose)
    for q in range(18):
        step = np.eye(18)[q] * 1e-6
        slope = (bodies(pose + step)[0] - bodies(pose - step)[0]) / 2e-6
        np.testing.assert_allclose(jacobian[..., q], slope, atol=1e-7)


def test_gradient_is_half_the_cost_s_slope(monkeypatch):
    problem, state = _problem(monkeypatch, n=8, seed=3, lift="poor")
    found = normal_equations(problem, state)

    def cost(theta, people):
        at = state_at(problem, theta, people)
        return total_cost(problem, at, person_costs(problem, at))

    h = 1e-6
    for k in problem.shared.free:
        step = np.eye(len(state.theta))[k] * h
        slope = (
            cost(state.theta + step, state.people) - cost(state.theta - step, state.people)
        ) / (2 * h)
        assert found.shared_gradient[k] == pytest.approx(slope / 2, rel=2e-4, abs=2e-3)
    for n in (0, 3, 7):
        for p in range(state.people.shape[1]):
            step = np.zeros_like(state.people)
            step[n, p] = h
            slope = (
                cost(state.theta, state.people + step) - cost(state.theta, state.people - step)
            ) / (2 * h)
            assert found.gradient[n, p] == pytest.approx(slope / 2, rel=2e-4, abs=2e-3), (n, p)


def test_the_factor_is_that_of_the_dense_matrix(monkeypatch):
    problem, state = _problem(monkeypatch, n=6, seed=4)
    e = normal_equations(problem, state)
    n, p = e.gradient.shape
    free = problem.shared.free
    size = n * p + len(free)
    dense, right = np.zeros((size, size)), np.zeros(size)
    for i in range(n):
        at = slice(i * p, (i + 1) * p)
        dense[at, at] = e.people[i] + 1e-9 * np.eye(p)
        dense[at, n * p :] = e.border[i][:, free]
        dense[n * p :, at] = e.border[i][:, free].T
        right[at] = e.gradient[i]
    dense[n * p :, n * p :] = e.shared[np.ix_(free, free)]
    right[n * p :] = e.shared_gradient[free]
    step = -np.linalg.solve(dense, right)
    inverse = np.linalg.inv(dense)
    factor = factorise(problem, e, np.zeros(n))
    np.testing.assert_allclose(factor.step[free], step[n * p :], rtol=1e-6, atol=1e-9)
    people = factor.alone + factor.follow @ factor.step
    np.testing.assert_allclose(people.ravel(), step[: n * p], rtol=1e-6, atol=1e-9)
    view = np.linalg.inv(factor.schur)
    np.testing.assert_allclose(view, inverse[n * p :, n * p :], rtol=1e-5, atol=1e-12)
    follow = factor.follow[:, :2][..., free]
    place = factor.place_covariance + follow @ view @ follow.transpose(0, 2, 1)
    for i in range(n):
        at = slice(i * p, i * p + 2)
        np.testing.assert_allclose(place[i], inverse[at, at], rtol=1e-5, atol=1e-12)


def test_overlaps_are_those_of_a_slow_search_and_push_apart_along_the_sight():
    rng = np.random.default_rng(5)
    places = rng.uniform([-2, 8], [2, 12], (60, 2))
    heights, radii = rng.uniform(0, 0.6, 60), rng.uniform(0.1, 0.2, 60)
    found = overlaps(places, heights, radii, np.zeros(2))
    assert len(found.pairs) > 5
    slow = []
    for i in range(60):
        for j in range(i + 1, 60):
            sight = (places[i] + places[j]) / 2
            sight = sight / np.linalg.norm(sight)
            apart = places[i] - places[j]
            depth, across = apart @ sight, apart @ [-sight[1], sight[0]]
            room = radii[i] + radii[j] - 0.03
            if abs(heights[i] - heights[j]) < 0.45 and room > abs(across):
                if np.sqrt(room**2 - across**2) > abs(depth):
                    slow.append([i, j])
    assert found.pairs.tolist() == slow
    i, j = found.pairs[0]
    moved = places.copy()
    moved[i] -= 0.002 * found.push[0] / np.linalg.norm(found.push[0])
    again = overlaps(moved, heights, radii, np.zeros(2))
    row = np.flatnonzero((again.pairs == [i, j]).all(axis=1))
    assert len(row) == 0 or again.missing[row[0]] < found.missing[0]
