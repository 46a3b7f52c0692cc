"""Fisheyes and steep views are unrolled so that everybody stands; what is found goes back into the picture."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from crowd3d import Camera, Plane
from crowd3d.picture.unrolled import Unrolled, UnrolledPicture, lies_in_picture
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from tiling import open_image

SIDE = 600
FISHEYE = Camera.from_fov(SIDE, SIDE, 180, "fisheye")
EQUISOLID = Camera.from_fov(SIDE, SIDE, 190, "fisheye-equisolid")
STEEP = Camera.from_fov(SIDE, SIDE, 70)


def up_of(pitch_deg: float, roll_deg: float = 0.0) -> np.ndarray:
    p, r = math.radians(pitch_deg), math.radians(roll_deg)
    return np.array([math.sin(r) * math.cos(p), -math.cos(r) * math.cos(p), -math.sin(p)])


VIEWS = pytest.mark.parametrize(
    ("camera", "up"),
    [
        (FISHEYE, up_of(90)),
        (FISHEYE, up_of(30, 5)),
        (EQUISOLID, up_of(80, -20)),
        (STEEP, up_of(80)),
        (STEEP, up_of(65, 10)),
    ],
)


@VIEWS
def test_people_stand_upright_wherever_they_are(camera: Camera, up: np.ndarray):
    around = Unrolled.of(camera, up)
    plane = Plane(up, 5.0)
    u, v = np.meshgrid(np.linspace(20, SIDE - 20, 25), np.linspace(20, SIDE - 20, 25))
    foot_m = plane.intersect_m(camera.rays(np.stack([u, v], axis=-1).reshape(-1, 2)))
    # Not those straight below, nor those at the horizon.
    away = np.linalg.norm(foot_m + 5.0 * up, axis=1)
    foot_m = foot_m[(away > 1.0) & (away < 60.0)]
    assert len(foot_m) > 100
    foot, head = (
        around.panorama.project(p @ around.R_level_cam.T) for p in (foot_m, foot_m + 1.7 * up)
    )
    np.testing.assert_allclose(foot[:, 0], head[:, 0], atol=1e-6)
    assert (head[:, 1] < foot[:, 1]).all()
    assert (foot >= -1).all() and (foot <= (around.panorama.width + 1, np.inf)).all()


@VIEWS
def test_pixels_go_there_and_back(camera: Camera, up: np.ndarray):
    around = Unrolled.of(camera, up)
    pixels = np.random.default_rng(0).uniform(0.2 * SIDE, 0.8 * SIDE, (200, 2))
    np.testing.assert_allclose(around.to_picture(around.to_panorama(pixels)), pixels, atol=1e-6)


def test_only_a_view_all_around_has_a_seam():
    assert Unrolled.of(FISHEYE, up_of(90)).panorama.turn_px is not None
    assert Unrolled.of(STEEP, up_of(80)).panorama.turn_px is not None
    ahead = Unrolled.of(FISHEYE, up_of(0)).panorama
    assert ahead.turn_px is None and math.degrees(ahead.fov_rad) > 180


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture whose colour is the ray of its pixel."""
    u, v = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    rays = FISHEYE.rays(np.stack([u, v], axis=-1))
    path = tmp_path_factory.mktemp("sky") / "sky.png"
    cv2.imwrite(str(path), np.round(127.5 + 120 * rays[..., ::-1]).astype(np.uint8))
    return path


@pytest.mark.parametrize("scale", [0.5, 0.2])
def test_every_pixel_of_the_panorama_shows_its_ray(sky: Path, scale: float):
    around = Unrolled.of(FISHEYE, up_of(70, 10))
    width, height = around.panorama.width, around.panorama.height
    size = (round(width * scale), round(height * scale))
    with open_image(sky) as source:
        unrolled = UnrolledPicture(source, around)
        pixels = unrolled.read(0, 0, width, height, size)
        beyond = unrolled.read(-50, -50, 40, 40)
        assert unrolled.identity != source.identity
        assert (
            unrolled.identity != UnrolledPicture(source, Unrolled.of(FISHEYE, up_of(60))).identity
        )
    assert (beyond == 114).all()
    u, v = ((np.arange(n) + 0.5) / scale for n in size)
    places = np.stack(np.meshgrid(u, v), axis=-1)
    rays = around.panorama.rays(places) @ around.R_level_cam
    shown = around.to_picture(places)
    inside = ((shown > 3) & (shown < SIDE - 3)).all(axis=-1)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(pixels[inside], 127.5 + 120 * rays[inside], atol=4)
    outside = ((shown < -3) | (shown > SIDE + 3)).any(axis=-1)
    assert (pixels[outside] == 114).all()


def test_people_go_back_into_the_picture():
    around = Unrolled.of(FISHEYE, up_of(90))
    # Somebody to the right of the point below: the head to the right, the body on its side.
    foot_m, head_m = np.array([3.0, 0.0, 4.0]), np.array([3.0, 0.0, 2.3])
    ends = around.panorama.project(np.stack([head_m, foot_m]) @ around.R_level_cam.T)
    (u, top), (_, bottom) = ends
    wide = 0.3 * (bottom - top)
    keypoints = np.zeros((1, 17, 3))
    keypoints[0, :5] = [u, top, 0.9]
    keypoints[0, 5:] = [u, bottom, 0.8]
    one = np.ones(1)
    people = Detections(
        one, one, np.array([[u - wide / 2, top, u + wide / 2, bottom]]), keypoints,
        np.zeros(1, bool), np.zeros(1, np.int64), head_px=np.array([0.135 * (bottom - top)]),
    )  # fmt: skip
    back = around.people_in_picture(people)
    head, foot = FISHEYE.project(head_m), FISHEYE.project(foot_m)
    np.testing.assert_allclose(back.keypoints_px[0, 0], [*head, 0.9], atol=1e-6)
    np.testing.assert_allclose(back.keypoints_px[0, 16], [*foot, 0.8], atol=1e-6)
    left, top, right, bottom = back.box_px[0]
    assert right == pytest.approx(head[0], abs=0.5) and left == pytest.approx(foot[0], abs=0.5)
    assert right - left > 2 * (bottom - top)
    assert back.head_px[0] == pytest.approx(0.135 * (head[0] - foot[0]), rel=0.02)


def test_what_the_camera_cannot_show_is_left_out():
    around = Unrolled.of(STEEP, up_of(65))
    box = np.array([[10.0, 5.0, 30.0, 60.0]]) - [0, 4000, 0, 4000]
    one = np.ones(1)
    lost = Detections(
        one, one, box, np.full((1, 17, 3), -4000.0), np.zeros(1, bool), np.zeros(1, np.int64)
    )
    assert not around.shows(lost).any()


@VIEWS
def test_camera_and_ground_go_there_and_back(camera: Camera, up: np.ndarray):
    around = Unrolled.of(camera, up)
    tilted = around.R_level_cam @ up + [0.03, 0.0, 0.02]
    tilted /= np.linalg.norm(tilted)
    spread = np.diag([0.0, 0.02, 0.01, 0.05])
    spread[1, 2] = 0.005
    fitted = Fitted(around.panorama, [Plane(tilted, 5.0)], spread @ spread.T, {"focal": "given"})
    there = around.fitted_in_picture(fitted)
    assert there.camera == camera
    np.testing.assert_allclose(there.normal, around.R_level_cam.T @ tilted, atol=1e-12)
    back = around.fitted_in_panorama(there)
    np.testing.assert_allclose(back.normal, tilted, atol=1e-12)
    np.testing.assert_allclose(back.covariance, fitted.covariance, atol=1e-9)
    assert back.covariance[3, 3] == fitted.covariance[3, 3]


@pytest.mark.parametrize(("pitch_deg", "lies"), [(20, False), (45, False), (80, True), (90, True)])
def test_steep_views_are_told(pitch_deg: float, lies: bool):
    assert lies_in_picture(Camera.from_fov(4000, 2600, 65), Plane(up_of(pitch_deg), 8.0)) == lies
