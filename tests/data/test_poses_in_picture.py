"""What given coordinates mean in a picture: absurd ones are put right and said, or refused."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.poses import SIZE, standing
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from crowd3d.data.poses.given import GivenPoses
from crowd3d.data.poses.in_picture import in_picture
from crowd3d.data.poses.same_person import first_of_each
from crowd3d.errors import DataError
from crowd3d.scene.detections import Detections

CROWD = standing(30)


def changed(people: Detections, factor=(1.0, 1.0), by=(0.0, 0.0)) -> Detections:
    points, box = people.keypoints_px.copy(), people.box_px.copy()
    points[..., :2] = points[..., :2] * factor + by
    return replace(people, keypoints_px=points, box_px=box * np.tile(factor, 2) + np.tile(by, 2))


def test_poses_of_the_picture_are_left_alone():
    found, said = in_picture(GivenPoses(CROWD, SIZE), SIZE)
    assert said == [] and np.array_equal(found.keypoints_px, CROWD.keypoints_px)
    assert in_picture(GivenPoses(CROWD), SIZE)[1] == []


@pytest.mark.parametrize("is_declared", [False, True])
def test_shares_of_the_sides_become_pixels(is_declared):
    shares = changed(CROWD, (1 / SIZE[0], 1 / SIZE[1]))
    found, said = in_picture(GivenPoses(shares, is_normalised=is_declared), SIZE)
    np.testing.assert_allclose(found.keypoints_px, CROWD.keypoints_px)
    np.testing.assert_allclose(found.box_px, CROWD.box_px)
    assert is_declared or "between 0 and 1" in said[0]


def test_places_between_minus_one_and_one_become_pixels():
    places = changed(CROWD, (2 / SIZE[0], 2 / SIZE[1]), (-1, -1))
    found, said = in_picture(GivenPoses(places), SIZE)
    np.testing.assert_allclose(found.keypoints_px, CROWD.keypoints_px)
    assert "between -1 and 1" in said[0]


def test_boxes_in_pixels_beside_shares_are_renewed():
    shares = replace(changed(CROWD, (1 / SIZE[0], 1 / SIZE[1])), box_px=CROWD.box_px)
    found, _ = in_picture(GivenPoses(shares), SIZE)
    middle = found.keypoints_px[..., :2].mean(axis=1)
    assert ((found.box_px[:, :2] < middle) & (middle < found.box_px[:, 2:])).all()


def test_one_joint_in_the_corner_pixel_is_no_share():
    one = CROWD.filter(np.array([0]))
    points = np.zeros((1, 17, 3))
    points[0, 0] = [0.5, 0.5, 0.9]
    found, _ = in_picture(GivenPoses(replace(one, keypoints_px=points)), SIZE)
    np.testing.assert_array_equal(found.keypoints_px[0, 0], [0.5, 0.5, 0.9])


@examples(width=st.integers(300, 9000))
def test_poses_of_a_declared_copy_are_scaled(width):
    size = (width, round(width * SIZE[1] / SIZE[0]))
    factor = np.array(size) / SIZE
    found, said = in_picture(GivenPoses(changed(CROWD, factor), size), SIZE)
    np.testing.assert_allclose(found.keypoints_px, CROWD.keypoints_px)
    assert size == SIZE or "they were scaled" in said[0]


def test_a_wrong_size_is_not_believed():
    found, said = in_picture(GivenPoses(CROWD, (SIZE[0] // 2, SIZE[1] // 2)), SIZE)
    np.testing.assert_array_equal(found.keypoints_px, CROWD.keypoints_px)
    assert "taken as pixels of this picture" in said[0]


@pytest.mark.parametrize(
    ("size", "says"), [((1000, 1000), "no copy in another size;"), ((2000, 4000), "is it turned")]
)
def test_another_shape_of_picture_is_refused(size, says):
    with pytest.raises(DataError, match=says):
        in_picture(GivenPoses(CROWD, size), SIZE)


@pytest.mark.parametrize(("factor", "part"), [(0.25, "quarter"), (0.6, "part"), (0.9, None)])
def test_poses_of_an_undeclared_copy_are_doubted(factor, part):
    points = CROWD.keypoints_px[..., :2].reshape(-1, 2)
    to_corner = factor * np.array(SIZE) / points.max(axis=0)
    _, said = in_picture(GivenPoses(changed(CROWD, to_corner)), SIZE)
    assert said == [] if part is None else f"upper left {part} of the picture" in said[0]


def test_people_and_joints_outside():
    some = CROWD.keypoints_px.copy()
    some[0, :, 0] += 3 * SIZE[0]
    some[1, 16] = [-9 * SIZE[0], 5, 0.9]
    found, said = in_picture(GivenPoses(replace(CROWD, keypoints_px=some)), SIZE)
    assert len(found) == 29 and said[0].startswith("1 of 30 given people are outside")
    assert said[1].startswith("1 of the given joints") and found.keypoints_px[0, 16, 2] == 0
    with pytest.raises(DataError, match="of this picture in this size"):
        in_picture(GivenPoses(changed(CROWD, (2.0, 2.0))), SIZE)


def test_poses_of_a_larger_copy_are_doubted():
    points = CROWD.keypoints_px[..., :2].reshape(-1, 2)
    wide = (points[:, 0].max() - points[:, 0].min()) / SIZE[0]
    moved = changed(CROWD, (0.98 / wide, 1.0), (SIZE[0] * 0.1, 0.0))
    by = SIZE[0] - np.quantile(moved.keypoints_px[..., 0], 0.85)
    _, said = in_picture(GivenPoses(changed(moved, by=(by, 0.0))), SIZE)
    assert any("larger copy" in note for note in said)


@settings(max_examples=12)
@examples(times=st.integers(2, 30), noise=st.sampled_from([0.0, 0.004]), seed=st.integers(0, 9))
def test_everybody_is_taken_once(times, noise, seed):
    rng = np.random.default_rng(seed)
    many = Detections.cat([CROWD] * times)
    height = (many.box_px[:, 3] - many.box_px[:, 1])[:, None, None]
    points = many.keypoints_px.copy()
    points[..., :2] += noise * height * rng.normal(size=points[..., :2].shape)
    found, said = in_picture(GivenPoses(replace(many, keypoints_px=points)), SIZE)
    assert len(found) == 30 and "30 people were taken" in said[0]


def test_the_better_seen_of_two_poses_is_kept():
    half = CROWD.keypoints_px.copy()
    half[:, 9:] = 0  # cut at the waist
    both = Detections.cat([replace(CROWD, keypoints_px=half), CROWD])
    assert first_of_each(both).tolist() == list(range(30, 60))


def test_neighbours_are_not_the_same_person():
    beside = changed(CROWD, by=(0.25 * (CROWD.box_px[:, 3] - CROWD.box_px[:, 1]).mean(), 0.0))
    assert len(first_of_each(Detections.cat([CROWD, beside]))) == 60


def test_several_frames_in_one_are_doubted():
    step = 0.06 * (CROWD.box_px[:, 3] - CROWD.box_px[:, 1]).mean()
    frames = [changed(CROWD, by=(step * k, 0.0)) for k in range(4)]
    _, said = in_picture(GivenPoses(Detections.cat(frames)), SIZE)
    assert any("several pictures" in note for note in said)


def test_nobody():
    found, said = in_picture(GivenPoses(Detections.empty(), notes=("a note",)), SIZE)
    assert len(found) == 0 and said == ["a note"]
