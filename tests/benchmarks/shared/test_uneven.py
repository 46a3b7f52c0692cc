"""Scenes of uneven ground, and how much too high feet are."""

from __future__ import annotations

import numpy as np
from shared.uneven import SCENES, above_m

from crowd3d.synth.draw.render import sample_setting
from crowd3d.synth.place.presets import preset
from crowd3d.synth.truth import truth_of


def test_feet_that_are_too_high_are_so_along_gravity() -> None:
    truth = truth_of(sample_setting(1, (320, 200), 5, preset("hillside")))
    rows = np.array([3, 1])
    sideways = np.cross(truth.gravity, [0.0, 0.0, 1.0])
    found = truth.hvip_m[rows] - 0.4 * truth.gravity + 2.0 * sideways
    np.testing.assert_allclose(above_m(truth, found, rows), 0.4)


def test_the_scenes_are_of_different_ground() -> None:
    assert len({scene.preset for scene in SCENES}) == len(SCENES) == 8
    assert len({scene.seed for scene in SCENES}) == 8
