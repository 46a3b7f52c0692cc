"""A detector that sees people too upright: what it takes off their leans is given back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.ground import World

import optim
from optim.ground.lean import with_lean_restored
from optim.ground.sticks import levels_from_keypoints, sticks_from_levels


def _shrunk(keypoints: np.ndarray, share: float) -> np.ndarray:
    """Every person turned about the middle of the body towards the picture's vertical."""
    sticks = sticks_from_levels(levels_from_keypoints(keypoints), np.arange(len(keypoints)))
    axis, middle = sticks.top_px - sticks.bottom_px, (sticks.top_px + sticks.bottom_px) / 2
    limit = math.radians(10)
    back = -share * limit * np.tanh(np.arctan2(axis[:, 0], -axis[:, 1]) / limit)
    c, s = np.cos(back)[:, None], np.sin(back)[:, None]
    x, y = (keypoints[..., :2] - middle[:, None]).transpose(2, 0, 1)
    turned = np.stack([c * x - s * y, s * x + c * y], -1) + middle[:, None]
    return np.concatenate([turned, keypoints[..., 2:]], axis=2)


def _lean_deg(keypoints: np.ndarray, share: float) -> np.ndarray:
    levels = with_lean_restored(levels_from_keypoints(keypoints), share)
    sticks = sticks_from_levels(levels, np.arange(len(keypoints)))
    axis = sticks.top_px - sticks.bottom_px
    return np.degrees(np.arctan2(axis[:, 0], -axis[:, 1]))


def test_what_was_taken_off_comes_back():
    people = World().crowd(100, 1)
    np.testing.assert_allclose(
        _lean_deg(_shrunk(people, 0.1), 0.1), _lean_deg(people, 0.0), atol=0.15
    )
    np.testing.assert_array_equal(_lean_deg(people, 0.0), _lean_deg(people, 0.0))


def test_a_known_shrinkage_no_longer_makes_the_focal_length_too_long():
    naive, knowing = [], []
    for seed in range(8):
        world = World(fov=70, pitch=22)
        people = _shrunk(world.crowd(200, seed), 0.12)
        naive.append(world.errors(world.fit(people))[0])
        knowing.append(world.errors(world.fit(people, lean_shrinkage=(0.12, 0.0)))[0])
    assert np.mean(naive) > 0.03
    assert abs(np.mean(knowing)) < 0.3 * np.mean(naive)


def test_what_is_not_known_of_it_widens_the_covariance():
    world = World()
    people = world.crowd(300, 2)
    sure = world.fit(people, lean_shrinkage=(0.1, 0.0))
    unsure = world.fit(people, lean_shrinkage=(0.1, 0.04))
    assert unsure.focal_px == sure.focal_px
    added = unsure.covariance - sure.covariance
    # The shift of the answer by one standard deviation, seen by fitting again.
    more = world.fit(people, lean_shrinkage=(0.14, 0.0))
    shift = math.log(more.focal_px / sure.focal_px)
    assert math.sqrt(added[0, 0]) == pytest.approx(abs(shift), rel=0.25)
    assert np.linalg.eigvalsh(added).min() > -1e-12


@pytest.mark.parametrize("bad", [(-0.1, 0.0), (0.6, 0.0), (0.1, -1.0), (0.1,), (np.nan, 0.0)])
def test_a_shrinkage_that_cannot_be_is_refused(bad):
    world = World()
    with pytest.raises(optim.BadInput, match="lean_shrinkage"):
        world.fit(world.crowd(20, 0), lean_shrinkage=bad)
