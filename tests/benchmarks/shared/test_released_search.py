"""The rewritten search works where its assumptions hold."""

from __future__ import annotations

import ground_camera
import numpy as np
import pytest
from shared import ground_crowds
from shared.released_search import released_search


def test_the_released_search_finds_a_camera_from_perfect_people(monkeypatch):
    for name in ("LEAN_SD_RAD", "LOG_STATURE_SD", "NOISE"):
        monkeypatch.setattr(ground_crowds, name, 1e-9)
    scenario = next(s for s in ground_crowds.SCENARIOS if s.name == "wide")
    people = ground_crowds.crowd(scenario, 0)
    focal, normal, height = released_search(
        people.keypoints, scenario, ground_camera.LENGTH_M, ground_camera.ANKLE_M
    )
    assert focal == pytest.approx(scenario.focal_px, rel=0.02)
    assert normal @ scenario.normal > np.cos(np.radians(0.5))
    assert height == pytest.approx(scenario.height_m, rel=0.02)
