"""What the network is shown of panoramas: upright, undistorted, whole at the seam."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from crowd3d import Camera
from crowd3d.picture.windows import FLAT, Upright, windows
from tiling import Tile, open_image

WIDTH, HEIGHT = 1440, 720
SPHERE = Camera.from_fov(WIDTH, HEIGHT, 360, "equirectangular")


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture whose colour is the ray: smooth on the sphere, so also across the seam."""
    u, v = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = SPHERE.rays(np.stack([u, v], axis=-1))
    path = tmp_path_factory.mktemp("sky") / "sky.png"
    cv2.imwrite(str(path), np.round(127.5 + 120 * rays[..., ::-1]).astype(np.uint8))
    return path


def _tile(x: float, y: float, side: float) -> Tile:
    return Tile(x, y, side, side, 96, 96, 0, 0, (1.0, 100.0))


@pytest.mark.parametrize("x", [300.0, -90.0, 1400.0])
@pytest.mark.parametrize("y", [200.0, 430.0])
def test_every_pixel_of_a_window_shows_its_ray(sky: Path, x: float, y: float) -> None:
    view = windows(SPHERE)
    tile = _tile(x, y, 150.0)
    with open_image(sky) as source:
        pixels = view.read(source, tile)
    u, v = np.meshgrid(np.arange(96) + 0.5, np.arange(96) + 0.5)
    rays = SPHERE.rays(view.to_picture(tile, np.stack([u, v], axis=-1)))
    np.testing.assert_allclose(pixels, 127.5 + 120 * rays, atol=2.5)


@pytest.mark.parametrize(
    "kind", ["cylindrical", "equirectangular", "mercator", "fisheye", "fisheye-equisolid"]
)
def test_windows_are_perspective_and_upright(kind: str) -> None:
    camera = Camera.from_fov(3000, 700, 200, kind)
    up = np.array([0.1, -0.98, -0.15])
    view = Upright(camera, tuple(up / np.linalg.norm(up)))
    tile = _tile(2300.0, 380.0, 200.0)
    # Straight lines stay straight, and the vertical through the centre stays vertical.
    center = camera.rays([tile.x + 100.0, tile.y + 100.0])
    line = 5.0 * center + np.linspace(-0.3, 0.3, 7)[:, None] * np.array(view.up)
    seen = camera.unwrapped(camera.project(line), [tile.x + 100.0, 0.0])
    grid = np.stack(np.meshgrid(np.linspace(0, 96, 193), np.linspace(0, 96, 193)), axis=-1)
    where = view.to_picture(tile, grid).reshape(-1, 2)
    nearest = grid.reshape(-1, 2)[np.linalg.norm(seen[:, None] - where, axis=-1).argmin(axis=1)]
    np.testing.assert_allclose(nearest[:, 0], 48.0, atol=0.6)
    np.testing.assert_allclose(view.to_picture(tile, np.array([48.0, 48.0])), [2400.0, 480.0])


def test_a_window_straight_below_a_fisheye_is_a_window():
    ceiling = Camera.from_fov(1000, 1000, 180, "fisheye")
    view = windows(ceiling, (0.0, 0.0, -1.0))
    places = view.to_picture(_tile(400.0, 400.0, 200.0), np.array([[48.0, 48.0], [58.0, 48.0]]))
    np.testing.assert_allclose(places[0], [500.0, 500.0], atol=1e-6)
    assert np.linalg.norm(places[1] - places[0]) == pytest.approx(10 / 96 * 200, rel=0.01)


def test_a_window_has_the_scale_of_its_tile() -> None:
    camera = Camera.from_fov(3000, 700, 200, "cylindrical")
    tile = _tile(1000.0, 500.0, 200.0)
    step = windows(camera).to_picture(tile, np.array([[48.0, 47.0], [48.0, 49.0]]))
    assert step[1, 1] - step[0, 1] == pytest.approx(2 / tile.scale, rel=1e-3)


def test_pictures_go_on_across_a_seam_only() -> None:
    left = _tile(0.0, 0.0, 200.0)
    assert windows(SPHERE).continues(left, (WIDTH, HEIGHT)) == (True, False, True, True)
    half = Camera.from_fov(WIDTH, HEIGHT, 180, "cylindrical")
    assert windows(half).continues(left, (WIDTH, HEIGHT)) == (False, False, True, True)
    assert windows(Camera.from_fov(WIDTH, HEIGHT, 60)) is FLAT and windows(None) is FLAT


def test_unwrapping_never_moves_by_more_than_half_a_turn() -> None:
    turn = 2 * math.pi * SPHERE.focal_px
    points = SPHERE.unwrapped(np.array([[10.0, 5.0], [1430.0, 5.0]]), [1435.0, 0.0])
    np.testing.assert_allclose(points[:, 0], [10.0 + turn, 1430.0])
