"""Crowds that are not drawn: keypoints of who can be seen, with noise."""

import numpy as np
import pytest
from shared.ground_crowds import NOISE
from shared.score import visible_people
from shared.undrawn import LEVEL_PLACES, UNEVEN_PLACES, undrawn, undrawn_crowds

from crowd3d.synth.place.presets import PRESETS


@pytest.fixture(scope="module")
def crowd():
    return undrawn("plaza", 3, 12)


def test_keypoints_are_those_of_the_truth_but_for_noise(crowd):
    rows = np.flatnonzero(visible_people(crowd.truth))
    assert len(crowd.keypoints_px) == len(rows)
    seen = crowd.truth.keypoints_px[rows, :, 2] == 2
    height_px = np.ptp(crowd.truth.boxes_px[rows][:, 1::2], axis=1)
    off = crowd.keypoints_px[..., :2] - crowd.truth.keypoints_px[rows, :, :2]
    share = (off / height_px[:, None, None])[seen]
    assert 0.7 * NOISE < share.std() < 1.4 * NOISE
    assert (crowd.keypoints_px[seen][:, 2] > crowd.keypoints_px[~seen][:, 2].max()).all()


def test_people_are_told_again_with_other_noise(crowd):
    many = undrawn("plaza", 3, 12, told=30).keypoints_px
    n = len(crowd.keypoints_px)
    assert len(many) == 30 > n
    assert 0 < np.abs(many[n] - many[0]).max() < 0.2 * np.ptp(many[0, :, 1])


def test_places_take_turns():
    crowds = list(undrawn_crowds(("plaza", "phone"), 3, 5))
    assert [crowd.place for crowd in crowds] == ["plaza", "phone", "plaza"]
    assert not np.array_equal(crowds[0].truth.torso_m, crowds[2].truth.torso_m)


def test_level_places_are_level():
    assert {PRESETS[name].terrain for name in LEVEL_PLACES} == {"flat"}
    assert "flat" not in {PRESETS[name].terrain for name in UNEVEN_PLACES}
