"""What the benchmark of the refinement computes from errors."""

import numpy as np
import pytest
import scene_refine
from shared.scene_crowds import KNOWN, Crowd


def test_half_the_error_is_still_worse_in_27_percent_of_draws():
    rng = np.random.default_rng(0)
    good = rng.normal(0, 0.5, 200_000)
    poor = good + rng.normal(0, np.sqrt(0.75), 200_000)
    worse = (np.abs(good) > np.abs(poor)).mean()
    assert scene_refine.expected_worse(0.5) == pytest.approx(worse, abs=0.005)


def test_a_common_scale_is_taken_out():
    truth = np.random.default_rng(1).normal(size=(20, 3))
    np.testing.assert_allclose(scene_refine.one_scale(1.3 * truth, truth), truth)
    assert scene_refine.distance_score(1.1 * truth, truth) == pytest.approx(0.9)


def test_with_a_known_camera_everybody_solved_together_stands_better():
    row = scene_refine.summary(
        [scene_refine.measure(Crowd(n=40, lift="poor", camera_sd=KNOWN, seed=s)) for s in (0, 1)]
    )
    assert row["scaled_after"] < row["scaled_before"]
    line = scene_refine.line("two scenes", row)
    assert len(line) == len(scene_refine.COLUMNS)
    assert line[1] == [row["before"], row["after"]]
