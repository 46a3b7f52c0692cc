"""People are looked for in every copy of a picture, one to one."""

import numpy as np
from shared.copies import found_again

from crowd3d.scene.people import People

SIZE = (1000, 500)
CORNERS = ((0, 0), (1000, 0), (0, 500))


def crowd(feet_px, height_px=100.0):
    """People whose keypoints are spread over their box."""
    rng = np.random.default_rng(0)
    people = People.empty(len(feet_px))
    size = np.array([height_px / 2, height_px])
    low = np.asarray(feet_px, float) - size * [0.5, 1]
    people.box_px = np.concatenate([low, low + size], axis=1)
    people.keypoints_px[..., :2] = low[:, None] + rng.uniform(0, 1, (17, 2)) * size
    return people


def moved(people, by_px):
    shifted = People.cat([people])
    shifted.box_px = people.box_px + np.tile(by_px, 2)
    shifted.keypoints_px[..., :2] = people.keypoints_px[..., :2] + by_px
    return shifted


KNOWN = crowd([(100, 300), (400, 350), (700, 400)])


def test_everybody_is_found_where_the_copies_are():
    found = People.cat([moved(KNOWN, corner) for corner in CORNERS])
    assert found_again(found, KNOWN, CORNERS, SIZE).all()


def test_who_is_missing_is_missing_in_one_copy():
    parts = [KNOWN, moved(KNOWN, CORNERS[1]).filter(np.array([0, 2])), moved(KNOWN, CORNERS[2])]
    again = found_again(People.cat(parts), KNOWN, CORNERS, SIZE)
    assert again.tolist() == [[True] * 3, [True, False, True], [True] * 3]


def test_two_at_one_place_are_one_person():
    twice = People.cat([KNOWN, moved(KNOWN, (1.0, 1.0))])
    assert found_again(twice, KNOWN, CORNERS, SIZE).sum() == 3


def test_a_person_elsewhere_is_nobody():
    assert found_again(moved(KNOWN, (3.0, -2.0)), KNOWN, CORNERS[:1], SIZE).all()
    assert not found_again(moved(KNOWN, (60.0, 40.0)), KNOWN, CORNERS[:1], SIZE).any()


def test_nobody_is_found_in_an_empty_picture():
    assert found_again(People.empty(), KNOWN, CORNERS, SIZE).sum() == 0
    assert found_again(KNOWN, People.empty(), CORNERS, SIZE).shape == (3, 0)
    assert found_again(KNOWN, KNOWN, (), SIZE).shape == (0, 3)
