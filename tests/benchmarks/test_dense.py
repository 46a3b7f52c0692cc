"""Who counts as found in a dense crowd, and in everyday photographs."""

from pathlib import Path

import dense
import everyday
import numpy as np
from shared.photographs import Picture

from crowd3d.scene.people import People


def _people(heads: list[list[float]], height: float = 100.0, score: float = 0.8) -> People:
    """People whose faces are at these places."""
    places = np.array(heads, float).reshape(-1, 2)
    n = len(places)
    keypoints = np.full((n, 17, 3), 0.6)
    keypoints[..., :2] = places[:, None]
    low, high = np.array([15.0, 8.0]), np.array([15.0, height - 8])
    box = np.concatenate([places - low, places + high], axis=1)
    return People.unplaced_rows(
        score=np.full(n, score), box_px=box, keypoints_px=keypoints,
        pose=np.zeros((n, 24, 3)), betas=np.zeros((n, 10)), fisher=np.zeros((n, 24, 3, 3)),
        seen=np.full(n, 2), support=np.ones(n, int),
    )  # fmt: skip


def _picture(heads: list[list[float]], counts: list[bool]) -> dense.Picture:
    unknown = np.full(len(heads), np.nan)
    return dense.Picture("a", Path("a"), np.array(heads, float), np.array(counts), unknown, unknown)


def test_a_head_is_found_once_and_only_near_it():
    picture = _picture([[100, 100], [300, 100]], [True, True])
    one = dense.compared(picture, _people([[104, 100], [97, 100], [300, 120]]), 1.0)
    assert one.right.sum() == 1 and one.found.tolist() == [True, False]


def test_who_need_not_be_found_is_neither_right_nor_wrong():
    picture = _picture([[100, 100], [300, 100]], [True, False])
    one = dense.compared(picture, _people([[100, 100], [300, 100]]), 1.0)
    assert one.right.all() and one.counts.tolist() == [True, False]


def test_points_are_read_from_tables(tmp_path):
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "b.csv").write_text("u,v\n1.5,2\n3,4\n")
    (picture,) = dense.photographs(tmp_path)
    np.testing.assert_array_equal(picture.heads_px, [[1.5, 2], [3, 4]])


def test_pictures_are_summed_up():
    first = dense.compared(_picture([[100, 100]], [True]), _people([[100, 100]]), 1.0)
    second = dense.compared(
        _picture([[100, 100], [500, 500]], [True, True]), _people([[300, 100]]), 1.0
    )
    (row,) = dense.summary_table({"x": [first, second]}, "w", "t").rows
    assert row[:4] == ["x", 3.0, 2.0, 1.0]
    np.testing.assert_allclose(row[4:6], [1 / 3, 1 / 2])


def test_people_in_an_annotated_crowd_are_no_errors():
    people = _people([[100, 100], [300, 100], [600, 100]])
    keypoints = people.keypoints_px[:1].copy()
    keypoints[..., 2] = 2
    picture = Picture(Path("a"), people.box_px[:1], np.ones(1, bool))
    crowd = np.array([[250.0, 50, 350, 250]])
    one = everyday.Annotated(picture, crowd, keypoints, np.array([3000.0]))
    found = everyday.answer(one, people)
    assert (found.annotated, found.found, found.false) == (1, 1, 1)
    assert (found.tall, found.tall_found) == (1, 1)
    np.testing.assert_allclose(found.similarity, 1.0)
