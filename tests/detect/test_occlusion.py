"""Who is in front of whom, and whose limbs are whose."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd3d.detect.occlusion import _NEARER, _SAME_PLACE, borrowed_limbs, in_front, own_limbs
from crowd3d.scene.detections import PeopleSeen


def _naive(keypoints: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Person by person and limb by limb."""
    borrowed = np.zeros(keypoints.shape[:2], bool)
    for i, (left, top, right, bottom) in enumerate(box):
        for j, other in enumerate(box):
            meets = (
                left <= other[2] and other[0] <= right and top <= other[3] and other[1] <= bottom
            )
            if i == j or not meets or not other[3] > bottom + _NEARER * (bottom - top):
                continue
            for limb in range(5, 17):
                away = np.hypot(*(keypoints[i, limb, :2] - keypoints[j, limb, :2]))
                near = away < _SAME_PLACE * (other[3] - other[1])
                borrowed[i, limb] |= near and keypoints[j, limb, 2] >= keypoints[i, limb, 2] / 2
    return borrowed


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_it_is_what_every_pair_says(seed, count):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 100, (count, 2)), rng.uniform(20, 120, (count, 2))
    box = np.hstack([corner, corner + size])
    # On a coarse grid, so that limbs often coincide.
    places = np.round(corner[:, None] + rng.random((count, 17, 2)) * size[:, None], -1)
    keypoints = np.concatenate([places, rng.random((count, 17, 1))], axis=2)
    np.testing.assert_array_equal(borrowed_limbs(keypoints, box), _naive(keypoints, box))


def _two() -> PeopleSeen:
    """One behind, whose legs were taken from the one in front."""
    box = np.array([[0.0, 0, 40, 100], [10, 30, 50, 140]])
    places = np.random.default_rng(0).uniform(0, 40, (2, 17, 2)) * [1, 2] + [[[0, 0]], [[5, 200]]]
    places[0, 13:] = places[1, 13:] + 1.0
    keypoints = np.concatenate([places, np.full((2, 17, 1), 0.6)], axis=2)
    looks, trust = np.repeat(keypoints[:, None], 6, axis=1), np.full((2, 6), 0.5)
    one, no, tile = np.ones(2), np.zeros(2, bool), np.zeros(2, np.int64)
    return PeopleSeen(one, one, box, keypoints, no, tile, looks, trust, np.zeros((2, 2)))


def test_limbs_that_two_people_claim_are_those_of_the_nearer():
    people = _two()
    owned = own_limbs(people)
    assert (owned.keypoints_px[0, 13:, 2] == 0).all() and (owned.looks_px[0, :, 13:, 2] == 0).all()
    np.testing.assert_array_equal(owned.keypoints_px[0, :13], people.keypoints_px[0, :13])
    np.testing.assert_array_equal(owned.keypoints_px[1], people.keypoints_px[1])
    assert people.seen.tolist() == [2, 2]


def test_the_order_follows_from_the_feet():
    behind, front = in_front(_two().box_px)
    assert behind.tolist() == [0] and front.tolist() == [1]
    apart = replace(_two(), box_px=np.array([[0.0, 0, 40, 100], [100, 30, 150, 140]]))
    assert not len(in_front(apart.box_px)[0])
    assert not len(in_front(np.zeros((0, 4)))[0])
