"""LargeCrowd's annotations and parameters: read right, and refused with the place of the mistake."""

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from crowd3d import data
from crowd3d.data import largecrowd, scene_params
from crowd3d.data.scene_params import SceneParams, read_fitted, read_params, write_params
from crowd3d.errors import DataError
from crowd3d.synth.draw.render import sample_setting
from crowd3d.synth.place.presets import preset
from crowd3d.synth.truth import annotation, truth_of

SIZE = (2000, 1000)
FIRST = {
    "bbox": [0.1, 0.2, 0.15, 0.4],
    "keypoints": [v for k in range(17) for v in (0.1 + 0.002 * k, 0.2 + 0.01 * k)],
    "type": "normal",
    "hvip2d": [0.12, 0.4],
    "hvip3d": [-1.0, 5.0, 40.0],
    "torso_center": [-1.0, 4.0, 40.0],
}
SECOND = {
    "bbox": [0.5, 0.5, 0.6, 0.9],
    "keypoints": None,
    "type": "ghost",
    "hvip2d": None,
    "hvip3d": None,
    "torso_center": None,
}
SCENE = {
    "image_shape": {"height": SIZE[1], "width": SIZE[0]},
    "frame_info": {"here_00_000010.jpg": [FIRST, SECOND], "here_00_000002.jpg": []},
}
# Published for playground1_00, and what follows for the pixel (9600, 6000).
PLANE = np.array([-0.0246, -0.9854, -0.1683, 16.034])
K = np.array([[29199.9, 0, 9600], [0, 29199.9, 3259], [0, 0, 1]])


def write(root: Path, scene: dict, name: str = "here_00") -> Path:
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    file = root / "annotations" / f"{name}.json"
    file.write_text(json.dumps(scene, indent=1))
    return file


def params(**changes) -> SceneParams:
    values = {"K": K, "normals": PLANE[None, :3], "offsets_m": PLANE[3:], "size": (19200, 6518)}
    return SceneParams(**values | changes)


def test_two_people_as_published(tmp_path):
    write(tmp_path, SCENE)
    found = data.load(tmp_path)
    assert found.name == "largecrowd"
    assert list(found.frames) == ["here_00_000002.jpg", "here_00_000010.jpg"]
    assert len(found.frames["here_00_000002.jpg"]) == 0
    frame = found.frames["here_00_000010.jpg"]
    assert (frame.scene, frame.size, frame.kind) == ("here_00", SIZE, ["normal", "ghost"])
    np.testing.assert_allclose(frame.boxes_px[0], [200, 200, 300, 400])
    np.testing.assert_allclose(frame.keypoints_px[0, 3], [0.106 * 2000, 0.23 * 1000, 2])
    np.testing.assert_allclose(frame.hvip_px[0], [240, 400])
    np.testing.assert_array_equal(frame.torso_m[0], [-1, 4, 40])
    np.testing.assert_array_equal(frame.hvip_m[0], [-1, 5, 40])
    assert np.isnan(frame.keypoints_px[1, :, :2]).all() and (frame.keypoints_px[1, :, 2] == 0).all()
    assert np.isnan([*frame.torso_m[1], *frame.hvip_m[1], *frame.hvip_px[1]]).all()
    assert frame.K is None and not frame.is_ignored.any()


def test_parameters_come_along(tmp_path):
    write(tmp_path, SCENE)
    write_params(tmp_path / "params" / "here_00", params(size=SIZE))
    frame = data.load(tmp_path).frames["here_00_000010.jpg"]
    np.testing.assert_array_equal(frame.K, K)
    assert len(frame.planes) == 1 and frame.planes[0].offset_m == pytest.approx(16.034, rel=1e-4)


def _set(scene, *path_and_value):
    *path, last, value = path_and_value
    for step in path:
        scene = scene[step]
    if value is KeyError:
        del scene[last]
    else:
        scene[last] = value


PERSON = ("frame_info", "here_00_000010.jpg", 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("image_shape", "width", KeyError), "line 2: image_shape: there is no 'width'"),
        (("image_shape", "width", 19.5), "line 4: image_shape.width: 19.5 is not a whole number"),
        (("image_shape", "width", 0), "image_shape.width: 0"),
        (("frame_info", KeyError), "line 1: there is no 'frame_info'"),
        ((*PERSON, "bbox", KeyError), "frame_info[\"here_00_000010.jpg\"][0]: there is no 'bbox'"),
        ((*PERSON, "bbox", [0, 0, 1]), "[0].bbox: has the shape 3, expected 4"),
        ((*PERSON, "bbox", [200, 200, 300, 400]), "[0].bbox: 400 is no ratio"),
        ((*PERSON, "bbox", [0.5, 0.2, 0.1, 0.4]), "[0].bbox: right or bottom lies before"),
        ((*PERSON, "type", "occluded"), "[0].type: 'occluded' is none of normal, severe_occ"),
        ((*PERSON, "keypoints", [0.1] * 33), "[0].keypoints: has the shape 33, expected 34"),
        ((*PERSON, "keypoints", ["a"] * 34), "[0].keypoints: holds something else than numbers"),
        ((*PERSON, "hvip2d", [0.1]), "[0].hvip2d: has the shape 1, expected 2"),
        ((*PERSON, "hvip3d", [0.1, 0.2, -3]), "[0].hvip3d: it lies behind the camera"),
        ((*PERSON, "torso_center", [0.1, 0.2]), "[0].torso_center: has the shape 2, expected 3"),
        (("frame_info", "here_00_000010.jpg", {}), 'frame_info["here_00_000010.jpg"]: dict where'),
    ],
)
def test_mistakes_are_named(tmp_path, change, says):
    scene = copy.deepcopy(SCENE)
    _set(scene, *change)
    file = write(tmp_path, scene)
    with pytest.raises(DataError) as error:
        largecrowd.load(file)
    assert says in str(error.value) and "here_00.json, line" in str(error.value)


def test_a_frame_belongs_to_one_scene(tmp_path):
    write(tmp_path, SCENE)
    write(tmp_path, SCENE, "there_00")
    with pytest.raises(DataError, match=r"annotated in here_00 already"):
        data.load(tmp_path)


def test_splits_take_published_scenes(tmp_path):
    write(tmp_path, {**SCENE, "frame_info": {"a.jpg": []}}, "playground1_00")
    write(tmp_path, {**SCENE, "frame_info": {"b.jpg": []}}, "jinJie_00")
    assert list(data.load(tmp_path, split="test").frames) == ["a.jpg"]
    assert list(data.load(tmp_path, split="train").frames) == ["b.jpg"]


def test_what_the_generator_writes_comes_back(tmp_path):
    truth = truth_of(sample_setting(3, (640, 360), 8, preset("plaza")))
    values = annotation(truth, "plaza_00_000001.jpg")
    frame = data.load(write(tmp_path, values)).frames["plaza_00_000001.jpg"]
    for ours, theirs in [
        (truth.boxes_px, frame.boxes_px),
        (truth.keypoints_px, frame.keypoints_px),
        (truth.torso_m, frame.torso_m),
        (truth.hvip_m, frame.hvip_m),
        (truth.hvip_px, frame.hvip_px),
    ]:
        np.testing.assert_allclose(theirs, ours, rtol=1e-12)


# -- params/SCENE/ --------------------------------------------------------------------------------


def test_published_plane_and_camera_meet_where_they_should(tmp_path):
    folder = tmp_path / "playground1_00"
    folder.mkdir()
    np.save(folder / "ground.npy", PLANE.astype(np.float32))
    np.save(folder / "cam_para.npy", K.astype(np.float32))
    np.save(folder / "scene_shape.npy", np.array([19200, 6518]))
    fitted = read_fitted(folder, (19200, 6518))
    foot = fitted.planes[0].intersect_m(fitted.camera.rays([9600.0, 6000.0]))
    assert foot[2] == pytest.approx(61.47, abs=0.05) and foot[1] == pytest.approx(5.77, abs=0.01)


def test_normals_turn_upwards_and_become_unit(tmp_path):
    write_params(tmp_path, params(normals=-2 * PLANE[None, :3], offsets_m=-2 * PLANE[3:]))
    found = read_params(tmp_path)
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1)
    assert found.normals[0, 1] < 0 and found.offsets_m[0] == pytest.approx(16.034, rel=1e-4)


def test_masks_say_which_plane_is_where(tmp_path):
    left = np.zeros((40, 80), bool)
    left[:, :40] = True
    top = np.zeros((40, 80), bool)
    top[:12, :60] = True
    two = np.stack([PLANE[:3], PLANE[:3]])
    write_params(tmp_path, params(normals=two, offsets_m=np.array([16.0, 14.0]), masks=[left, top]))
    found = read_params(tmp_path)
    places = np.array([[0, 0], [9.9, 9], [12, 1], [12, 8], [-1, 0], [19, 0]])
    # The first plane wins where two masks overlap; in pixels of a picture ten times as large.
    assert found.plane_at(40.0 * places, (800, 400)).tolist() == [0, 0, 1, -1, -1, -1]
    (tmp_path / "mask_1.png").unlink()
    with pytest.raises(DataError, match=r"each of 2 planes needs its mask: .*mask_1\.png"):
        read_params(tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("ground.npy", np.zeros(4), "whose normal is zero"),
        ("ground.npy", np.zeros((0, 4)), "no plane in it"),
        ("ground.npy", np.array([0, -1.0, 0, -5]), "plane 0 lies above the camera"),
        ("ground.npy", np.array([0, -1.0, 0]), "has the shape 3, expected 4"),
        ("ground.npy", np.array([0, -1.0, 0, np.nan]), "not finite"),
        ("cam_para.npy", np.eye(2), "has the shape 2 x 2, expected 3 x 3"),
        ("cam_para.npy", np.diag([1000.0, 900.0, 1.0]), "focal lengths 1000 and 900"),
        ("cam_para.npy", np.diag([1000.0, 1000.0, 2.0]), "not of the form"),
        ("scene_shape.npy", np.array([0, 5]), "0 x 5"),
        ("ground.npy", np.array(["a", "b", "c", "d"]), "something else than numbers"),
    ],
)
def test_parameters_that_cannot_be_are_refused(tmp_path, name, array, says):
    write_params(tmp_path, params())
    np.save(tmp_path / name, array)
    with pytest.raises(DataError, match=says) as error:
        read_params(tmp_path)
    assert name in str(error.value)


def test_pickled_and_broken_arrays_are_refused_in_words(tmp_path):
    write_params(tmp_path, params())
    np.save(tmp_path / "ground.npy", np.array([{"plane": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"pickled objects.*crowd3d data convert"):
        read_params(tmp_path)
    (tmp_path / "ground.npy").write_bytes(b"\x93NUMPY nonsense")
    with pytest.raises(DataError, match=r"ground\.npy"):
        read_params(tmp_path)
    (tmp_path / "ground.npy").unlink()
    with pytest.raises(DataError, match=r"cannot read .*ground\.npy"):
        read_params(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        read_params(tmp_path / "nowhere")


def test_parameters_of_another_size_are_refused(tmp_path):
    write_params(tmp_path / "params" / "here_00", params(size=(19200, 6518)))
    with pytest.raises(DataError, match=r"scene_shape\.npy"):
        read_fitted(tmp_path / "params" / "here_00", (100, 100))
    write(tmp_path, SCENE)
    with pytest.raises(DataError, match="params/here_00 says"):
        data.load(tmp_path)
    assert scene_params.SHAPE == "scene_shape.npy"


def test_masks_are_read_by_the_restricted_loaders_alone(tmp_path):
    params = SceneParams(K, np.array([[0.0, -1, 0], [0, -1, 0.1]]), np.array([5.0, 6]), [], None)
    scene_params.write_params(tmp_path, params)
    sound = cv2.imencode(".png", np.full((40, 40), 255, np.uint8))[1].tobytes()
    (tmp_path / "mask_0.png").write_bytes(sound)
    huge = bytearray(sound)
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    for content in (b"P5 60000 60000 255\n" + bytes(99), bytes(huge), sound[:40], b""):
        (tmp_path / "mask_1.png").write_bytes(content)
        with pytest.raises(DataError, match=r"needs its mask: .*mask_1.png") as caught:
            read_params(tmp_path)
        assert "\n" not in str(caught.value)
