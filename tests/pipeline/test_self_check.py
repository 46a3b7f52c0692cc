"""What is absurd about a scene is said; what is usual is not."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.scenes import SCATTERED_CAMERA, scattered_scene

from crowd3d import Camera, Plane
from crowd3d.pipeline import nobody
from crowd3d.pipeline.self_check import doubts
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera

SIZE = (SCATTERED_CAMERA.width, SCATTERED_CAMERA.height)
SURE = 1e-4 * np.eye(4)
UNKNOWN = KnownCamera(SIZE)


def _said(stature_m=None, camera=SCATTERED_CAMERA, height_m=6.0, known=UNKNOWN, **report):
    scene = scattered_scene(100)
    people = scene.people
    if stature_m is not None:
        people = replace(people.filter(np.arange(len(stature_m))), stature_m=np.array(stature_m))
    else:
        people.stature_m = np.random.default_rng(0).normal(1.68, 0.12, 100)
    fitted = Fitted(camera, [Plane(np.array([0.0, -1.0, 0.0]), height_m)], SURE, report)
    return doubts(people, fitted, known, 100)


def test_a_usual_crowd_is_left_alone():
    assert _said() == []


def test_one_giant_in_a_crowd_is_left_alone():
    assert _said([1.7] * 40 + [2.2]) == []


@pytest.mark.parametrize(
    ("stature_m", "words"),
    [
        ([1.7] * 9 + [2.2, 2.4], "2 of 11 people are taller than 2.05 m (2.40 m)"),
        ([1.7] * 9 + [0.5, 0.6], "2 of 11 people are shorter than 0.8 m (0.50 m)"),
        ([1.95] * 10, "half of the people are taller than 1.95 m"),
        ([1.3] * 10, "half of the people are taller than 1.30 m"),
        (np.linspace(1.2, 2.04, 20), "the people differ too much"),
    ],
)
def test_statures_that_no_crowd_has_are_said(stature_m, words):
    (said,) = _said(stature_m)
    assert words in said and "--ground" in said and "field of view of 62 degrees" in said
    (said,) = _said(stature_m, known=KnownCamera.of(SCATTERED_CAMERA))
    assert "the given camera" in said


def test_a_field_of_view_that_no_flat_picture_has_is_said():
    (said,) = _said(camera=Camera.from_fov(*SIZE, 130))
    assert "130 degrees" in said and "--projection" in said
    assert _said(camera=Camera.from_fov(*SIZE, 130, "cylindrical")) == []


@pytest.mark.parametrize("height_m", [0.1, 500.0])
def test_a_camera_at_an_impossible_height_is_said(height_m):
    (said,) = _said(height_m=height_m)
    assert f"{height_m:g} m above the ground" in said


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({"share_explained": 0.4}, "only 40% of the people fit one ground"),
        ({"lines_apart_sd": 63.0}, "by 63 standard deviations"),
    ],
)
def test_a_fit_that_contradicts_itself_is_said(report, words):
    (said,) = _said(**report)
    assert words in said
    assert _said(share_explained=0.9, lines_apart_sd=4.6) == []


def test_many_people_off_the_ground_are_said():
    people = scattered_scene(20).people
    people.plane[:6] = -1
    ground = Plane(np.array([0.0, -1.0, 0.0]), 6.0)
    fitted = Fitted(SCATTERED_CAMERA, [ground], SURE, {})
    (said,) = doubts(people, fitted, UNKNOWN, 20)
    assert said.startswith("30% of the people do not fit the ground")


def _noise(mean: float) -> np.ndarray:
    values = np.random.default_rng(0).normal(mean, 12, (200, 300, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def _candidates(height_px: float) -> Detections:
    n = 9
    box = np.tile([10.0, 10.0, 20.0, 10.0 + height_px], (n, 1))
    score = np.full(n, 0.2)
    return Detections(score, score, box, np.zeros((n, 17, 3)), np.zeros(n, bool), np.zeros(n, int))


@pytest.mark.parametrize(
    ("picture", "height_px", "words"),
    [
        (_noise(20), 80, "the picture is dark"),
        (np.full((200, 300, 3), 250, np.uint8), 80, "plain colour, as in a drawing"),
        (_noise(128), 14, "14 px tall"),
        (_noise(128), 80, "--precision 0.8"),
    ],
)
def test_nobody_found_says_what_may_be_why(picture, height_px, words):
    (said,) = nobody.reasons(_candidates(height_px), picture, 25.0, 0.62)
    assert words in said


def test_a_picture_without_any_candidate_has_a_reason_too():
    (said,) = nobody.reasons(Detections.empty(), _noise(128), 25.0, 0.62)
    assert "nothing looked enough like a person" in said
