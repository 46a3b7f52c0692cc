"""The spellings of every pose estimator that people use: joints in COCO's places, boxes, scores, names."""

import json

import numpy as np
import pytest

from crowd3d.data.keypoint_files import read_poses
from crowd3d.data.poses.joints import KNOWN, JointSet
from crowd3d.data.poses.reading import MOST_PEOPLE, poses_of_picture
from crowd3d.errors import DataError

# Where left ear, right shoulder, left wrist, right hip, left ankle are in each set, by its count of joints.
SOME = (3, 6, 9, 12, 15)
IN_SETS = {
    14: (None, 1, 4, 7, 10),
    15: (None, 2, 7, 8, 13),
    16: (None, 12, 15, 2, 5),
    17: SOME,
    18: (17, 2, 7, 8, 13),
    25: (18, 2, 7, 9, 14),
    26: SOME,
    33: (7, 12, 15, 24, 27),
    68: SOME,
    133: SOME,
    136: SOME,
}


def put(path, content) -> str:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(content))
    return str(path)


def numbered(count: int) -> np.ndarray:
    """(count, 3) joints of which each is at its own place, with the score 0.5."""
    place = np.arange(1, count + 1)
    return np.stack([10.0 * place, 100.0 + place, np.full(count, 0.5)], axis=1)


@pytest.mark.parametrize("count", IN_SETS)
def test_every_known_set_of_joints_falls_into_cocos_places(tmp_path, count):
    joints = numbered(count)
    (found,) = read_poses(
        put(tmp_path / "x.json", [{"image_id": "a", "keypoints": joints.ravel().tolist()}])
    ).values()
    for ours, theirs in zip(SOME, IN_SETS[count], strict=True):
        expected = np.zeros(3) if theirs is None else joints[theirs]
        np.testing.assert_allclose(found.keypoints_px[0, ours], expected)
    assert set(IN_SETS) == set(KNOWN)


def test_names_of_joints_in_any_spelling():
    spelled = ["Nose", "LEye", "rightEar", "l_shoulder", "Left Wrist", "right-ankle", "neck"]
    assert JointSet.of(spelled).places.tolist() == [
        0, 1, -1, -1, 2, 3, -1, -1, -1, 4, -1, -1, -1, -1, -1, -1, 5
    ]  # fmt: skip


COCO_18 = numbered(18).ravel().tolist()
PAIRS, SCORES = numbered(17)[:, :2].tolist(), [0.5] * 17
FLAT = numbered(17).ravel().tolist()
MMPOSE = {
    "keypoints": PAIRS,
    "keypoint_scores": SCORES,
    "bbox": [[1, 2, 30, 40]],
    "bbox_score": 0.7,
}
ULTRALYTICS = {
    "name": "person",
    "class": 0,
    "confidence": 0.7,
    "box": {"x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0},
    "keypoints": {"x": [p[0] for p in PAIRS], "y": [p[1] for p in PAIRS], "visible": SCORES},
}
CAR = {"name": "car", "class": 2, "confidence": 0.9, "box": ULTRALYTICS["box"]}
PIFPAF = {"keypoints": FLAT, "bbox": [1, 2, 29, 38], "score": 0.7, "category_id": 1}
CMU = {"version": "AlphaPose v0.3", "bodies": [{"joints": COCO_18}]}
OPEN = {"version": "AlphaPose v0.3", "people": [{"pose_keypoints_2d": COCO_18}]}
OF_18 = numbered(18)[np.array([0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10])]
SEVENTEEN = numbered(17)
LANDMARKS = [{"x": i / 40, "y": i / 50, "z": 0.1, "visibility": 0.5} for i in range(33)]

WRITERS = {
    "AlphaPose": ("r.json", [{"image_id": "image.jpg", "keypoints": FLAT, "score": 2.9}], SEVENTEEN, 0.5),
    "AlphaPose on Windows": ("r.json", [{"image_id": r"C:\new\image.jpg", "keypoints": FLAT}], SEVENTEEN, 0.5),
    "AlphaPose, eval": ("r.json", [{"image_id": 7, "keypoints": FLAT, "score": 2.9}], SEVENTEEN, 1.0),
    "AlphaPose, cmu": ("r.json", {"image.jpg": CMU}, OF_18, 0.5),
    "AlphaPose, open": ("r.json", {"image.jpg": OPEN}, OF_18, 0.5),
    "AlphaPose, sep-json, cmu": ("image.json", CMU, OF_18, 0.5),
    "AlphaPose, sep-json, open": ("image.json", OPEN, OF_18, 0.5),
    "OpenPose 0.2": ("image_keypoints.json", {"people": [{"pose_keypoints": COCO_18}]}, OF_18, 0.5),
    "MMPose, demo": ("r.json", {"meta_info": {}, "instance_info": [MMPOSE]}, SEVENTEEN, 0.7),
    "MMPose, inferencer": ("image.json", [MMPOSE], SEVENTEEN, 0.7),
    "MMPose, one frame": ("r.json", [{"frame_id": 0, "instances": [MMPOSE]}], SEVENTEEN, 0.7),
    "MMPose, in Python": ("r.json", {"predictions": [[MMPOSE]]}, SEVENTEEN, 0.7),
    "ultralytics": ("r.json", [CAR, ULTRALYTICS], SEVENTEEN, 0.7),
    "OpenPifPaf": ("image.jpg.predictions.json", [PIFPAF], SEVENTEEN, 0.7),
    "OpenPifPaf, frame": ("r.json", {"frame": 1, "predictions": [PIFPAF]}, SEVENTEEN, 0.7),
    "Detectron2": ("coco_instances_results.json", [{"image_id": 1, **PIFPAF}], SEVENTEEN, 0.7),
    "by name": ("r.json", {"image.jpg": [{"keypoints": FLAT}]}, SEVENTEEN, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer(tmp_path, writer):
    name, content, points, score = WRITERS[writer]
    given = poses_of_picture(put(tmp_path / name, content), "photos/image.jpg")
    found = given.people
    assert len(found) == 1 and found.score[0] == score and not given.is_normalised
    np.testing.assert_allclose(found.keypoints_px[0], points)
    if score == 0.7:
        np.testing.assert_allclose(found.box_px, [[1, 2, 30, 40]])


@pytest.mark.parametrize(
    "content",
    [
        {"pose_landmarks": [LANDMARKS, LANDMARKS]},
        {"landmarks": [LANDMARKS, LANDMARKS], "worldLandmarks": [[]]},
        {"poseLandmarks": [{"landmark": LANDMARKS}, {"landmark": LANDMARKS}]},
        [LANDMARKS, LANDMARKS],
        [[LANDMARKS, LANDMARKS]],
    ],
)
def test_mediapipe_is_normalised(tmp_path, content):
    given = poses_of_picture(put(tmp_path / "x.json", content), "image.jpg")
    assert given.is_normalised and len(given.people) == 2
    np.testing.assert_allclose(given.people.keypoints_px[0, 16], [28 / 40, 28 / 50, 0.5])
    assert len(poses_of_picture(put(tmp_path / "y.json", LANDMARKS), "image.jpg").people) == 1


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "x.json"
    text = json.dumps([{"image_id": "é.jpg", "keypoints": FLAT}])
    path.write_text(text, encoding="utf-8-sig")
    assert len(read_poses(path)["é.jpg"]) == 1
    path.write_text(text, encoding="utf-16")
    with pytest.raises(DataError, match="not UTF-8"):
        read_poses(path)


@pytest.mark.parametrize("third", ["missing", 0, 2])
def test_results_without_scores(tmp_path, third):
    joints = (
        SEVENTEEN[:, :2] if third == "missing" else np.insert(SEVENTEEN[:, :2], 2, third, axis=1)
    )
    joints = joints.copy()
    joints[4] = 0
    content = [{"image_id": 3, "keypoints": joints.ravel().tolist()}]
    given = poses_of_picture(put(tmp_path / "x.json", content), "image.jpg")
    np.testing.assert_array_equal(given.people.keypoints_px[0, :, 2], np.arange(17) != 4)
    assert any("no scores" in note for note in given.notes) == (third != 2)


def annotated(**changes) -> dict:
    person = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [4, 5, 2] * 17}
    return {
        "images": [{"id": 1, "file_name": "image.jpg", "width": 640.0, "height": 480}],
        "annotations": [person],
        "categories": [{"id": 1, "name": "person", "keypoints": [f"{n}" for n in NAMES]}],
    } | changes


NAMES = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"] + [
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]


def test_annotations_with_odd_ids_orphans_and_other_categories(tmp_path):
    people = [
        {"id": "a", "image_id": 1.0, "category_id": "1", "keypoints": [4, 5, 2] * 17},
        {"id": "b", "image_id": "1", "category_id": 1.0, "keypoints": [4, 5, 1] * 17},
        {"id": "c", "image_id": 5, "category_id": 1, "keypoints": [4, 5, 2] * 17},
        {"id": "d", "image_id": 1, "category_id": 2, "keypoints": [4, 5, 2] * 20},
    ]
    kinds = [
        {"id": 2, "name": "horse", "keypoints": ["nose"] * 20},
        {"id": 1, "name": "Person", "keypoints": NAMES},
    ]
    path = put(tmp_path / "x.json", annotated(annotations=people, categories=kinds))
    given = poses_of_picture(path, "image.jpg")
    assert len(given.people) == 2 and given.size_px == (640, 480)
    assert given.people.keypoints_px[:, 0, 2].tolist() == [1.0, 0.5]
    assert any(note.startswith("1 of the file's annotations") for note in given.notes)


def test_mmpose_says_which_joints_it_has(tmp_path):
    names = {str(i): name for i, name in enumerate([*NAMES[5:], *NAMES[:5]])}
    content = {"meta_info": {"keypoint_id2name": names}, "instance_info": [MMPOSE]}
    (found,) = read_poses(put(tmp_path / "x.json", content)).values()
    np.testing.assert_allclose(found.keypoints_px[0, 0], SEVENTEEN[12])


def test_folders_of_one_file_a_picture(tmp_path):
    put(tmp_path / "sep-json" / "a.json", CMU)
    put(tmp_path / "sep-json" / "b.json", OPEN)
    put(tmp_path / "mmpose" / "a.json", [MMPOSE, MMPOSE])
    put(tmp_path / "mmpose" / "b.json", [])
    for folder, counts in (("sep-json", [1, 1]), ("mmpose", [2, 0])):
        found = read_poses(tmp_path / folder)
        assert list(found) == ["a", "b"] and [len(p) for p in found.values()] == counts
    put(tmp_path / "sep-json" / "alphapose-results.json", {"c.jpg": CMU})
    assert list(read_poses(tmp_path / "sep-json")) == ["c.jpg"]


def test_several_pictures_without_names_are_refused(tmp_path):
    path = put(tmp_path / "x.json", [[ULTRALYTICS], [ULTRALYTICS]])
    with pytest.raises(
        DataError, match=r"nothing on the picture 1\.jpg; it speaks of number 1 of 2"
    ):
        poses_of_picture(path, "1.jpg")
    video = put(tmp_path / "y.json", [{"frame_id": i, "instances": [MMPOSE] * i} for i in range(3)])
    given = poses_of_picture(video, "frame_002.jpg")
    assert len(given.people) == 2 and "picture number 2" in given.notes[-1]


def test_a_file_named_by_its_writer_for_another_picture(tmp_path):
    path = put(tmp_path / "b_keypoints.json", OPEN)
    with pytest.raises(DataError, match=r"if it is of this picture, call it a_keypoints\.json"):
        poses_of_picture(path, "a.jpg")


def test_people_of_whom_only_a_hand_was_found(tmp_path):
    content = {"people": [{"pose_keypoints_2d": []}, {"pose_keypoints_2d": COCO_18}]}
    assert len(poses_of_picture(put(tmp_path / "x.json", content), "a.jpg").people) == 1


def test_too_many_people_are_refused_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr("crowd3d.data.poses.reading.MOST_PEOPLE", 2)
    path = put(tmp_path / "x.json", [PIFPAF] * 3)
    with pytest.raises(DataError, match="3 people in one picture; at most 2 can be taken"):
        poses_of_picture(path, "a.jpg")
    assert MOST_PEOPLE >= 10_000
