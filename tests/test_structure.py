"""Straight lines of a picture are found where they were drawn, and not on people."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from crowd3d.structure import find_lines
from tiling import open_image


@pytest.mark.parametrize("scale", [1, 4])
def test_drawn_edges_are_found_in_pixels_of_the_full_picture(tmp_path, scale):
    picture = np.full((600 * scale, 900 * scale, 3), 200, np.uint8)
    corner = np.array([[300, 100], [420, 500]]) * scale
    cv2.rectangle(picture, corner[0].tolist(), corner[1].tolist(), (40, 40, 40), -1)
    cv2.imwrite(str(tmp_path / "box.png"), picture)
    with open_image(tmp_path / "box.png") as source:
        lines = find_lines(source, np.zeros((0, 4)))
        hidden = find_lines(source, np.array([[250.0, 50.0, 480.0, 550.0]]) * scale)
    upright = np.abs(lines[:, 0] - lines[:, 2]) < 3 * scale
    ends = np.sort(lines[upright][:, [1, 3]], axis=1)
    assert upright.sum() == 2
    np.testing.assert_allclose(ends, [[100 * scale, 500 * scale]] * 2, atol=6 * scale)
    np.testing.assert_allclose(
        np.sort(lines[upright][:, 0]), [300 * scale, 420 * scale], atol=2 * scale
    )
    assert len(hidden) == 0


def test_a_blank_picture_has_no_lines(tmp_path):
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((200, 300, 3), 90, np.uint8))
    with open_image(tmp_path / "blank.png") as source:
        assert find_lines(source, np.zeros((0, 4))).shape == (0, 4)
