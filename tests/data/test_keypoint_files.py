"""Other people's 2D poses and roots: every format read and written, mistakes named with file and member."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd3d import data
from crowd3d.data.keypoint_export import write_poses
from crowd3d.data.keypoint_files import FORMATS, poses_of, read_poses
from crowd3d.data.rootnet import Roots, read_joints, read_roots, write_joints, write_roots
from crowd3d.errors import DataError
from crowd3d.maths.box import Box
from crowd3d.scene.detections import Detections


def crowd(seed: int, n: int) -> Detections:
    """People with a box and with up to 17 seen joints each."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 4000, (n, 17, 3))
    points[..., 2] = rng.uniform(0.05, 1, (n, 17)) * (rng.random((n, 17)) < 0.8)
    points[:, 0, 2] = 0.5
    points[points[..., 2] == 0] = 0
    low = rng.uniform(0, 3000, (n, 2))
    score = points[..., 2].mean(axis=1)
    box = np.concatenate([low, low + rng.uniform(5, 900, (n, 2))], axis=1)
    none = np.zeros(n, np.int64)
    return Detections(score, score.copy(), box, points, none > 0, none)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_what_is_written_comes_back(tmp_path_factory, format, seed):
    path = tmp_path_factory.mktemp("poses") / "poses.json"
    frames = {"a b.jpg": crowd(seed, 3), "scène_1.png": crowd(seed + 1, 1)}
    sizes = {"a b.jpg": (4000, 3000), "scène_1.png": (10, 10)}
    write_poses(path, frames, format, sizes)
    back = read_poses(path)  # recognised by its content
    assert read_poses(path, format).keys() == back.keys()
    for name, expected in frames.items():
        found = poses_of(path, f"/somewhere/{name}")
        np.testing.assert_allclose(found.keypoints_px, expected.keypoints_px, atol=1e-6)
        np.testing.assert_allclose(found.score, expected.score)
        if format in ("alphapose", "coco"):
            np.testing.assert_allclose(found.box_px, expected.box_px)
        inside = expected.keypoints_px[..., 2] > 0
        if format in ("openpose", "3dcrowdnet"):
            for person, seen, box in zip(expected.keypoints_px, inside, found.box_px, strict=True):
                assert (person[seen, :2] >= box[:2]).all() and (person[seen, :2] <= box[2:]).all()


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_detections_give_the_same_bytes(tmp_path, format):
    for name in ("1", "2"):
        write_poses(tmp_path / name, {"a.jpg": crowd(0, 2)}, format, {"a.jpg": (9, 9)})
    one, two = tmp_path / "1", tmp_path / "2"
    files = [one] if one.is_file() else sorted(one.iterdir())
    for file in files:
        other = two if file == one else two / file.name
        assert file.read_bytes() == other.read_bytes()


def put(path, content) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_openpose_joints_fall_into_cocos_places(tmp_path):
    for count, left_ankle, left_ear in ((25, 14, 18), (18, 13, 17)):
        points = np.zeros((count, 3))
        points[0], points[left_ankle], points[left_ear] = [1, 2, 0.9], [3, 4, 0.8], [5, 6, 0.7]
        points[5] = [7, 8, 0.6]  # left shoulder in both
        content = {"people": [{"pose_keypoints_2d": points.ravel().tolist()}]}
        found = read_poses(put(tmp_path / "x.json", content))[""]
        expected = {0: points[0], 15: points[left_ankle], 3: points[left_ear], 5: points[5]}
        for j in range(17):
            np.testing.assert_allclose(found.keypoints_px[0, j], expected.get(j, np.zeros(3)))


def test_a_single_openpose_file_is_of_whatever_picture_is_asked(tmp_path):
    points = [1.0, 2.0, 0.5] * 25
    content = {"people": [{"pose_keypoints_2d": points}, {"pose_keypoints_2d": [0.0] * 75}]}
    assert len(poses_of(put(tmp_path / "x.json", content), "crowd.jpg")) == 1  # the other is nobody
    named = put(tmp_path / "crowd_keypoints.json", content)
    assert len(poses_of(named, "crowd.tif")) == 1
    with pytest.raises(DataError, match=r"nothing on the picture b\.jpg; it speaks of crowd"):
        poses_of(named, "b.jpg")


def test_alphapose_with_more_joints_and_scores_beyond_one(tmp_path):
    points = np.arange(26 * 3, dtype=float).reshape(26, 3)
    points[:, 2] = 0.5
    points[3, 2] = 1.2
    person = {"image_id": "a.jpg", "keypoints": points.ravel().tolist(), "score": 2.9}
    found = read_poses(put(tmp_path / "x.json", [person]))["a.jpg"]
    np.testing.assert_allclose(found.keypoints_px[0, :, :2], points[:17, :2])
    assert found.keypoints_px.max(axis=(0, 1))[2] == 1
    assert 0 < found.score[0] <= 1


def test_published_crowdnet_files_with_more_than_a_score(tmp_path):
    joint = [10.0, 20.0, 0.7, 0.3]
    found = read_poses(put(tmp_path / "x.json", {"101570.jpg": [[joint] * 17], "2.jpg": []}))
    assert found["101570.jpg"].keypoints_px.shape == (1, 17, 3) and len(found["2.jpg"]) == 0


def test_coco_visibility_and_results(tmp_path):
    names = ["left_hip", "neck", "nose"]
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
        "annotations": [
            {"image_id": 7, "keypoints": [1, 2, 2, 3, 4, 2, 5, 6, 1]},
            {"image_id": 7, "keypoints": None},
        ],
    }
    found = read_poses(put(tmp_path / "x.json", content))["a.jpg"]
    np.testing.assert_allclose(found.keypoints_px[0, [11, 0]], [[1, 2, 1], [5, 6, 0.5]])
    assert (found.keypoints_px[0, :, 2] > 0).sum() == 2
    results = [{"image_id": 9, "category_id": 1, "keypoints": [1.0, 2.0, 0.4] * 17, "score": 0.8}]
    path = put(tmp_path / "y.json", results)
    assert read_poses(path)["9"].score[0] == 0.8
    assert len(poses_of(path, "a.jpg")) == 1  # a file's only picture, which has a number
    two = put(
        tmp_path / "z.json",
        [*results, {**results[0], "image_id": 10.0}, {**results[0], "image_id": "11"}],
    )
    assert list(read_poses(two)) == ["9", "10", "11"]
    assert len(poses_of(two, "frame_000010.png")) == 1
    with pytest.raises(DataError, match="has nothing on the picture a"):
        poses_of(two, "a.jpg")


GOOD = {"image_id": "a.jpg", "keypoints": [1.0, 2.0, 0.5] * 17, "score": 1.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[NaN]", "NaN"),
        ({"a": 1}, "no file of 2D poses that is known"),
        (3, "no file of 2D poses that is known"),
        ([GOOD, {**GOOD, "keypoints": [1.0] * 50}], r"\[1\]\.keypoints: 50 numbers"),
        ([GOOD, {**GOOD, "keypoints": ["a"] * 51}], r"\[1\]\.keypoints.*numbers"),
        (
            [GOOD, {**GOOD, "image_id": 3.5}],
            r"\[1\]\.image_id: float where a name or a whole number",
        ),
        ([GOOD, {**GOOD, "keypoints": "no"}], r"\[1\]\.keypoints: str where a list of keypoints"),
        ([{"keypoints": [[1, 2]] * 17, "keypoint_scores": [1] * 16}], r"\[0\]\.keypoint_scores"),
        ([{"keypoints": {"x": [1.0] * 5, "y": [1.0] * 5}}], "5 joints where 17"),
        ({"pose_landmarks": [[{"x": 0.5, "y": 0.5}] * 32]}, "32 landmarks where MediaPipe's 33"),
        ([GOOD, {"image_id": "b"}], r"\[1\]: there is no 'keypoints'"),
        ([{**GOOD, "box": [1, 2, -3, 4]}], "negative width"),
        ([{**GOOD, "box": [1, 2, 3]}], r"\[0\]\.box"),
        ({"people": [{"pose_keypoints_2d": [0.0] * 51}]}, "51 numbers where 75 or 54 or 45"),
        ({"people": 3}, "people: int where a list"),
        ({"a.jpg": [[[1, 2, 3]] * 16]}, r'\["a\.jpg"\]\[0\]: 16 joints'),
        ({"a.jpg": [[[1, 2]] * 17]}, r"\[0\]\[0\]: a joint is"),
        ({"images": [], "annotations": []}, "categories"),
    ],
)
def test_mistakes_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read_poses(put(tmp_path / "wrong.json", content))
    assert "wrong.json" in str(caught.value)


def test_missing_files_and_empty_folders(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_poses(tmp_path / "none.json")
    with pytest.raises(DataError, match="OpenPose"):
        read_poses(tmp_path)
    with pytest.raises(DataError, match="size of every picture"):
        write_poses(tmp_path / "x.json", {"a.jpg": crowd(0, 1)}, "coco")


def test_two_pictures_of_one_name(tmp_path):
    content = {"1/a.jpg": [], "2/a.jpg": []}
    with pytest.raises(DataError, match="several pictures called a"):
        poses_of(put(tmp_path / "x.json", content), "a.jpg")


@pytest.mark.parametrize("unit", ["mm", "m"])
def test_roots_come_back_and_boxes_keep_their_kind(tmp_path, unit):
    rng = np.random.default_rng(0)
    tight = Box(rng.uniform(10, 300, (4, 4)), "xywh", extended=False)
    score = np.array([0.5, np.nan, 1.0, 0.1])
    path = tmp_path / "roots.json"
    write_roots(path, Roots([1, 2, "c", 4], tight, None, score))
    read = read_roots(path, unit)
    assert read.root_m is None and not read.boxes.extended and read.image_id == [1, 2, "c", 4]
    np.testing.assert_allclose(read.boxes.values, tight.values)
    np.testing.assert_array_equal(read.score, score)
    root_m = rng.normal(size=(4, 3)) * 10
    extended = tight.extend((1000, 1000))
    write_roots(path, Roots([1, 2, 3, 4], extended, root_m, score, [9, 8, 7, 6]), unit)
    read = read_roots(path, unit)
    np.testing.assert_allclose(read.root_m, root_m)
    assert read.boxes.extended and read.ann_id == [9, 8, 7, 6]
    scale = 1000 if unit == "mm" else 1
    assert json.loads(path.read_text())[0]["root_cam"][2] == pytest.approx(root_m[0, 2] * scale)
    with pytest.raises(DataError, match="extended boxes with roots"):
        write_roots(path, Roots([1], Box(tight.values[:1], "xywh", False), root_m[:1], score[:1]))


BOXED = {"image_id": 1, "bbox": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"image_id": 1, "bbox": [1, 2, 3]}], r"\[0\]\.bbox"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 0]}], "empty box"),
        ([{"bbox": [1, 2, 3, 4]}], "image_id"),
        ([{**BOXED, "root_cam": [1, 2, 3]}, BOXED], r"\[1\]: no 'root_cam'"),
        ({}, "list"),
    ],
)  # fmt: skip
def test_malformed_roots_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_roots(put(tmp_path / "roots.json", content))


def test_boxes_without_roots_are_a_data_set_of_boxes(tmp_path):
    path = put(
        tmp_path / "boxes.json", [BOXED, {**BOXED, "image_id": "b.jpg", "score": 0.5}, BOXED]
    )
    found = data.load(path)
    assert found.name == "rootnet" and list(found.frames) == ["1", "b.jpg"]
    np.testing.assert_allclose(found.frames["1"].boxes_px, [[1, 2, 4, 6]] * 2)
    assert found.frames["b.jpg"].values["score"] == [0.5]
    results = [{**BOXED, "keypoints": [0.0] * 51}]
    with pytest.raises(DataError, match="no known format"):
        data.load(put(tmp_path / "results.json", results))


def test_no_people_at_all(tmp_path):
    assert len(read_roots(put(tmp_path / "roots.json", []))) == 0
    assert len(data.load(put(tmp_path / "roots.json", []), "rootnet")) == 0
    assert read_poses(put(tmp_path / "poses.json", [])) == {}


def test_joints_in_mat_files(tmp_path):
    rng = np.random.default_rng(0)
    joints = {"TS1_img_000001": rng.normal(size=(3, 17, 3)), "coco_17": rng.normal(size=(1, 17, 2))}
    for name in ("1.mat", "2.mat"):
        write_joints(tmp_path / name, joints)
    assert (tmp_path / "1.mat").read_bytes() == (tmp_path / "2.mat").read_bytes()
    back = read_joints(tmp_path / "1.mat")
    assert back.keys() == joints.keys()
    for key, values in joints.items():
        np.testing.assert_array_equal(back[key], values)
    with pytest.raises(DataError, match="MATLAB name"):
        write_joints(tmp_path / "3.mat", {"17": joints["coco_17"]})
    (tmp_path / "bad.mat").write_bytes(b"nonsense" * 40)
    with pytest.raises(DataError, match=r"bad\.mat"):
        read_joints(tmp_path / "bad.mat")
