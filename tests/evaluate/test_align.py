"""Alignments against a twin and against their neighbours; PA-MPJPE, PCK and AP_root^25 at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from crowd3d.evaluate.metrics.align import aligned, fit, similarity_between
from crowd3d.evaluate.metrics.joints import mpjpe_mm, pa_mpjpe_mm, pck
from crowd3d.evaluate.metrics.pairwise import mean_of_pairs, pair_table
from crowd3d.evaluate.metrics.roots import RootFrame, ap_root

Array = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)


def bodies(n: int, seed: int, joints: int = 14) -> Array:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(scale=0.5, size=(n, joints, 3)) + rng.normal(size=(n, 1, 3)) * 10)


def test_mpjpe_forgives_the_place_of_the_root_only() -> None:
    true = bodies(2, 0)
    assert np.allclose(mpjpe_mm(true + np.array([1, 2, 3]), true), 0)
    assert np.allclose(mpjpe_mm(true + np.array([0.3, 0, 0.4]), true, root=None), 500)
    R = Rotation.from_euler("y", 30, degrees=True).as_matrix()
    assert (mpjpe_mm(true @ R.T, true) > 10).all()


def test_root_may_be_the_middle_of_the_hips() -> None:
    true = bodies(1, 1, 4)
    pred = true.copy()
    pred[0, 0] += [0.1, 0, 0]
    pred[0, 1] -= [0.1, 0, 0]
    assert mpjpe_mm(pred, true, root=(0, 1))[0] == pytest.approx(200 / 4)


@given(seed=seeds, scale=st.floats(0.3, 3))
@settings(max_examples=30, deadline=None)
def test_pa_forgives_similarities_and_without_scale_rigid_motions(seed: int, scale: float) -> None:
    true = bodies(3, seed)
    R = Rotation.random(random_state=seed).as_matrix()
    moved = true @ R.T + np.array([1, -2, 5])
    assert np.allclose(pa_mpjpe_mm(scale * moved, true), 0, atol=1e-6)
    assert np.allclose(pa_mpjpe_mm(moved, true, with_scale=False), 0, atol=1e-6)
    if abs(scale - 1) > 0.1:
        assert (pa_mpjpe_mm(scale * moved, true, with_scale=False) > 1).all()


def test_pa_does_not_mirror() -> None:
    true = bodies(3, 2)
    assert (pa_mpjpe_mm(true * [-1, 1, 1], true) > 10).all()


def test_pa_needs_three_joints_and_leaves_out_the_unknown() -> None:
    true = bodies(3, 3, 5)
    true[0, 0] = np.nan
    true[1, :3] = np.nan
    pred = 2 * true + 1
    got = pa_mpjpe_mm(pred, true)
    assert got[0] == pytest.approx(0, abs=1e-6) and math.isnan(got[1]) and got[2] < 1e-6


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_pa_is_what_an_orthogonal_fit_of_scipy_gives(seed: int) -> None:
    true = bodies(2, seed)
    pred = true + np.random.default_rng([seed, 1]).normal(scale=0.1, size=true.shape)
    got = pa_mpjpe_mm(pred, true, with_scale=False)
    for p, t, error in zip(pred, true, got, strict=True):
        x, y = p - p.mean(0), t - t.mean(0)
        R, _ = Rotation.align_vectors(y, x)
        assert error == pytest.approx(1000 * np.linalg.norm(R.apply(x) - y, axis=1).mean())


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_no_similarity_near_the_best_one_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, targets = rng.normal(size=(2, 8, 3))
    scale, R, t = fit(points, targets)

    def cost(s: float, turn: Array, shift: Array) -> float:
        return float(((s * points @ turn.T + shift - targets) ** 2).sum())

    best = cost(float(scale), R, t)
    assert np.linalg.det(R) == pytest.approx(1)
    for _ in range(10):
        nudge = Rotation.from_rotvec(rng.normal(scale=0.05, size=3)).as_matrix() @ R
        assert best <= cost(float(scale), nudge, t) + 1e-9
        assert best <= cost(float(scale) * rng.uniform(0.9, 1.1), R, t) + 1e-9
        assert best <= cost(float(scale), R, t + rng.normal(scale=0.05, size=3)) + 1e-9


def test_what_is_perfect_stays_exactly_so() -> None:
    true = bodies(5, 4)
    assert (aligned(true, true) == true).all()
    assert (pa_mpjpe_mm(true, true) == 0).all() and (mpjpe_mm(true, true) == 0).all()


def test_no_similarity_of_one_point_or_of_people_in_one_place() -> None:
    assert similarity_between(np.zeros((1, 3)), np.zeros((1, 3))) is None
    assert similarity_between(np.ones((3, 3)), np.arange(9.0).reshape(3, 3)) is None


def test_pck_relative_and_absolute() -> None:
    true = np.zeros((1, 3, 3))
    pred = np.array([[[0, 0, 0.2], [0.1, 0, 0.2], [0.16, 0, 0.2]]])
    assert pck(pred, true, root=0).tolist() == [[1, 1, 0]]
    assert pck(pred, true, root=None).tolist() == [[0, 0, 0]]
    true[0, 1] = np.nan
    assert math.isnan(pck(pred, true, root=0)[0, 1])


def frame(pred: list[list[float]], score: list[float], gt: list[list[float]]) -> RootFrame:
    return RootFrame(*(np.array(a, float).reshape(-1, 3) for a in (pred,)), np.array(score, float),
                     np.array(gt, float).reshape(-1, 3))  # fmt: skip


def test_ap_root_by_hand() -> None:
    # Best first: right, a duplicate, too far, right: precision 1 and 1/2 where recall grows by a third each.
    one = frame(
        [[0, 0, 10], [0, 0, 10.1], [5, 0, 10.3], [9, 0, 10.2]],
        [0.9, 0.8, 0.7, 0.6],
        [[0, 0, 10], [5, 0, 10], [9, 0, 10]],
    )
    assert ap_root([one]) == pytest.approx((1 + 2 / 4) / 3)


def test_ap_root_sorts_over_all_pictures_and_skips_empty_truth() -> None:
    right = frame([[0, 0, 10]], [0.5], [[0, 0, 10]])
    wrong = frame([[0, 0, 11]], [0.9], [[0, 0, 10]])
    nobody = frame([[0, 0, 11]], [1.0], [])
    assert ap_root([right, wrong, nobody]) == pytest.approx(0.5 * 0.5)
    assert ap_root([right, right]) == 1
    assert ap_root([frame([], [], [[0, 0, 1]])]) == 0
    assert math.isnan(ap_root([nobody]))


def test_ap_root_edge_is_not_a_hit() -> None:
    true = [[0, 0, 8.0]]
    assert ap_root([frame([[0, 0, 8.25]], [1], true)]) == 0
    assert ap_root([frame([[0, 0, 8.2499]], [1], true)]) == 1


def test_ap_root_takes_the_nearest_even_if_it_is_taken() -> None:
    two = frame([[0, 0, 10], [0.05, 0, 10]], [0.9, 0.8], [[0, 0, 10], [0.2, 0, 10]])
    assert ap_root([two]) == pytest.approx(0.5)


@given(n=st.integers(3, 8), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_aligned_distances_are_those_of_the_moved_points(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gt = rng.normal(scale=8, size=(n, 3))
    pred = 1.7 * gt @ Rotation.random(random_state=seed).as_matrix() + rng.normal(size=(n, 3))
    x, y = pred - pred.mean(0), gt - gt.mean(0)
    R, _ = Rotation.align_vectors(y, x)
    turned = R.apply(x)
    moved = turned * (turned * y).sum() / (x * x).sum()
    expected = [
        max(0.0, 1 - abs(np.linalg.norm(moved[i] - moved[j]) / np.linalg.norm(gt[i] - gt[j]) - 1))
        for i in range(n)
        for j in range(i)
    ]
    table = pair_table(pred, gt, gt[:, 2], None)
    assert mean_of_pairs(table.aligned) == pytest.approx(np.mean(expected))
    assert table.scale == pytest.approx((turned * y).sum() / (x * x).sum())
