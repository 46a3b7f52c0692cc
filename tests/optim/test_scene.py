"""Refined scenes against their truth: places, calibration, people within one another."""

from __future__ import annotations

import numpy as np
import pytest
from scene_refine import IN_90, camera_table, deepest_m, distances, expected_worse, measure
from shared.scene_crowds import KNOWN, STATURE_M, STREET, Crowd, Sticks, foot_points

import optim
from optim.geometry import pitch_roll_from_normal
from optim.refine.scene import refine_scene
from optim.refine.separation import penetration_m


def _known(crowd: Crowd) -> dict:
    """All arguments of `refine_scene` but the camera's covariance."""
    torso, scale, _, height = crowd.place()
    return {
        "bodies": Sticks(crowd.lifted),
        "torso_m": torso,
        "scale": scale,
        "torso_height_m": height,
        **crowd.known(),
        "normals": optim.geometry.normal_from_pitch_roll(crowd.camera[1], crowd.camera[2])[None],
        "offsets_m": np.exp(crowd.camera[3:]),
        "stature_m": np.full(crowd.n, STATURE_M),
        "pose_information": crowd.pose_information,
        "camera_covariance": crowd.camera_covariance,
    }


def _feet(fit: optim.RefinedScene) -> np.ndarray:
    return foot_points(fit.torso_m, fit.normals[0], fit.offsets_m[0])


def test_a_perfect_start_stays():
    crowd = Crowd(n=20, seed=1, kinds=("standing", "walking"), camera_sd=KNOWN, outliers=0, noise=0)
    crowd.lifted = crowd.local
    fit = refine_scene(**_known(crowd), stature_prior_m=(1.7, 1.0))
    assert np.linalg.norm(_feet(fit) - crowd.foot_m, axis=1).max() < 0.01
    assert np.abs(fit.pose).max() < 0.01
    assert fit.log_focal == 0 and fit.offsets_m[0] == pytest.approx(crowd.height_m)


@pytest.mark.parametrize(("lift", "outliers", "most"), [("good", 0.03, 0.8), ("poor", 0.1, 0.7)])
def test_with_a_known_camera_no_scene_gets_worse_and_nobody_is_left_within_another(
    lift, outliers, most
):
    rows = [
        measure(Crowd(n=100, seed=s, lift=lift, camera_sd=KNOWN, outliers=outliers))
        for s in range(10)
    ]
    ratio = np.array([row["after"] / row["before"] for row in rows])
    assert (ratio < 1.0).all() and np.median(ratio) < most
    assert max(row["deepest_m"] for row in rows) < 0.05


def test_bent_people_of_poor_lifts_are_twice_as_good():
    rows = [measure(Crowd(n=200, seed=s, lift="poor", camera_sd=KNOWN)) for s in range(8)]
    ratio = [row["bent_after"] / row["bent_before"] for row in rows]
    assert np.median(ratio) < 0.5


def test_by_luck_alone_an_efficient_estimate_is_worse_as_often_as_is_said():
    rng = np.random.default_rng(0)
    for ratio in (0.2, 0.5, 0.9):
        efficient = ratio * rng.normal(size=200_000)
        other = efficient + np.sqrt(1 - ratio**2) * rng.normal(size=200_000)
        worse = (np.abs(efficient) > np.abs(other)).mean()
        assert expected_worse(ratio) == pytest.approx(worse, abs=0.005)
    assert expected_worse(0.0) == 0 and expected_worse(1.0) == pytest.approx(0.5)


def test_a_refined_camera_gets_worse_no_more_often_than_luck_explains():
    runs = [measure(Crowd(n=60, seed=seed, kinds=STREET, camera_sd=None)) for seed in range(16)]
    table = camera_table(runs)
    assert set(table) == {"focal", "pitch", "roll", "height"}
    for unknown in ("focal", "pitch"):
        assert table[unknown]["after"] < 0.8 * table[unknown]["before"]
    worse, expected = (
        np.mean([row[k] for row in table.values()]) for k in ("worse", "expected_worse")
    )
    assert worse < expected + 0.15


def test_good_lifts_and_cameras_are_not_spoilt():
    """Up to one scale: no picture tells how tall this crowd is, so that one may win or lose by chance."""
    rows = [measure(Crowd(n=50, seed=s, camera_sd=(0.01, 0.002, 0.002, 0.01))) for s in range(8)]
    ratio = np.array([r["scaled_after"] / r["scaled_before"] for r in rows])
    assert np.exp(np.log(ratio).mean()) < 0.9 and ratio.max() < 1.25
    assert np.mean([r["ppds_after"] - r["ppds_before"] for r in rows]) > 0.001


def test_places_are_as_sure_as_they_say_with_a_known_camera():
    rows = [measure(Crowd(n=100, seed=seed, camera_sd=KNOWN)) for seed in range(6)]
    assert 0.42 < np.mean([row["in_50"] for row in rows]) < 0.66
    assert 0.85 < np.mean([row["in_90"] for row in rows]) < 0.97


def test_cameras_and_places_are_as_sure_as_they_say_with_an_uncertain_one():
    squares, inside = [], []
    for seed in range(25):
        crowd = Crowd(n=40, seed=seed)
        fit = crowd.refine()
        found = [
            crowd.camera[0] + fit.log_focal,
            *pitch_roll_from_normal(fit.normals[0]),
            np.log(fit.offsets_m[0]),
        ]
        error = np.array(found) - crowd.theta
        squares.append(error @ np.linalg.solve(fit.camera_covariance, error))
        k = distances(fit.position_cov_m2, _feet(fit) - crowd.foot_m, fit.normals[0])
        inside.append((k < IN_90).mean())
    # Chi-square with four degrees of freedom: mean 4, and the mean of 25 has a spread of 0.57.
    assert 2.3 < np.mean(squares) < 5.7
    # In each scene all are right or wrong together, with one camera.
    assert np.mean(inside) > 0.72


def _with_fitted_cameras(n: int, scenes: int, spread_m: tuple[float, float]) -> list[dict]:
    crowds = [
        Crowd(n=n, seed=s, kinds=STREET, camera_sd=None, spread_m=spread_m) for s in range(scenes)
    ]
    return [measure(crowd) for crowd in crowds]


def _assert_sure(rows: list[dict]) -> None:
    """The truth in the 50 % and 90 % ellipses about so often; scenes are one draw of a camera each."""
    assert 0.35 < np.mean([row["in_50"] for row in rows]) < 0.8
    assert 0.78 < np.mean([row["in_90"] for row in rows])
    ratio = np.array([row["scaled_after"] / row["scaled_before"] for row in rows])
    assert np.exp(np.log(ratio).mean()) < 0.85 and np.mean(ratio > 1) <= 0.3
    assert max(row["deepest_m"] for row in rows) < 0.05


def test_places_are_better_and_as_sure_as_they_say_with_a_camera_fitted_to_the_same_people():
    _assert_sure(_with_fitted_cameras(120, 16, (30.0, 40.0)))


@pytest.mark.slow
def test_a_thousand_people_with_a_fitted_camera_are_as_sure_as_they_say():
    _assert_sure(_with_fitted_cameras(1000, 14, (60.0, 60.0)))


@pytest.mark.slow
def test_a_thousand_people_and_an_uncertain_camera_come_to_rest_at_the_minimum():
    """Camera within its error bars, which are a fifth of what was known before."""
    squares = []
    for seed in range(4):
        crowd = Crowd(n=1000, seed=seed, spread_m=(60.0, 60.0))
        fit = crowd.refine()
        pitch_roll = np.array(pitch_roll_from_normal(fit.normals[0]))
        error = np.array([crowd.camera[0] + fit.log_focal, *pitch_roll]) - crowd.theta[:3]
        squares.append(error @ np.linalg.solve(fit.camera_covariance[:3, :3], error))
        assert fit.camera_covariance[2, 2] < crowd.camera_covariance[2, 2] / 9
    assert np.mean(squares) < 7.0  # 3, and the mean of four has a spread of 1.2


def test_keypoints_counted_twice_double_the_camera_s_variance():
    crowd = Crowd(n=20, seed=3)
    once = crowd.refine(optim.RefineNoise(camera_counts=1.0))
    twice = crowd.refine(optim.RefineNoise(camera_counts=2.0))
    np.testing.assert_allclose(
        twice.camera_covariance[:3, :3], 2 * once.camera_covariance[:3, :3], rtol=0.1
    )
    # The height hangs on the mean stature, of which keypoints say nothing.
    assert (
        once.camera_covariance[3, 3]
        < twice.camera_covariance[3, 3]
        < 1.5 * once.camera_covariance[3, 3]
    )
    np.testing.assert_array_equal(once.torso_m, twice.torso_m)


def test_people_within_one_another_are_moved_apart():
    """Pairs seen a hand's breadth beside one another, who alone are placed within one another."""
    before, after, moved = [], [], []
    for seed in range(3):
        crowd = Crowd(n=40, seed=seed, camera_sd=KNOWN, kinds=("standing", "seated"), lift="poor")
        arguments = _known(crowd)
        arguments["torso_m"] = arguments["torso_m"].copy()
        ahead = arguments["torso_m"][::2]
        ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
        side = np.cross(ahead, arguments["normals"][0]) * 0.05
        arguments["rays"] = arguments["rays"].copy()
        points = crowd.points_m[::2, :17] + side[:, None]
        arguments["rays"][1::2] = points / np.linalg.norm(points, axis=-1, keepdims=True)
        lifted = crowd.lifted.copy()
        lifted[1::2] = lifted[::2]
        arguments["bodies"] = Sticks(lifted)
        arguments["torso_height_m"][1::2] = arguments["torso_height_m"][::2]
        arguments["torso_m"][1::2] = arguments["torso_m"][::2] + side
        arguments["scale"][1::2] = arguments["scale"][::2]
        normal, stature = arguments["normals"][0], STATURE_M * arguments["scale"]
        before.append(deepest_m(arguments["torso_m"], normal, stature))
        fit = refine_scene(**arguments)
        after.append(deepest_m(fit.torso_m, normal, STATURE_M * fit.scale))
        moved.append(np.linalg.norm(fit.torso_m - arguments["torso_m"], axis=1).max())
    assert min(before) > 0.15  # the test is one
    assert max(after) < 0.05
    assert max(moved) < 3.0


def test_no_step_raises_the_cost_and_the_same_input_gives_the_same_bytes():
    crowd = Crowd(n=40, seed=2, lift="poor")
    a, b = crowd.refine(), crowd.refine()
    assert len(a.costs) == 3 and len(a.costs[1]) > 3
    assert all((np.diff(costs) < 0).all() for costs in a.costs)
    for name in ("torso_m", "scale", "pose", "position_cov_m2", "normals", "camera_covariance"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()


def test_order_of_people_does_not_matter():
    crowd = Crowd(n=30, seed=4)
    a = refine_scene(**_known(crowd))
    order = np.random.default_rng(0).permutation(30)
    shuffled = {
        k: v[order] if isinstance(v, np.ndarray) and v.shape[:1] == (30,) else v
        for k, v in _known(crowd).items()
    }
    shuffled["bodies"] = Sticks(crowd.lifted[order])
    b = refine_scene(**shuffled)
    np.testing.assert_allclose(a.torso_m[order], b.torso_m, atol=1e-5)
    np.testing.assert_allclose(a.normals, b.normals, atol=1e-8)


def test_a_camera_that_is_held_stays_and_its_uncertainty_counts():
    crowd = Crowd(n=30, seed=6)
    arguments = _known(crowd)
    fit = refine_scene(**arguments, move_camera=False)
    np.testing.assert_allclose(fit.normals, arguments["normals"])
    np.testing.assert_allclose(fit.offsets_m, arguments["offsets_m"])
    assert fit.log_focal == 0
    exact = refine_scene(**(arguments | {"camera_covariance": np.zeros((4, 4))}))
    sure, unsure = (np.trace(f.position_cov_m2, axis1=1, axis2=2) for f in (exact, fit))
    assert (unsure > 1.5 * sure).mean() > 0.9


def test_people_on_two_planes_find_both_offsets():
    crowd = Crowd(n=60, seed=7, camera_sd=KNOWN, kinds=("standing", "walking"))
    arguments = _known(crowd)
    upper = np.arange(60) % 2 == 1
    rise = 1.5 * arguments["normals"][0]
    points = crowd.points_m[:, :17] + upper[:, None, None] * rise
    arguments["rays"] = points / np.linalg.norm(points, axis=-1, keepdims=True)
    arguments["torso_m"] = arguments["torso_m"] + upper[:, None] * rise
    offsets = np.array([crowd.height_m, crowd.height_m - 1.5])
    fit = refine_scene(
        **(
            arguments
            | {
                "normals": np.repeat(arguments["normals"], 2, axis=0),
                "offsets_m": offsets * [1.0, 1.03],
                "camera_covariance": np.diag([0, 0, 0, 0.01]) ** 2,
            }
        ),
        plane=upper.astype(np.int64),
    )
    np.testing.assert_allclose(fit.offsets_m / fit.offsets_m[0], offsets / offsets[0], rtol=0.012)
    height = fit.torso_m @ fit.normals[0] + fit.offsets_m[upper.astype(int)]
    assert (np.abs(height - fit.scale * arguments["torso_height_m"]) < 0.25).all()


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_people(n):
    fit = refine_scene(**_known(Crowd(n=n, seed=8)))
    assert fit.torso_m.shape == (n, 3) and np.isfinite(fit.torso_m).all()
    assert np.isfinite(fit.camera_covariance).all() and np.isfinite(fit.position_cov_m2).all()
    assert (np.linalg.eigvalsh(fit.position_cov_m2) > -1e-9).all()


def test_a_person_never_seen_stays_and_is_unsure():
    arguments = _known(Crowd(n=12, seed=9))
    arguments["scores"] = arguments["scores"].copy()
    arguments["scores"][3] = 0.0
    arguments["rays"] = arguments["rays"].copy()
    arguments["rays"][4] = np.nan
    arguments["rays"][5, 9] = np.nan
    fit = refine_scene(**arguments)
    assert np.isfinite(fit.torso_m).all() and np.isfinite(fit.position_cov_m2).all()
    spread = np.trace(fit.position_cov_m2, axis1=1, axis2=2)
    assert min(spread[3], spread[4]) > 10 * np.median(spread)


@pytest.mark.parametrize(
    "change",
    [
        {"torso_m": np.zeros((4, 3))},
        {"scale": np.zeros(5)},
        {"torso_m": np.full((5, 3), np.nan)},
        {"pose_information": np.zeros((5, 2, 2))},
        {"plane": np.ones(5, dtype=np.int64)},
        {"offsets_m": np.array([0.0])},
    ],
)
def test_nonsense_is_refused(change):
    with pytest.raises(optim.BadInput):
        refine_scene(**(_known(Crowd(n=5, seed=0)) | change))


def test_penetration_is_measured_as_told():
    places = np.array([[0, 10.0], [0.1, 10.0], [5, 5], [0, 10.05]])
    heights = np.array([0, 0, 0, 3.0])  # the last one is on a balcony above
    pairs, depth = penetration_m(places, heights, np.full(4, 0.15))
    assert pairs.tolist() == [[0, 1]] and depth[0] == pytest.approx(0.2)
