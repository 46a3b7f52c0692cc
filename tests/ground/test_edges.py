"""Straight lines of a picture are found where they were drawn, and not on people."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from crowd3d.config import Config
from crowd3d.ground.edges import find_structure
from crowd3d.scene.known import KnownCamera
from optim.projection import rays
from tiling import open_image

NOBODY = np.zeros((0, 4))


def lines_of(source, people_box_px=NOBODY):
    return find_structure(source, people_box_px, unknown(source), Config()).lines_px


def unknown(source):
    return KnownCamera((source.width, source.height))


@pytest.mark.parametrize("scale", [1, 4])
def test_drawn_edges_are_found_in_pixels_of_the_full_picture(tmp_path, scale):
    picture = np.full((600 * scale, 900 * scale, 3), 200, np.uint8)
    corner = np.array([[300, 100], [420, 500]]) * scale
    cv2.rectangle(picture, corner[0].tolist(), corner[1].tolist(), (40, 40, 40), -1)
    cv2.imwrite(str(tmp_path / "box.png"), picture)
    with open_image(tmp_path / "box.png") as source:
        lines = lines_of(source)
        hidden = lines_of(source, np.array([[250.0, 50.0, 480.0, 550.0]]) * scale)
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
        assert lines_of(source).shape == (0, 4)


def bent_grid(k1: float) -> np.ndarray:
    """A checkerboard of 1200 x 900 px through a lens with k1, radii in half diagonals."""
    size = np.array([1200, 900])
    center, unit_px = size / 2, float(np.hypot(*size) / 2)
    v, u = np.mgrid[0 : size[1], 0 : size[0]] + 0.5
    directions = rays(np.stack([u, v], axis=-1), unit_px, center, (k1, 0.0))
    straight = directions[..., :2] / directions[..., 2:] * unit_px + center
    shade = 0.5 + 0.5 * np.prod(np.tanh(40 * np.sin(np.pi * (straight + 40) / 150)), axis=-1)
    picture = 40 + 170 * shade + np.random.default_rng(0).normal(0, 3, shade.shape)
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("k1", [-0.05, 0.0])
def test_the_lens_is_read_from_the_picture(tmp_path, k1):
    cv2.imwrite(str(tmp_path / "grid.png"), bent_grid(k1))
    with open_image(tmp_path / "grid.png") as source:
        lens = find_structure(source, NOBODY, unknown(source), Config()).lens
    assert lens.k1 == pytest.approx(k1, abs=0.01)
    assert lens.is_bent == (k1 != 0)


def test_nobody_looks_where_it_would_be_no_use(tmp_path):
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((200, 300, 3), 90, np.uint8))
    with open_image(tmp_path / "blank.png") as source:
        known = unknown(source)
        bent = replace(known, projection="cylindrical")
        assert find_structure(source, NOBODY, bent, Config()) is None
        assert find_structure(source, NOBODY, known, Config(straight_edges=False)) is None
        whole = replace(known, center_is_known=True)
        assert find_structure(source, NOBODY, whole, Config()).lens is None
