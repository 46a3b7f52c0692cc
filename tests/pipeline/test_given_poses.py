"""Own 2D poses replace the detector: from a file of keypoints to a scene, without looking at a pixel."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.poses import CAMERA, HEIGHT_M, SIZE, SOURCE, UP, standing

from crowd3d import Scene
from crowd3d.cli import main
from crowd3d.config import Config
from crowd3d.data.keypoint_export import write_poses
from crowd3d.data.keypoint_files import FORMATS
from crowd3d.data.poses.given import GivenPoses
from crowd3d.data.poses.reading import poses_of_picture
from crowd3d.errors import DataError
from crowd3d.pipeline import assemble
from crowd3d.pipeline.given_poses import people_of_poses
from crowd3d.scene.detections import Detections
from crowd3d.scene.known import KnownCamera

UNKNOWN = KnownCamera(SIZE)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_of_poses_gives_camera_ground_and_people(tmp_path, format):
    path = tmp_path / "poses.json"
    write_poses(path, {"crowd.jpg": standing()}, format, {"crowd.jpg": SIZE})
    config = Config(straight_edges=False)
    seen = people_of_poses(poses_of_picture(path, "crowd.jpg"), SOURCE, UNKNOWN, config)
    assert seen.fitted is not None and len(seen.people) == 60
    assert (np.diff(seen.people.box_px[:, 1]) >= 0).all()
    assert seen.fitted.camera.focal_px == pytest.approx(CAMERA.focal_px, rel=0.2)
    plane = seen.fitted.planes[0]
    assert plane.offset_m == pytest.approx(HEIGHT_M, rel=0.2)
    assert np.rad2deg(np.arccos(plane.normal @ UP)) < 3


def test_a_given_camera_is_kept_and_everybody_gets_a_body():
    config = Config(straight_edges=False).replace(refine_scene=False)
    seen = people_of_poses(GivenPoses(standing(20)), SOURCE, KnownCamera.of(CAMERA), config)
    scene = assemble.to_scene("crowd.jpg", seen, KnownCamera.of(CAMERA), config)
    assert scene.camera.focal_px == CAMERA.focal_px
    assert len(scene.people) == 20 and np.isfinite(scene.people.pose).all()
    assert scene.planes[0].offset_m == pytest.approx(HEIGHT_M, rel=0.1)


def test_poses_of_another_picture_are_noticed():
    poses = standing()
    poses.keypoints_px[..., :2] *= 3
    poses.box_px *= 3
    with pytest.raises(DataError, match="of this picture in this size"):
        people_of_poses(GivenPoses(poses), SOURCE, UNKNOWN, Config(straight_edges=False))


def test_nobody_is_an_answer():
    seen = people_of_poses(
        GivenPoses(Detections.empty()), SOURCE, UNKNOWN, Config(straight_edges=False)
    )
    assert seen.fitted is None and len(seen.people) == 0


def test_what_was_assumed_of_poses_reaches_terminal_and_scene(tmp_path):
    picture = tmp_path / "crowd.png"
    cv2.imwrite(str(picture), np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    people = standing(12)
    people.keypoints_px[..., :2] /= SIZE
    people.box_px /= np.tile(SIZE, 2)
    write_poses(tmp_path / "poses.json", {"crowd.jpg": people}, "openpose")
    options = [
        "--keypoints",
        str(tmp_path / "poses.json"),
        "--fov",
        "60",
        "-o",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(main, ["reconstruct", str(picture), *options])
    assert result.exit_code == 0, result.output
    warnings = Scene.load(tmp_path / "out").diagnostics["warnings"]
    assert any("between 0 and 1" in warning for warning in warnings)
    assert all(warning in result.output for warning in warnings)


def test_from_the_command_line_to_the_files(tmp_path):
    picture = tmp_path / "crowd.png"
    cv2.imwrite(str(picture), np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    write_poses(tmp_path / "poses.json", {"crowd.jpg": standing(20)}, "alphapose")
    options = ["--keypoints", str(tmp_path / "poses.json"), "--fov", "60", "-o"]
    result = CliRunner().invoke(
        main, ["reconstruct", str(picture), *options, str(tmp_path / "out"), "--quiet"]
    )
    assert result.exit_code == 0, result.output
    scene = Scene.load(tmp_path / "out")
    assert len(scene.people) == 20
    assert scene.diagnostics["versions"]["weights"] == "own 2D poses"
    (tmp_path / "poses.json").write_text("{}")
    result = CliRunner().invoke(
        main, ["reconstruct", str(picture), *options, str(tmp_path / "no"), "--quiet"]
    )
    assert result.exit_code == 2 and len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "no").exists()
