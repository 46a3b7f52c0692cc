"""Tables of scores: means of what is known."""

import numpy as np
import pytest
from shared.score import FOCAL, PA_MPJPE, mean_size, means_table, recall, scene_table

ROWS = {"a": {"pa_mpjpe_mm": 60.0, "focal": -0.1}, "b": {"focal": 0.3}}


def test_the_mean_is_of_sizes_and_of_what_is_known():
    assert mean_size([-1.0, 3.0, None, float("nan")]) == 2.0
    assert mean_size([None, None]) is None


def test_a_single_scene_keeps_its_sign():
    table = scene_table(ROWS, [PA_MPJPE, FOCAL], "default")
    assert table.rows == [["a", 60.0, -10.0], ["b", None, pytest.approx(30.0)]]
    assert "| b | - | 30.0 % |" in table.markdown()


def test_groups_are_shown_by_their_means():
    table = means_table({"both": ROWS}, [PA_MPJPE, FOCAL], "way")
    assert table.rows == [["both", 60.0, pytest.approx(20.0)]]
    assert next(iter(table.columns)) == "way"


def test_recall_is_of_those_of_a_height():
    found, height_px = np.array([True, False, True, True]), np.array([20.0, 30.0, 60.0, 61.0])
    assert recall(found, height_px, 25, 60) == 0.5
    assert recall(found, height_px, 60) == 1.0
    assert recall(found, height_px, 100) is None
