"""Evidence besides the people: each kind helps alone, and none hurts where it is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.ground import SIZE, World

import optim
from optim.anthropometry import ANKLE_FRACTION, HIP_FRACTION
from optim.geometry import normal_from_pitch_roll
from optim.ground.lines import tilt_from_vertical, vertical_lines
from optim.ground.residuals import View
from optim.projection import project


def _segments(world: World, n: int, seed: int, *, lean_deg: float = 0.1) -> np.ndarray:
    """(n, 4) images of vertical posts with half a pixel of noise at their ends."""
    rng = np.random.default_rng(seed)
    ahead = np.array([0.0, 0.0, 1.0]) - world.normal[2] * world.normal
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, world.normal)
    foot = -world.height * world.normal + (
        rng.uniform(10, 60, n)[:, None] * ahead + rng.uniform(-25, 25, n)[:, None] * right
    )
    axis = world.normal + np.tan(rng.normal(0, math.radians(lean_deg), (n, 2))) @ [right, ahead]
    ends = np.stack([foot, foot + rng.uniform(2, 5, n)[:, None] * axis], axis=1)
    pixels = project(ends, world.focal_px, world.center_px)
    pixels = pixels + rng.normal(0, 0.5, pixels.shape)
    flip = rng.uniform(size=n) < 0.5
    pixels[flip] = pixels[flip][:, ::-1]
    return pixels.reshape(n, 4)


def _spurious(n: int, seed: int) -> np.ndarray:
    """(n, 4) segments in all directions."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, SIZE, (n, 2))
    angle, length = rng.uniform(0, np.pi, n), rng.uniform(40, 300, n)
    return np.hstack([start, start + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)])


def _normal_error_deg(world: World, fit: optim.GroundCameraFit) -> float:
    return math.degrees(math.acos(min(1.0, float(fit.normal @ world.normal))))


def test_the_tilt_of_a_vertical_is_zero_and_turns_with_the_segment():
    world = World(roll=3)
    view = View.of(world.focal_px, world.pitch, world.roll, world.height)
    posts = _segments(world, 50, 0, lean_deg=0.0)
    tilt = tilt_from_vertical(posts, view, world.center_px)
    assert np.degrees(np.abs(tilt)).max() < 1.5
    a = math.radians(2.0)
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    middle = (posts[:, :2] + posts[:, 2:]) / 2
    turned = np.hstack([(posts[:, s] - middle) @ turn.T + middle for s in np.s_[0:2, 2:4]])
    np.testing.assert_allclose(tilt_from_vertical(turned, view, world.center_px) - tilt, a)


def test_lines_make_the_normal_better():
    with_lines, without = [], []
    for seed in range(6):
        world = World(fov=60, pitch=18, roll=2)
        people = world.crowd(40, seed)
        lines = np.concatenate([_segments(world, 25, seed), _spurious(150, seed)])
        fit = world.fit(people, lines_px=lines)
        assert fit.report["lines"].startswith("used")
        error, sd = world.errors(fit), np.sqrt(np.diag(fit.covariance))
        assert (np.abs(error) < 4 * sd).all()
        with_lines.append(_normal_error_deg(world, fit))
        without.append(_normal_error_deg(world, world.fit(people)))
    assert np.mean(with_lines) < 0.7 * np.mean(without)


@pytest.mark.parametrize("seed", range(4))
def test_spurious_lines_do_not_hurt(seed):
    world = World(pitch=20)
    people = world.crowd(60, seed)
    alone, fit = world.fit(people), world.fit(people, lines_px=_spurious(400, seed))
    assert fit.report["lines"] == "no common vertical"
    assert fit.focal_px == alone.focal_px and fit.offset_m == alone.offset_m


def test_lines_that_agree_on_something_else_than_the_vertical_are_refused():
    world = World(pitch=20)
    leaning = World(pitch=20)
    leaning.normal = normal_from_pitch_roll(math.radians(20), math.radians(5.5))
    people = world.crowd(300, 1)
    fit = world.fit(people, lines_px=_segments(leaning, 40, 1))
    assert "contradict" in fit.report["lines"] or "no common" in fit.report["lines"]
    assert fit.focal_px == world.fit(people).focal_px


def test_few_lines_say_nothing():
    world = World()
    view = View.of(world.focal_px, world.pitch, world.roll, world.height)
    assert vertical_lines(_segments(world, 4, 0), view, world.center_px) is None
    assert world.fit(world.crowd(20, 0), lines_px=np.zeros((0, 4))).report["lines"] == "not given"
    with pytest.raises(optim.BadInput, match="lines_px"):
        world.fit(world.crowd(20, 0), lines_px=np.zeros((3, 5)))


def test_a_focal_prior_helps_where_people_do_not_know():
    world = World(fov=50, pitch=2, height=1.7)
    people = world.crowd(15, 4, far=12.0)
    alone = world.fit(people)
    fit = world.fit(people, focal_prior=(1.02 * world.focal_px, 0.03))
    assert abs(world.errors(fit)[0]) < 0.05 < math.sqrt(alone.covariance[0, 0])
    assert fit.covariance[0, 0] < 0.04**2
    assert "prior" in fit.report["focal"]


def test_people_correct_a_wrong_focal_prior():
    world = World(fov=70, pitch=25)
    fit = world.fit(world.crowd(300, 5), focal_prior=(1.3 * world.focal_px, 0.2))
    assert abs(world.errors(fit)[0]) < 0.1


@pytest.mark.parametrize("bad", [(0.0, 0.1), (1000.0, 0.0), (np.nan, 0.1), (1000.0,)])
def test_a_focal_prior_that_cannot_be_is_refused(bad):
    with pytest.raises(optim.BadInput, match="focal_prior"):
        World().fit(World().crowd(20, 0), focal_prior=bad)


def _depths(world: World, people: np.ndarray, log_sd: float, seed: int) -> np.ndarray:
    """(N,) true depth of the hips over focal length with noise."""
    ray = np.ones((len(people), 3))
    ray[:, :2] = (people[:, 15:, :2].mean(axis=1) - world.center_px) / world.focal_px
    ankle, hip = 1.7 * ANKLE_FRACTION, 1.7 * HIP_FRACTION
    depth = (world.height - ankle) / -(ray @ world.normal) + (hip - ankle) * world.normal[2]
    noise = np.random.default_rng(seed).normal(0, log_sd, len(people))
    return depth / world.focal_px * np.exp(noise)


def test_judged_depths_make_the_offset_better():
    with_depths, without = [], []
    for seed in range(8):
        world = World(pitch=10, height=5.0)
        people = world.crowd(12, seed)
        depths = _depths(world, people, 0.05, seed)
        depths[::5] = np.nan
        depths[1] *= 5.0  # one gross error
        options = {"gravity": -world.normal, "mean_stature_sd_m": 0.0, "depths_are_of_size": False}
        fit = world.fit(people, depth_prior=(depths, np.full(12, 0.05)), **options)
        with_depths.append(abs(world.errors(fit)[3]))
        plain = world.fit(people, **options)
        without.append(abs(world.errors(plain)[3]))
        assert fit.covariance[3, 3] < plain.covariance[3, 3]
    assert np.mean(with_depths) < np.mean(without)


def test_sizes_told_twice_count_once():
    """Of adults who stand straight, depths judged from their size change nothing; of others they do."""
    world = World(pitch=10, height=5.0)
    for outliers, tells in ((0.0, False), (0.9, True)):
        people = world.crowd(40, 3, outliers=outliers, spread=0.02)
        wrong = (1.15 * _depths(world, people, 0.02, 0), np.full(40, 0.05))
        plain = world.errors(world.fit(people, ground="level"))
        of_size, new = (
            world.errors(world.fit(people, ground="level", depth_prior=wrong, depths_are_of_size=k))
            - plain
            for k in (True, False)
        )
        assert np.abs(new).max() > 0.05
        assert (np.abs(of_size).max() > 0.4 * np.abs(new).max()) == tells, (of_size, new)


def test_depths_still_count_where_lines_do():
    world = World(pitch=10, height=5.0)
    people, posts = world.crowd(40, 3), _segments(world, 60, 0)
    larger = (1.06 * _depths(world, people, 0.02, 0), np.full(40, 0.02))
    plain = world.fit(people, lines_px=posts)
    both = world.fit(people, lines_px=posts, depth_prior=larger, depths_are_of_size=False)
    assert plain.report["lines"].startswith("used") and both.report["lines"].startswith("used")
    assert abs(world.errors(both)[3] - world.errors(plain)[3]) > 0.01


def test_far_away_the_ground_is_not_trusted_against_a_depth():
    """Pixels of feet near the horizon are many metres: depths that contradict them turn nothing."""
    world = World(pitch=2, height=2.0, fov=30)
    people = world.crowd(40, 1, far=60.0, noise=0.03)
    depths = (_depths(world, people, 0.0, 0), np.full(40, 0.02))
    fit = world.fit(people, depth_prior=depths, depths_are_of_size=False)
    plain = world.fit(people)
    assert abs(world.errors(fit)[3]) < abs(world.errors(plain)[3]) + 0.05
    assert fit.covariance[0, 0] < 1.2 * plain.covariance[0, 0]


def test_depths_of_the_wrong_length_are_refused():
    world = World()
    for depths, spread in ((np.ones(3), 0.1), (np.ones(20), 0.0), (np.ones(20), np.ones(3))):
        with pytest.raises(optim.BadInput, match="depth_prior"):
            world.fit(world.crowd(20, 0), depth_prior=(depths, spread))
