"""Generated crowds with a known camera must give that camera back, with honest error bars."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.ground import HEIGHT, SCENES, SIZE, World
from hypothesis import given, settings
from hypothesis import strategies as st

import optim
from optim.geometry import pitch_roll_from_normal


@pytest.mark.parametrize("name", SCENES)
def test_perfect_people_give_the_exact_camera(name):
    world = World(**SCENES[name])
    people = world.crowd(80, lean_deg=0, spread=0, noise=0)
    # Free of noise, they would tell a slope of a thousandth, by which sticks are no people.
    fit = world.fit(people, center_px=world.center_px, ground="level")
    np.testing.assert_allclose(world.errors(fit), 0, atol=2e-3)
    assert fit.inlier.all() and (fit.plane_index == 0).all()
    assert abs(np.linalg.norm(fit.normal) - 1) < 1e-12 and fit.normal[1] < 0


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("outliers", [0.0, 0.25])
def test_noisy_people_give_the_camera_within_its_error_bars(name, outliers):
    world = World(**SCENES[name])
    fit = world.fit(world.crowd(250, 3, outliers=outliers), center_px=world.center_px)
    error, sd = world.errors(fit), np.sqrt(np.diag(fit.covariance))
    assert (np.abs(error) < 4 * sd).all()
    assert (np.abs(error) < [0.2, 0.03, 0.03, 0.08]).all()
    assert fit.report["focal_determined"]


def test_outliers_are_named():
    world = World()
    people = world.crowd(200, 1)
    children = world.crowd(200, 1)
    feet = children[:30, 15:, :2].mean(axis=1, keepdims=True)
    children[:30, :, :2] = feet + 0.6 * (children[:30, :, :2] - feet)
    people[:30] = children[:30]
    people[30, :, 2] = 0.0
    fit = world.fit(people)
    short = fit.report["left_out"]["shorter than an adult, or seated"]
    assert set(range(30)) - set(short) == set() and len(short) < 40
    assert 30 in fit.report["left_out"]["too few joints seen"]
    assert not fit.inlier[:31].any() and fit.inlier[31:].mean() > 0.9
    assert fit.plane_index[30] == -1


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_seated_audience_is_not_a_lower_ground(share):
    world = World(height=8.0)
    people = world.crowd(200, 3)
    seated = np.random.default_rng(1).uniform(size=200) < share
    ankle = people[:, 15:, :2].mean(axis=1, keepdims=True)
    shoulder = people[:, 5:7, :2].mean(axis=1, keepdims=True)
    people[seated, :13, :2] -= (0.24 * (shoulder - ankle) / (HEIGHT[5] - HEIGHT[15]))[seated]
    fit = world.fit(people, max_planes=3)
    assert len(fit.planes) == 1
    assert abs(world.errors(fit)[3]) < 0.04
    assert fit.inlier[~seated].mean() > 0.85 and fit.inlier[seated].mean() < 0.1


@pytest.mark.parametrize(
    ("scenes", "chance"), [(50, 0.20), pytest.param(200, 0.12, marks=pytest.mark.slow)]
)
def test_truth_is_within_k_sigma_as_often_as_it_should(scenes, chance):
    z = []
    for seed in range(scenes):
        rng = np.random.default_rng(seed)
        world = World(
            fov=rng.uniform(35, 80),
            pitch=rng.uniform(5, 35),
            roll=rng.uniform(-5, 5),
            height=rng.uniform(4, 15),
        )
        people = world.crowd(60, seed, outliers=0.25 * (seed % 2))
        fit = world.fit(people, mean_stature_sd_m=0.0, ground="level")
        z.append(world.errors(fit) / np.sqrt(np.diag(fit.covariance)))
    inside_1, inside_2 = (np.mean(np.abs(z) < k, axis=0) for k in (1, 2))
    # 68 and 95 % are due.
    assert (np.abs(inside_1 - 0.68) < chance).all()
    assert (inside_2 > 0.95 - chance / 2).all()


def test_a_low_camera_does_not_pretend_to_know_its_focal_length():
    world = World(fov=40, pitch=1, height=1.6)
    fit = world.fit(world.crowd(12, 2, far=14.0))
    low, high = fit.report["focal_interval_90_px"]
    assert low < world.focal_px < high
    assert high / low > 1.8
    assert not fit.report["focal_determined"] and fit.report["warnings"]


def test_a_telephoto_lens_is_not_drawn_to_usual_lenses():
    inside = 0
    for seed in range(10):
        world = World(fov=12, pitch=8, height=25.0, size=(4000, 3000))
        fit = world.fit(world.crowd(300, seed, far=10.0))
        error, sd = world.errors(fit), np.sqrt(np.diag(fit.covariance))
        inside += int((np.abs(error) < 2.5 * sd).all())
    assert inside >= 8


def test_frames_of_one_camera_are_pooled_by_joining_their_people():
    world = World()
    frames = [world.crowd(25, seed) for seed in range(4)]
    pooled = world.fit(np.concatenate(frames))
    single = world.fit(frames[0])
    assert pooled.covariance[0, 0] < 0.5 * single.covariance[0, 0]
    error, sd = world.errors(pooled), np.sqrt(np.diag(pooled.covariance))
    assert (np.abs(error) < 4 * sd).all()


def test_people_seen_in_many_frames_count_once():
    world = World()
    people = world.crowd(60, 3)
    rng = np.random.default_rng(0)
    frames = [people + rng.normal(0, 0.01, people.shape) * [1, 1, 0] for _ in range(10)]
    once, pooled = world.fit(people), world.fit(np.concatenate(frames), repeats=10)
    naive = world.fit(np.concatenate(frames))
    assert pooled.focal_px == pytest.approx(once.focal_px, rel=0.02)
    assert pooled.covariance[0, 0] == pytest.approx(once.covariance[0, 0], rel=0.3)
    assert naive.covariance[0, 0] < 0.5 * once.covariance[0, 0]
    with pytest.raises(optim.BadInput, match="repeats"):
        world.fit(people, repeats=0.5)
    with pytest.raises(optim.BadInput, match="grade_sd"):
        world.fit(people, grade_sd=0.0)


def test_given_values_are_honoured_exactly():
    world = World(roll=4)
    people = world.crowd(60, 5)
    fit = world.fit(people, focal_px=3456.7)
    assert fit.focal_px == 3456.7 and fit.covariance[0].any() == False  # noqa: E712
    gravity = -1.7 * world.normal
    fit = world.fit(people, gravity=gravity)
    np.testing.assert_array_equal(fit.normal, -gravity / np.linalg.norm(gravity))
    assert not fit.covariance[1:3].any()
    assert abs(world.errors(fit)[0]) < 0.1
    fit = world.fit(people, gravity=gravity, focal_px=world.focal_px)
    assert abs(world.errors(fit)[3]) < 0.04
    assert fit.report["focal"] == fit.report["gravity"] == "given"


def test_distortion_is_removed():
    world = World()
    people = world.crowd(150, 6)
    ray = (people[..., :2] - world.center_px) / world.focal_px
    radius2 = (ray**2).sum(axis=-1, keepdims=True)
    bent = people.copy()
    bent[..., :2] = ray * (1 - 0.15 * radius2) * world.focal_px + world.center_px
    straight = world.fit(people, focal_px=world.focal_px)
    fit = world.fit(bent, focal_px=world.focal_px, distortion=(-0.15, 0.0))
    np.testing.assert_allclose(fit.normal, straight.normal, atol=1e-6)
    np.testing.assert_allclose(fit.offset_m, straight.offset_m, rtol=1e-6)


# --- invariances
# -----------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(factor=st.floats(0.5, 20.0), seed=st.integers(0, 1000))
def test_scaling_the_pixels_scales_the_focal_length(factor, seed):
    world = World()
    # So large that the pixel by which blur moves every joint does not count, whatever the factor.
    large = 8.0
    people = world.crowd(40, seed, far=4.0) * [large, large, 1]
    scaled, size = people * [factor, factor, 1], large * np.array(SIZE)
    a = optim.fit_ground_camera(people, size)
    b = optim.fit_ground_camera(scaled, factor * size)
    assert b.focal_px == pytest.approx(factor * a.focal_px, rel=1e-3)
    np.testing.assert_allclose(b.normal, a.normal, atol=1e-3)
    assert b.offset_m == pytest.approx(a.offset_m, rel=1e-3)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_mirrored_picture_has_a_mirrored_camera(seed):
    world = World(roll=6)
    people = world.crowd(40, seed)
    mirrored = people * [-1, 1, 1] + [SIZE[0], 0, 0]
    a, b = world.fit(people), world.fit(mirrored)
    np.testing.assert_allclose(b.normal * [-1, 1, 1], a.normal, atol=1e-3)
    assert b.focal_px == pytest.approx(a.focal_px, rel=2e-3)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_people_changes_no_bit(seed):
    world = World()
    people = world.crowd(40, seed, outliers=0.2)
    order = np.random.default_rng(seed).permutation(40)
    a, b = world.fit(people), world.fit(people[order])
    assert a.focal_px == b.focal_px and a.offset_m == b.offset_m
    np.testing.assert_array_equal(a.inlier[order], b.inlier)


def test_copies_of_people_add_nothing():
    world = World()
    people = world.crowd(40, 8)
    a, b = world.fit(people), world.fit(np.concatenate([people] * 3))
    assert b.focal_px == pytest.approx(a.focal_px, rel=0.02)
    np.testing.assert_allclose(b.normal, a.normal, atol=0.01)
    assert b.covariance[0, 0] > 0.6 * a.covariance[0, 0]


def test_a_dense_corner_does_not_decide():
    world = World()
    people = world.crowd(100, 9)
    rng = np.random.default_rng(0)
    corner = np.repeat(people[:1], 400, axis=0)
    corner[..., :2] += rng.normal(0, 8, (400, 1, 2))
    corner[:, :11, 0] += 0.12 * np.ptp(people[0, :, 1])  # all of them lean the same way
    fit = world.fit(np.concatenate([people, corner]))
    assert abs(world.errors(fit)[2]) < math.radians(3)


def test_the_same_input_gives_the_same_bytes():
    world = World()
    people = world.crowd(50, 10, outliers=0.2)
    a, b = world.fit(people), world.fit(people.copy())
    assert (
        a.normal.tobytes() == b.normal.tobytes()
        and a.covariance.tobytes() == b.covariance.tobytes()
    )


# --- what cannot be fitted, and what is not whole
# ----------------------------------------------------


def test_too_few_people_are_refused():
    world = World()
    people = world.crowd(10, 11)
    for nobody in (people[:0], people[:1], people * [1, 1, 0], np.full_like(people, np.nan)):
        with pytest.raises(optim.NotEnoughPeople):
            world.fit(nobody)
    with pytest.raises(optim.NotEnoughPeople, match="1 of 5"):
        world.fit(np.repeat(people[:1], 5, axis=0))
    with pytest.raises(optim.NotEnoughPeople):
        world.fit(people[:1], focal_px=world.focal_px)
    fit = world.fit(people[:1], focal_px=world.focal_px, gravity=-world.normal)
    assert abs(world.errors(fit)[3]) < 4 * math.sqrt(fit.covariance[3, 3])


@pytest.mark.parametrize("n", [3, 4, 6])
def test_few_people_give_wide_intervals(n):
    inside = 0
    for seed in range(12):
        world = World(pitch=5 + 2 * seed)
        fit = world.fit(world.crowd(n, seed))
        assert np.isfinite(fit.covariance).all()
        error, sd = world.errors(fit), np.sqrt(np.diag(fit.covariance))
        assert sd[0] > 0.05
        inside += int((np.abs(error) < 2.5 * sd).all())
    assert inside >= 9


@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 5), seed=st.integers(0, 10_000), is_focal_given=st.booleans())
def test_a_handful_of_people_is_refused_or_gives_no_wrong_certainty(n, seed, is_focal_given):
    world = World(pitch=8 + seed % 30, height=3.0 + seed % 9)
    people = world.crowd(5, seed)[:n]
    try:
        fit = world.fit(people, focal_px=world.focal_px if is_focal_given else None)
    except optim.NotEnoughPeople:
        assert n < 3
        return
    assert np.isfinite(fit.covariance).all()
    # Five standard deviations: a handful of people is no Gaussian.
    assert (np.abs(world.errors(fit)) < 5 * np.sqrt(np.diag(fit.covariance)) + 1e-9).all()
    assert is_focal_given or fit.covariance[0, 0] > 0.05**2


def test_people_in_one_row_or_on_one_spot():
    world = World()
    people = world.crowd(300, 12)
    v = people[:, 15:, 1].mean(axis=1)
    row = people[np.argsort(np.abs(v - np.median(v)))[:30]]
    fit = world.fit(row)
    error, sd = world.errors(fit), np.sqrt(np.diag(fit.covariance))
    assert (np.abs(error) < 4 * sd).all()
    spot = np.repeat(people[:1], 30, axis=0)
    spot[..., :2] += np.random.default_rng(0).normal(0, 1, (30, 17, 2))
    fit = world.fit(spot)
    assert not fit.report["focal_determined"]
    assert (np.abs(world.errors(fit)) < 4 * np.sqrt(np.diag(fit.covariance))).all()


def test_broken_rows_are_left_out_and_nothing_else_changes():
    world = World()
    people = world.crowd(60, 13)
    broken = np.stack([people[0]] * 5)
    broken[0] = np.nan
    broken[1, :, :2] = np.inf
    broken[2, :, 2] = 0
    broken[3, :, :2] = 1e300
    broken[4, :, :2] = broken[4, :1, :2]  # all joints on one pixel
    fit, whole = world.fit(np.concatenate([people, broken])), world.fit(people)
    assert fit.focal_px == whole.focal_px and fit.offset_m == whole.offset_m
    assert fit.report["left_out"]["too few joints seen"] == [60, 61, 62, 63, 64]
    hurt = people.copy()
    hurt[:, 0] = np.nan  # a face that is not seen does no harm
    assert abs(world.errors(world.fit(hurt))[1]) < 0.05


def test_hidden_ankles_still_help():
    world = World()
    people = world.crowd(200, 14)
    people[:, 13:, 2] = 0.0
    fit = world.fit(people)
    assert (np.abs(world.errors(fit)) < 4 * np.sqrt(np.diag(fit.covariance)) + 0.02).all()


def test_upside_down_people_do_not_turn_the_world():
    world = World()
    people = world.crowd(100, 15)
    people[:25] = people[:25][:, ::-1]
    people[:25, :, 2] = 0.9
    fit = world.fit(people)
    assert fit.normal[1] < 0 and fit.offset_m > 0
    assert abs(world.errors(fit)[1]) < 0.05


def test_pictures_on_their_side_keep_their_roll():
    world = World(pitch=12, height=6.0)
    people = world.crowd(120, 3)
    upright = world.fit(people)
    turned = people.copy()
    turned[..., 0], turned[..., 1] = SIZE[1] - people[..., 1], people[..., 0]
    fit = optim.fit_ground_camera(turned, SIZE[::-1])
    assert pitch_roll_from_normal(fit.normal)[1] == pytest.approx(
        pitch_roll_from_normal(upright.normal)[1] + math.pi / 2, abs=0.01
    )
    assert fit.offset_m == pytest.approx(upright.offset_m, rel=0.01)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    spread=st.sampled_from([1.0, 100.0, 1500.0, 1e5]),
    is_gravity_given=st.booleans(),
    focal_px=st.sampled_from([None, 1.0, 3000.0, 1e6]),
    planes=st.sampled_from([1, 3]),
)
def test_garbage_is_refused_or_doubted_but_breaks_nothing(
    seed, spread, is_gravity_given, focal_px, planes
):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    garbage = np.concatenate(
        [rng.normal(1500, spread, (n, 17, 2)), rng.uniform(0, 1, (n, 17, 1))], axis=2
    )
    gravity = rng.normal(size=3) if is_gravity_given else None
    try:
        fit = optim.fit_ground_camera(
            garbage, SIZE, gravity=gravity, focal_px=focal_px, max_planes=planes
        )
    except optim.OptimError:
        return
    numbers = [*fit.normal, fit.focal_px, fit.offset_m, fit.cost, *fit.covariance.ravel()]
    assert np.isfinite(numbers).all()
    assert (np.linalg.eigvalsh(fit.covariance) > -1e-9).all()


@pytest.mark.parametrize(
    "bad",
    [
        {"image_size": None},
        {"image_size": (0, 100)},
        {"image_size": (np.nan, 100)},
        {"focal_px": -1.0},
        {"focal_px": float("nan")},
        {"gravity": (0, 0, 0)},
        {"gravity": (0, 1)},
        {"center_px": (np.inf, 0)},
        {"stature_m": 0.0},
        {"max_planes": 0},
        {"keypoints": np.zeros((4, 16, 3))},
        {"keypoints": None},
        {"boxes_px": np.zeros((3, 4))},
    ],
)
def test_nonsense_is_refused_by_name(bad):
    options = {"keypoints": World().crowd(5), "image_size": SIZE} | bad
    with pytest.raises(optim.OptimError):
        optim.fit_ground_camera(**options)


# --- boxes
# -----------------------------------------------------------------------------------------


def _boxes(world, n, seed):
    """Boxes of upright people, from the ground to the top of the head."""
    people = world.crowd(n, seed, noise=0.0)
    top, low = people[:, :5, :2].mean(1), people[:, 15:, :2].mean(1)
    share = (HEIGHT[:5].mean() - HEIGHT[15]) / 1.0
    head = low + (top - low) * (1 - HEIGHT[15]) / share
    foot = low - (top - low) * HEIGHT[15] / share
    half = 0.15 * np.linalg.norm(head - foot, axis=1)
    middle = (head[:, 0] + foot[:, 0]) / 2
    return np.stack([middle - half, head[:, 1], middle + half, foot[:, 1]], axis=1)


def test_boxes_with_a_given_focal_length():
    world = World(height=8.0)
    fit = world.fit(None, boxes_px=_boxes(world, 200, 16), focal_px=world.focal_px)
    assert (np.abs(world.errors(fit)) < [1e-12, 0.02, 0.03, 0.06]).all()
    assert fit.report["source"] == "boxes"


def test_boxes_alone_hardly_give_a_focal_length_and_say_so():
    world = World(height=8.0)
    fit = world.fit(None, boxes_px=_boxes(world, 100, 17))
    low, high = fit.report["focal_interval_90_px"]
    assert low / 1.5 < world.focal_px < high * 1.5
    assert any("boxes" in warning for warning in fit.report["warnings"])
    with pytest.raises(optim.NotEnoughPeople):
        world.fit(None, boxes_px=[[0, 0, 0, 0], [10, 10, 5, 5], [np.nan] * 4])
