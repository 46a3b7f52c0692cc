"""Every other data set from tiny hand-made files, right and wrong."""

import copy
import json
import pickle
import pickletools
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner
from fuzz.seeds import PANOPTIC_CALIBRATION

from crowd3d import data
from crowd3d.body.tree import COCO_NAMES
from crowd3d.cli import main
from crowd3d.data.pickles import convert_pickle
from crowd3d.errors import DataError


def write(path: Path, values: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1))
    return path


def changed(values: dict, *path_and_value) -> dict:
    values = copy.deepcopy(values)
    *path, last, value = path_and_value
    place = values
    for step in path:
        place = place[step]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return values


# -- COCO and CrowdPose ---------------------------------------------------------------------------

COCO = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "width": 640, "height": 480},
        {"id": 9, "file_name": "b.jpg", "width": 640, "height": 480},
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 1,
            "bbox": [10, 20, 30, 60],
            "iscrowd": 0,
            "keypoints": [v for k in range(17) for v in (10 + k, 20 + k, 2)],
        },
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 1},
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_NAMES)}],
}
CROWDPOSE_NAMES = [
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    *("head", "neck"),
]


def test_coco(tmp_path):
    found = data.load(write(tmp_path / "person_keypoints.json", COCO))
    assert found.name == "coco" and list(found.frames) == ["a.jpg", "b.jpg"]
    frame = found.frames["a.jpg"]
    assert len(found.frames["b.jpg"]) == 0
    np.testing.assert_array_equal(frame.boxes_px[0], [10, 20, 40, 80])
    np.testing.assert_array_equal(frame.keypoints_px[0, 4], [14, 24, 2])
    assert frame.is_ignored.tolist() == [False, True]
    assert np.isnan(frame.keypoints_px[1, :, :2]).all()


def test_crowdpose_finds_cocos_places_by_name(tmp_path):
    points = [v for k in range(14) for v in (k, k, 1 + k % 2)]
    points[6:9] = [0, 0, 0]
    values = changed(COCO, "annotations", 0, "keypoints", points)
    values["categories"][0]["keypoints"] = CROWDPOSE_NAMES
    frame = data.load(write(tmp_path / "crowdpose.json", values)).frames["a.jpg"]
    np.testing.assert_array_equal(frame.keypoints_px[0, 5], [0, 0, 1])
    np.testing.assert_array_equal(frame.keypoints_px[0, 16], [11, 11, 2])
    assert np.isnan(frame.keypoints_px[0, 7, :2]).all()  # not labelled
    assert (frame.keypoints_px[0, :5, 2] == 0).all()  # no face
    np.testing.assert_array_equal(frame.values["head_neck_px"][0, 0], [12, 12, 1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ("annotations", 0, "image_id", 8),
            "annotations[0].image_id: there is no picture with the",
        ),
        (("annotations", 0, "bbox", [1, 2, 3]), "annotations[0].bbox: has the shape 3, expected 4"),
        (("annotations", 0, "bbox", [1, 2, -3, 4]), "annotations[0].bbox: a negative width"),
        (("annotations", 0, "keypoints", [0.0] * 50), "keypoints: has the shape 50, expected 51"),
        (("annotations", 0, "keypoints", [3] * 51), "keypoints: a visibility is none of 0, 1, 2"),
        (("images", 1, "id", 7), "images[1].id: two pictures have the id 7"),
        (("images", 1, "height", KeyError), "images[1]: there is no 'height'"),
        (("categories", 0, "name", "cat"), "categories: there is no category 'person'"),
    ],
)
def test_mistakes_in_coco(tmp_path, change, says):
    file = write(tmp_path / "c.json", changed(COCO, *change))
    with pytest.raises(DataError) as error:
        data.load(file, "coco")
    assert says in str(error.value) and "c.json, line" in str(error.value)


# -- PANDA ----------------------------------------------------------------------------------------


def _rect(left, top, right, bottom):
    return {"tl": {"x": left, "y": top}, "br": {"x": right, "y": bottom}}


PANDA = {
    "01_Canteen/SEQ_01_001.jpg": {
        "image id": 1,
        "image size": {"height": 1000, "width": 2000},
        "objects list": [
            {
                "category": "person",
                "rects": {
                    "head": _rect(0.1, 0.1, 0.11, 0.12),
                    "visible body": _rect(0.1, 0.1, 0.15, 0.2),
                    "full body": _rect(0.1, 0.1, 0.15, 0.3),
                },
            },
            {"category": "crowd", "rect": _rect(0.5, 0.5, 0.7, 0.8)},
        ],
    }
}
OBJECT = ("01_Canteen/SEQ_01_001.jpg", "objects list", 0)


def test_panda(tmp_path):
    write(tmp_path / "image_annos" / "person_bbox_train.json", PANDA)
    found = data.load(tmp_path)
    frame = found.frames["SEQ_01_001.jpg"]
    assert (found.name, frame.scene, frame.size) == ("panda", "01_Canteen", (2000, 1000))
    np.testing.assert_allclose(frame.boxes_px[0], [200, 100, 300, 300])
    np.testing.assert_allclose(frame.values["visible_boxes_px"][0], [200, 100, 300, 200])
    assert frame.is_ignored.tolist() == [False, True]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((*OBJECT, "rects", "full body", KeyError), "[0].rects: there is no 'full body'"),
        ((*OBJECT, "rects", "full body", "tl", "x", 0.9), '["full body"]: tl and br are not'),
        ((*OBJECT, "rects", "full body", "br", "x", 900), '["full body"]: tl and br are not'),
        ((*OBJECT, "category", KeyError), "[0]: there is no 'category'"),
        ((OBJECT[0], "image size", "width", "x"), "[\"image size\"].width: 'x' is not a whole"),
    ],
)
def test_mistakes_in_panda(tmp_path, change, says):
    file = write(tmp_path / "person_bbox_x.json", changed(PANDA, *change))
    with pytest.raises(DataError) as error:
        data.load(file)
    assert says in str(error.value)


# -- MuPoTS ---------------------------------------------------------------------------------------


def _mupots_person(offset=0.0, **changes):
    person = {
        "annot2": np.arange(34.0).reshape(17, 2).T + offset,
        "annot3": np.arange(51.0).reshape(17, 3).T + 1000,
        "univ_annot3": np.arange(51.0).reshape(17, 3).T + 2000,
        "isValidFrame": 1,
    }
    return {key: value for key, value in (person | changes).items() if value is not None}


def _mupots(folder: Path, *rows) -> Path:
    cells = np.empty((len(rows), len(rows[0])), dtype=object)
    for t, row in enumerate(rows):
        for i, person in enumerate(row):
            cells[t, i] = person
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "annot.mat", {"annotations": cells})
    return folder


def test_mupots(tmp_path):
    _mupots(tmp_path / "TS2", [_mupots_person()])
    _mupots(tmp_path / "TS10", [_mupots_person(), _mupots_person(9.0, isValidFrame=0)])
    hidden = np.empty((1, 2), dtype=object)
    hidden[0, 0], hidden[0, 1] = np.eye(17)[5], np.zeros(17)  # the left shoulder of the first
    scipy.io.savemat(tmp_path / "TS10" / "occlusion.mat", {"occlusion_labels": hidden})
    found = data.load(tmp_path)
    assert list(found.frames) == ["TS2/img_000000.jpg", "TS10/img_000000.jpg"]
    frame = found.frames["TS10/img_000000.jpg"]
    assert (found.name, frame.joint_set) == ("mupots", "mupots17")
    np.testing.assert_allclose(frame.joints_m[0, 14], np.array([1042, 1043, 1044]) / 1000)
    np.testing.assert_allclose(frame.values["universal_joints_m"][0, 0], [2.0, 2.001, 2.002])
    np.testing.assert_array_equal(frame.keypoints_px[0, 5], [10, 11, 1])
    np.testing.assert_array_equal(frame.keypoints_px[0, 16], [20, 21, 2])
    np.testing.assert_allclose(frame.torso_m[0], frame.joints_m[0, [2, 5, 8, 11]].mean(axis=0))
    assert frame.is_ignored.tolist() == [False, True]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"annot3": None}, "annotations{1,1} has no annot3"),
        ({"annot2": np.zeros((17, 2))}, "annotations{1,1}.annot2 has the shape 17 x 2, expected 2"),
        ({"univ_annot3": np.full((3, 17), np.nan)}, "annotations{1,1}.univ_annot3 holds values"),
    ],
)
def test_mistakes_in_mupots(tmp_path, changes, says):
    _mupots(tmp_path / "TS1", [_mupots_person(**changes)])
    with pytest.raises(DataError) as error:
        data.load(tmp_path)
    assert says in str(error.value) and "annot.mat" in str(error.value)


def test_damaged_mupots_files_are_named(tmp_path):
    file = tmp_path / "annot.mat"
    file.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(100))
    with pytest.raises(DataError, match=r"annot\.mat.*save -v7"):
        data.load(tmp_path)
    for content in (b"", b"hello", bytes(300)):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"annot\.mat"):
            data.load(tmp_path)
    scipy.io.savemat(file, {"other": 1})
    with pytest.raises(DataError, match="has no 'annotations'"):
        data.load(tmp_path)


def test_mupots_of_the_component_papers(tmp_path):
    image = {"id": 1, "file_name": "TS1/img_000000.jpg", "width": 2048, "height": 2048}
    joints = np.arange(51.0).reshape(17, 3).tolist()
    person = {
        "id": 5,
        "image_id": 1,
        "bbox": [0, 0, 10, 10],
        "keypoints_cam": joints,
        "keypoints_img": np.arange(34.0).reshape(17, 2).tolist(),
        "keypoints_vis": [1] * 17,
        "is_valid": 0,
    }
    values = {"images": [image | {"intrinsic": [1500, 1500, 1024, 1024]}], "annotations": [person]}
    frame = data.load(write(tmp_path / "MuPoTS-3D.json", values)).frames["TS1/img_000000.jpg"]
    np.testing.assert_allclose(frame.joints_m[0], np.array(joints) / 1000)
    assert frame.K[0, 2] == 1024 and frame.is_ignored.all()
    assert frame.values["annotation_id"].tolist() == [5]


# -- 3DPW -----------------------------------------------------------------------------------------


def _threedpw(n_frames=2):
    rng = np.random.default_rng(0)
    turn = np.eye(4)
    turn[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # a quarter about the vertical
    turn[:3, 3] = [1, 2, 3]
    return {
        "sequence": "courtyard_hug_00",
        "cam_intrinsics": np.diag([1900.0, 1900, 1]),
        "cam_poses": np.stack([turn] * n_frames),
        "poses": [rng.normal(size=(n_frames, 72)) for _ in range(2)],
        "betas": [rng.normal(size=300), rng.normal(size=10)],
        "trans": [np.zeros((n_frames, 3))] * 2,
        "jointPositions": [rng.normal(size=(n_frames, 72)) for _ in range(2)],
        "poses2d": [np.ones((n_frames, 3, 18)) * np.arange(18), np.zeros((n_frames, 3, 18))],
        "genders": ["m", "f"],
        "campose_valid": [np.array([1, 0])[:n_frames]] * 2,
        "texture_maps": None,
    }


def _pickled(folder: Path, values: object, name="courtyard_hug_00.pkl", protocol=2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(values, protocol=protocol))
    return folder / name


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_threedpw_goes_through_its_conversion(tmp_path, protocol):
    values = _threedpw()
    file = _pickled(tmp_path / "sequenceFiles" / "validation", values, protocol=protocol)
    with pytest.raises(DataError, match=r"convert .*courtyard_hug_00\.pkl"):
        data.load(tmp_path, "threedpw")
    with pytest.raises(DataError, match="crowd3d data convert"):
        data.load(file)
    assert convert_pickle(file) == file.with_suffix(".npz")
    found = data.load(tmp_path, crowd=True)
    assert (found.name, len(found)) == ("threedpw", 2)
    frame = found.frames["courtyard_hug_00/image_00001.jpg"]
    world = values["jointPositions"][0][1].reshape(24, 3)
    np.testing.assert_allclose(frame.joints_m[0], world[:, [2, 1, 0]] * [1, 1, -1] + [1, 2, 3])
    np.testing.assert_array_equal(frame.betas[0], values["betas"][0][:10])
    np.testing.assert_array_equal(frame.pose[0, 1:], values["poses"][0][1].reshape(24, 3)[1:])
    assert frame.gender == ["male", "female"] and frame.body == "smpl"
    assert (
        frame.is_ignored.all()
        and not found.frames["courtyard_hug_00/image_00000.jpg"].is_ignored.any()
    )
    # OpenPose's fifth is the left shoulder, COCO's fifth too; its second COCO's right shoulder, the sixth.
    assert frame.keypoints_px[0, 5, 0] == 5 and frame.keypoints_px[0, 6, 0] == 2
    assert (frame.keypoints_px[1, :, 2] == 0).all()
    assert len(data.load(tmp_path).frames) == 2


def test_mistakes_in_threedpw(tmp_path):
    for change, says in [
        ({"jointPositions": [np.zeros((3, 72))] * 2}, "jointPositions/0 has the shape 3 x 72"),
        ({"cam_intrinsics": np.eye(2)}, "cam_intrinsics has the shape 2 x 2"),
        ({"betas": [np.zeros(10), np.zeros(4)]}, "betas/1 has 4 values"),
        ({"poses": []}, "has no poses/0"),
    ]:
        convert_pickle(_pickled(tmp_path, _threedpw() | change))
        with pytest.raises(DataError) as error:
            data.load(tmp_path / "courtyard_hug_00.npz")
        assert says in str(error.value) and "courtyard_hug_00.npz" in str(error.value)


def test_threedpw_of_the_component_papers(tmp_path):
    camera = {"focal": [1900, 1900], "princpt": [540, 960]}
    image = {"id": 1, "file_name": "image_00000.jpg", "width": 1080, "height": 1920}
    smpl = {"pose": [0.1] * 72, "shape": [0.2] * 10, "trans": [0, 1, 5], "gender": "male"}
    person = {
        "id": 3,
        "image_id": 1,
        "bbox": [0, 0, 10, 10],
        "smpl_param": smpl,
        "joint_cam": [[0, 0, 5]] * 24,
        "openpose_result": [1.0] * 54,
    }
    sequence = {"sequence": "courtyard_dancing_00", "cam_param": camera}
    values = {"images": [image | sequence], "annotations": [person]}
    file = write(tmp_path / "3DPW_validation.json", values)
    frame = data.load(file, crowd=True).frames["courtyard_dancing_00/image_00000.jpg"]
    assert frame.transl_m.tolist() == [[0, 1, 5]] and frame.torso_m.tolist() == [[0, 0, 5]]
    write(file, changed(values, "annotations", 0, "smpl_param", "pose", [0] * 71))
    with pytest.raises(DataError, match=r"line \d+: annotations\[0\]\.smpl_param\.pose: has the"):
        data.load(file)


# -- pickles --------------------------------------------------------------------------------------


class _Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_nothing_in_a_pickle_runs(tmp_path, capsys):
    file = _pickled(tmp_path, {"a": _Evil()}, "evil.pkl")
    assert any(op.name == "REDUCE" for op, _, _ in pickletools.genops(file.read_bytes()))
    with pytest.raises(DataError, match=r"evil\.pkl: it asks for .*print"):
        convert_pickle(file)
    assert capsys.readouterr().out == "" and not file.with_suffix(".npz").exists()


def test_tables_of_pandas_are_explained(tmp_path, monkeypatch):
    module = ModuleType("pandas")
    module.Table = type("Table", (), {"__module__": "pandas", "__qualname__": "Table"})
    monkeypatch.setitem(sys.modules, "pandas", module)
    file = _pickled(tmp_path, module.Table(), "agora.pkl")
    with pytest.raises(DataError, match="to_json"):
        convert_pickle(file)


def test_object_arrays_convert_too(tmp_path):
    file = tmp_path / "ground.npy"
    np.save(file, np.array([{"plane": [0.0, -1.0, 0.0, 5.0], "name": b"a"}], dtype=object))
    arrays = np.load(convert_pickle(file, tmp_path / "out.npz"), allow_pickle=False)
    assert arrays["0/plane"].tolist() == [0, -1, 0, 5] and str(arrays["0/name"]) == "a"
    np.save(file, np.zeros(4))
    with pytest.raises(DataError, match="plain numbers"):
        convert_pickle(file)
    for content in (b"", b"garbage", b"\x80\x04."):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"ground\.npy"):
            convert_pickle(file)
    with pytest.raises(DataError, match="cannot read"):
        convert_pickle(tmp_path / "nowhere.pkl")


# -- AGORA ----------------------------------------------------------------------------------------


def _agora(n_joints=45):
    rng = np.random.default_rng(1)
    pixels = rng.uniform(0, 2000, (2, n_joints, 2)).tolist()
    metres = rng.uniform(1, 5, (2, n_joints, 3)).tolist()
    return {
        "imgPath": {"0": "ag_validation_1.png"},
        "gt_joints_2d": {"0": pixels},
        "gt_joints_3d": {"0": metres},
        "gender": {"0": ["male", "female"]},
        "kid": {"0": [False, True]},
        "occlusion": {"0": [0.0, 95.5]},
        "isValid": {"0": [True, False]},
    }


@pytest.mark.parametrize(("n_joints", "nose", "left_ear"), [(45, 24, 28), (127, 55, 59)])
def test_agora(tmp_path, n_joints, nose, left_ear):
    values = _agora(n_joints)
    found = data.load(write(tmp_path / "agora.json", values))
    frame = found.frames["ag_validation_1.png"]
    assert found.name == "agora" and frame.is_ignored.tolist() == [False, True]
    points = np.array(values["gt_joints_2d"]["0"])
    np.testing.assert_array_equal(frame.keypoints_px[:, 0, :2], points[:, nose])
    np.testing.assert_array_equal(frame.keypoints_px[:, 3, :2], points[:, left_ear])
    np.testing.assert_array_equal(frame.keypoints_px[:, 15, :2], points[:, 7])
    assert np.isnan(frame.joints_m[:, 22:]).all() and frame.gender == ["male", "female"]
    assert frame.values["kid"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("gt_joints_3d", "0", [[[1, 2, 3]] * 45]), 'gt_joints_3d["0"]: 1 people, but 2 in 2D'),
        (("gt_joints_2d", "0", 1, [[1, 2]] * 44), 'gt_joints_2d["0"][1]: 44 joints in 2D'),
        (("gender", "0", ["male"]), 'gender["0"]: 1 values for 2 people'),
        (("gender", "0", 1, "x"), "gender[\"0\"][1]: 'x' is none of"),
        (("isValid", KeyError), "there is no 'isValid'"),
    ],
)
def test_mistakes_in_agora(tmp_path, change, says):
    with pytest.raises(DataError) as error:
        data.load(write(tmp_path / "agora.json", changed(_agora(), *change)))
    assert says in str(error.value)


# -- Panoptic -------------------------------------------------------------------------------------

JOINTS = [[10.0 * k - 90, 5.0 * k - 45, 0.0, 0.5] for k in range(19)]


def _panoptic(folder: Path, joints=JOINTS, calibration=PANOPTIC_CALIBRATION) -> Path:
    write(folder / "calibration_x.json", calibration)
    bodies = [{"id": 4, "joints19": [v for joint in joints for v in joint]}]
    poses = folder / "hdPose3d_stage1_coco19"
    write(poses / "body3DScene_00000168.json", {"version": 0.7, "bodies": bodies})
    write(poses / "body3DScene_00000169.json", {"version": 0.7, "bodies": []})
    return folder


def test_panoptic(tmp_path):
    joints = [list(j) for j in JOINTS]
    joints[8][3] = -1.0  # the left ankle
    found = data.load(_panoptic(tmp_path, joints))
    assert list(found.frames) == ["00_16_00000168.jpg", "00_16_00000169.jpg"]
    frame = found.frames["00_16_00000168.jpg"]
    np.testing.assert_allclose(frame.joints_m[0, 3], [-0.6, -0.3, 3.0])
    assert np.isnan(frame.joints_m[0, 8]).all() and frame.keypoints_px[0, 15, 2] == 0
    # Brown's radial distortion by hand, for the left shoulder.
    x, y = -0.2, -0.1
    bend = 1 - 0.2 * 0.05 + 0.1 * 0.05**2
    np.testing.assert_allclose(
        frame.keypoints_px[0, 5], [960 + 1400 * bend * x, 540 + 1400 * bend * y, 2]
    )
    np.testing.assert_allclose(frame.torso_m[0], frame.joints_m[0, [3, 9, 6, 12]].mean(axis=0))
    assert frame.values["id"].tolist() == [4] and found.name == "panoptic"


def test_mistakes_in_panoptic(tmp_path):
    with pytest.raises(DataError, match="has no camera '00_17'; there are 00_16"):
        data.load(_panoptic(tmp_path), camera="00_17")
    with pytest.raises(DataError, match=r"line \d+: bodies\[0\]\.joints19: has the shape 72"):
        data.load(_panoptic(tmp_path, JOINTS[:18]))
    skewed = changed(PANOPTIC_CALIBRATION, "cameras", 0, "R", 0, [1, 1, 0])
    with pytest.raises(DataError, match=r"cameras\[0\]\.R: it is no rotation"):
        data.load(_panoptic(tmp_path, calibration=skewed))
    (tmp_path / "calibration_x.json").unlink()
    with pytest.raises(DataError, match="needs calibration"):
        data.load(tmp_path)


# -- all of them ----------------------------------------------------------------------------------


def test_unknown_paths_and_formats(tmp_path):
    with pytest.raises(DataError, match="there is no"):
        data.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="of no known format"):
        data.load(tmp_path)
    with pytest.raises(DataError, match="no data set format is called 'kitti'; known: largecrowd"):
        data.load(tmp_path, "kitti")
    for name in data.FORMATS:
        with pytest.raises(DataError, match=tmp_path.name):
            data.load(tmp_path, name)


def test_the_command_line_checks_and_converts(tmp_path):
    run = CliRunner().invoke(main, ["data", "check", str(write(tmp_path / "c.json", COCO))])
    assert run.exit_code == 0, run.output
    assert "coco, 2 pictures of 1 scenes, 2 people, 1 of them ignored" in run.output
    run = CliRunner().invoke(main, ["data", "check", str(write(tmp_path / "d.json", {}))])
    assert run.exit_code == 2 and "no known format" in run.output
    file = _pickled(tmp_path, {"a": [1, 2]}, "x.pkl")
    run = CliRunner().invoke(main, ["data", "convert", str(file)])
    assert run.exit_code == 0 and (tmp_path / "x.npz").is_file()
