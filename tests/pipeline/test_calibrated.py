"""A calibrated camera is honoured exactly: through a lens of five coefficients, with gravity and height."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.crowds_seen import Eyes, blank, crowd_on
from helpers.poses import CAMERA, HEIGHT_M, SIZE, SOURCE, UP, standing

from crowd3d import Camera, CameraHint, Plane, Scene
from crowd3d.cli import main
from crowd3d.config import Config
from crowd3d.data.keypoint_export import write_poses
from crowd3d.data.poses.given import GivenPoses
from crowd3d.ground.fit import assume_camera
from crowd3d.pipeline import search
from crowd3d.pipeline.assemble import to_scene
from crowd3d.pipeline.find import find_people
from crowd3d.pipeline.given_poses import people_of_poses
from crowd3d.scene.detections import Detections
from crowd3d.scene.known import KnownCamera, KnownGround

LENS = replace(
    CAMERA,
    center_px=(2015.0, 990.0),
    distortion=(-0.45, 0.2, 0.002, -0.0008, -0.004),
    pixel_aspect=1.003,
)
GROUND = KnownGround(tuple(-UP), HEIGHT_M)
CONFIG = Config(straight_edges=False)


def _seen_through(camera: Camera, people: Detections) -> Detections:
    """People of `helpers.poses`, as another camera at the same place sees them."""
    points = people.keypoints_px.copy()
    points[..., :2] = camera.project(CAMERA.rays(points[..., :2]))
    low, high = points[..., :2].min(axis=1), points[..., :2].max(axis=1)
    return replace(people, keypoints_px=points, box_px=np.concatenate([low, high], axis=1))


def _feet_m(people: Detections) -> np.ndarray:
    """(N, 3) where the people of `helpers.poses` stand: below the middle of their ankles."""
    ankles = CAMERA.rays(people.keypoints_px[:, 15:, :2].mean(axis=1))
    at_ankles = Plane(UP, HEIGHT_M - 0.039 * 1.7).intersect_m(ankles)
    return Plane(UP, HEIGHT_M).foot_m(at_ankles)


def _off(scene: Scene, people: Detections) -> np.ndarray:
    """(N,) how far feet are from the truth, over their distance."""
    truth = _feet_m(people)[scene.people.id]
    apart = np.linalg.norm(scene.people.hvip_m - truth, axis=1)
    return apart / np.linalg.norm(truth, axis=1)


def _in_order(people: Detections) -> Detections:
    """As `people_of_poses` orders them."""
    return people.filter(np.lexsort((people.box_px[:, 0], people.box_px[:, 1])))


@pytest.fixture(scope="module")
def bent() -> tuple[Detections, Detections]:
    """The same people without the lens, and as it shows them."""
    seen = _seen_through(LENS, standing(40))
    order = np.lexsort((seen.box_px[:, 0], seen.box_px[:, 1]))
    return standing(40).filter(order), seen.filter(order)


def test_all_given_is_honoured_exactly(bent):
    straight, people = bent
    known = replace(KnownCamera.of(LENS), ground=GROUND)
    seen = people_of_poses(GivenPoses(people), SOURCE, known, CONFIG)
    scene = to_scene("crowd.jpg", seen, known, CONFIG)
    assert scene.camera == LENS and scene.planes[0].offset_m == HEIGHT_M
    np.testing.assert_array_equal(scene.planes[0].normal, -np.array(GROUND.gravity))
    assert not np.any(scene.diagnostics["covariance_log_focal_pitch_roll_log_height"])
    assert len(scene.people) == 40 and not scene.diagnostics["warnings"]
    off = _off(scene, straight)
    assert np.median(off) < 0.008 and off.max() < 0.012
    # So it is not where the lens is not honoured.
    ignored = replace(KnownCamera.of(replace(LENS, distortion=(0.0, 0.0))), ground=GROUND)
    seen = people_of_poses(GivenPoses(people), SOURCE, ignored, CONFIG)
    assert _off(to_scene("crowd.jpg", seen, ignored, CONFIG), straight).max() > 0.02


def test_of_camera_gravity_and_height_the_missing_are_fitted(bent):
    straight, people = bent
    held = KnownCamera.of(LENS)
    for known in (held, replace(held, ground=KnownGround(height_m=HEIGHT_M)),
                  replace(held, ground=KnownGround(GROUND.gravity))):  # fmt: skip
        seen = people_of_poses(GivenPoses(people), SOURCE, known, CONFIG)
        assert seen.fitted.camera == LENS
        plane, sd = seen.fitted.planes[0], np.sqrt(np.diag(seen.fitted.covariance))
        if known.ground.gravity is None:
            assert np.arccos(plane.normal @ UP) < 4 * sd[1:3].max() + 1e-3
        else:
            assert plane.normal @ UP == pytest.approx(1) and not sd[1:3].any()
        assert abs(np.log(plane.offset_m / HEIGHT_M)) < 3 * sd[3] + 1e-12
        assert np.median(_off(to_scene("c.jpg", seen, known, CONFIG), straight)) < 0.04


def test_gravity_and_height_alone_give_the_focal_length():
    people = _in_order(standing(40))
    known = KnownCamera(SIZE, ground=GROUND)
    seen = people_of_poses(GivenPoses(people), SOURCE, known, CONFIG)
    assert seen.fitted.camera.focal_px == pytest.approx(CAMERA.focal_px, rel=0.06)
    assert seen.fitted.planes[0].offset_m == HEIGHT_M
    assert 0.001 < np.sqrt(seen.fitted.covariance[0, 0]) < 0.1
    np.testing.assert_allclose(seen.fitted.covariance[1:], 0, atol=1e-15)


def test_a_wrong_height_is_said(bent):
    _, people = bent
    known = replace(KnownCamera.of(LENS), ground=KnownGround(GROUND.gravity, 3.3 * HEIGHT_M))
    seen = people_of_poses(GivenPoses(people), SOURCE, known, CONFIG)
    first, second = to_scene("crowd.jpg", seen, known, CONFIG).diagnostics["warnings"]
    assert (
        "of 40 people have the size that the given camera and gravity and height predict" in first
    )
    assert "taller than" in second and "the given camera is not that of this picture" in second


def test_people_who_determine_nothing_keep_what_is_given():
    two = standing(2)
    known = KnownCamera(SIZE, ground=GROUND)
    fitted = assume_camera(two, known, CONFIG)
    assert fitted.planes[0].offset_m == HEIGHT_M and not fitted.covariance[1:].any()
    np.testing.assert_allclose(fitted.normal, UP)
    lower = assume_camera(
        two, replace(known, camera=CAMERA, ground=KnownGround(tuple(-UP))), CONFIG
    )
    assert lower.planes[0].offset_m == pytest.approx(HEIGHT_M, rel=0.25)


def test_a_search_keeps_them_too(monkeypatch):
    camera = replace(LENS, width=4000, height=2000)
    people = crowd_on(camera, GROUND.plane, 60, 1, away_m=(14, 60))
    eyes = Eyes(people)
    monkeypatch.setattr(search, "glance", eyes.glance)
    known = replace(KnownCamera.of(camera), ground=GROUND)
    config = Config(second_look=False, straight_edges=False)
    seen = find_people(blank(*SIZE), eyes, known, config)
    assert seen.is_fixed and seen.fitted.camera == camera
    assert seen.fitted.planes[0].offset_m == HEIGHT_M
    assert len(seen.people) >= 0.9 * len(people)


def _picture(folder):
    path = folder / "crowd.png"
    cv2.imwrite(str(path), np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    return path


def _stored(path):
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    K = LENS.K
    K[:2, 2] -= 0.5
    storage.write("camera_matrix", K)
    storage.write("distortion_coefficients", np.array(LENS.distortion))
    storage.release()
    return path


def test_from_the_command_line(tmp_path, bent):
    picture, calibration = _picture(tmp_path), _stored(tmp_path / "calibration.yml")
    write_poses(tmp_path / "poses.json", {"crowd.jpg": bent[1]}, "alphapose")
    gravity = ",".join(map(repr, GROUND.gravity))
    command = ["reconstruct", str(picture), "--quiet", "--keypoints", str(tmp_path / "poses.json")]
    command += ["--camera", str(calibration), "-o", str(tmp_path / "out")]
    given = [f"--gravity={gravity}", "--camera-height", str(HEIGHT_M)]
    result = CliRunner().invoke(main, [*command, *given])
    assert result.exit_code == 0, result.output
    scene = Scene.load(tmp_path / "out")
    assert scene.camera.distortion == LENS.distortion
    assert scene.camera.pixel_aspect == pytest.approx(LENS.pixel_aspect)
    assert scene.planes[0].offset_m == HEIGHT_M
    np.testing.assert_allclose(scene.planes[0].normal, UP, atol=1e-12)
    assert scene.diagnostics["warnings"] == [
        "the given camera (OpenCV) tells no size of its picture; it was taken to be this one's, "
        f"{SIZE[0]} x {SIZE[1]} px"
    ]
    # The same result may be written again; one with another height may not.
    assert CliRunner().invoke(main, [*command, *given]).exit_code == 0
    other = CliRunner().invoke(main, [*command, given[0], "--camera-height", "9"])
    assert other.exit_code == 2 and "--overwrite" in other.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gravity", "0,1"], "is not 3 numbers with commas between them"),
        (["--plane", "0,-1,0,x"], "is not 4 numbers"),
        (["--plane", "0,-1,0,nan"], "is not 4 numbers"),
        (["--plane", "0,-1,0,4", "--camera-height", "4"], "either --plane or --gravity"),
        (["--camera-height", "-3"], "not above the ground"),
        (["--gravity", "0,-1,0"], "points up in the picture"),
    ],
)
def test_impossible_options_are_one_line(tmp_path, options, message):
    command = ["reconstruct", str(_picture(tmp_path)), "-o", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2 and message in result.output
    assert "Traceback" not in result.output and not (tmp_path / "out").exists()


def test_a_hint_may_be_given_in_python(tmp_path):
    hint = CameraHint(camera=LENS, plane=(*UP, HEIGHT_M))
    known = hint.resolve(*SIZE)
    assert known.is_complete and known.camera == LENS
    np.testing.assert_allclose(known.ground.plane.normal, UP)
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(LENS.to_dict() | {"plane": [*UP, HEIGHT_M]}))
    assert CameraHint(camera_json=path).resolve(*SIZE).ground == known.ground
