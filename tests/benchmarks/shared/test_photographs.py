"""Who of the annotated people counts, and who of them was found."""

import numpy as np
from shared import photographs

from crowd3d.scene.detections import Detections


def test_each_annotated_person_is_found_once():
    boxes = np.array([[0.0, 0, 10, 30], [50, 0, 60, 30]])
    keypoints, one, none = np.zeros((3, 17, 3)), np.ones(3), np.zeros(3, np.int64)
    found = Detections(
        one, one, np.vstack([boxes[1], boxes[1] + 1, boxes[0]]), keypoints, none > 0, none
    )
    assert photographs.owners(found, boxes).tolist() == [1, -1, 0]
    assert photographs.owners(found, np.zeros((0, 4))).tolist() == [-1, -1, -1]


def test_people_behind_nearer_ones_or_cut_by_the_border_do_not_count():
    boxes = np.array([[10.0, 10, 30, 80], [15, 20, 35, 90], [60, 10, 80, 80], [90, 10, 100, 80]])
    assert photographs.seen_by_boxes(boxes, (100, 100)).tolist() == [False, True, True, False]


def test_who_is_seen_has_half_of_the_keypoints_and_the_whole_trunk():
    flags = np.zeros((3, 17, 3))
    flags[0, :8, 2] = 2  # without hips
    flags[1, [5, 6, 7, 8, 9, 10, 11, 12], 2] = 2
    flags[2, [5, 6, 11, 12], 2] = 2  # too few
    assert photographs.seen_by_keypoints(flags).tolist() == [False, True, False]
