"""Pictures that may be panoramas without saying so are doubted in words, and perspective pictures are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from crowd3d.config import Config
from crowd3d.ground.unsaid_panorama import panorama_doubt
from crowd3d.picture.camera_hint import CameraHint
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.known import KnownCamera
from optim.anthropometry import HEIGHT_FRACTION
from optim.geometry import normal_from_pitch_roll
from tiling import open_image

WIDE, USUAL = (1600, 700), (1600, 1000)


def street(camera: Camera) -> np.ndarray:
    """A drawn house front: level bands and upright posts, as a camera sees them."""
    picture = np.full((camera.height, camera.width, 3), 190, np.uint8)

    def draw(points_m: np.ndarray, thick: int) -> None:
        pixels = camera.project(points_m)
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        line = np.round(np.clip(pixels, -9000, 9000) * 16).astype(np.int32)
        cv2.polylines(picture, [line], False, (60, 60, 60), thick, cv2.LINE_AA, 4)

    along = np.linspace(-30, 30, 600)
    for height in (-5.0, -3.5, -2.2, 1.2, 2.0):
        draw(np.stack([along, np.full(600, height), np.full(600, 10.0)], axis=1), 9)
    for across in np.arange(-24.0, 25.0, 4.0):
        up = np.linspace(-5, 2, 60)
        draw(np.stack([np.full(60, across), up, np.full(60, 10.0)], axis=1), 7)
    return picture


def people(camera: Camera, pitch_deg: float, n: int = 60) -> Detections:
    """People on the ground 4 m below a camera that looks down by an angle."""
    rng = np.random.default_rng(5)
    normal = normal_from_pitch_roll(np.radians(pitch_deg), 0.0)
    pixel = rng.uniform((0, 0.3 * camera.height), (camera.width, camera.height), (4 * n, 2))
    rays = camera.rays(pixel)
    fall = -(rays @ normal)
    foot = (rays * (4.0 / np.maximum(fall, 1e-9))[:, None])[(fall > 0.08) & (fall < 0.6)][:n]
    up = normal + rng.normal(0, 0.03, (len(foot), 3))
    stature = rng.normal(1.7, 0.07, len(foot))[:, None, None]
    shape = np.nan_to_num(HEIGHT_FRACTION, nan=0.94)[:, None] * up[:, None]
    pixels = camera.project(foot[:, None] + stature * shape)
    pixels += rng.normal(0, 0.5, pixels.shape)
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    one = np.ones(len(foot))
    keypoints = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 0.7)], axis=2)
    return Detections(
        one, one, np.concatenate([low - 3, high + 3], axis=1), keypoints,
        np.zeros(len(foot), bool), np.zeros(len(foot), np.int64),
    )  # fmt: skip


def doubt(tmp_path: Path, picture: np.ndarray, seen: Detections, **known: object) -> str | None:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), picture)
    with open_image(path) as source:
        size = (source.width, source.height)
        what = KnownCamera(size, projection_is_assumed=True, **known)
        return panorama_doubt(source, seen, what, Config())


@pytest.mark.parametrize("size", [WIDE, USUAL])
def test_edges_tell_a_cylinder_and_its_width(tmp_path, size):
    said = doubt(tmp_path, street(Camera.from_fov(*size, 110, "cylindrical")), Detections.empty())
    assert "panorama of about 110 degrees" in said and "--projection cylindrical" in said


@pytest.mark.parametrize("size", [WIDE, USUAL])
@pytest.mark.parametrize("fov_deg", [50, 75, 100])
def test_edges_tell_a_lens(tmp_path, size, fov_deg):
    picture = street(Camera.from_fov(*size, fov_deg))
    assert doubt(tmp_path, picture, Detections.empty()) is None


def blank(size: tuple[int, int]) -> np.ndarray:
    return np.full((size[1], size[0], 3), 120, np.uint8)


def test_without_edges_people_decide(tmp_path):
    round_about = Camera.from_fov(*WIDE, 130, "cylindrical")
    said = doubt(tmp_path, blank(WIDE), people(round_about, 8))
    assert "as in a panorama of about 1" in said
    assert doubt(tmp_path, blank(WIDE), people(Camera.from_fov(*WIDE, 60), 14)) is None
    # In a picture of a usual shape they alone are not enough to doubt it.
    assert (
        doubt(tmp_path, blank(USUAL), people(Camera.from_fov(*USUAL, 130, "cylindrical"), 8))
        is None
    )


def test_a_wide_picture_that_shows_nothing_is_doubted_and_a_usual_one_is_not(tmp_path):
    said = doubt(tmp_path, blank(WIDE), Detections.empty())
    assert said.startswith("the picture is wider than 2:1") and "--projection cylindrical" in said
    assert doubt(tmp_path, blank(USUAL), Detections.empty()) is None


def test_who_says_what_the_projection_is_gets_no_doubt(tmp_path):
    assert CameraHint().resolve(*WIDE).projection_is_assumed
    for hint in (
        CameraHint(projection="perspective"),
        CameraHint(projection="cylindrical"),
        CameraHint(fov_deg=60.0),
        CameraHint(focal_px=900.0),
    ):
        known = hint.resolve(*WIDE)
        assert not known.projection_is_assumed
        path = tmp_path / "picture.png"
        cv2.imwrite(str(path), blank(WIDE))
        with open_image(path) as source:
            assert panorama_doubt(source, Detections.empty(), known, Config()) is None
