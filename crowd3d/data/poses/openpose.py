"""OpenPose's files, and AlphaPose's in that manner: `--format open` and `cmu`, in one file or in `sep-json/`.

Sources: CMU-Perceptual-Computing-Lab/openpose, doc/02_output.md (`pose_keypoints` without `_2d` before 1.1);
MVIG-SJTU/AlphaPose, pPose_nms.py, write_json. Joints are BODY_25, COCO_18 or MPI_15; coordinates may be
pixels, 0..1 or -1..1 (`--keypoint_scale`), which the file does not say.
"""

from __future__ import annotations

from crowd3d.data.poses.given import ANY_PICTURE, Person, PoseFile
from crowd3d.data.poses.joints import OPENPOSE
from crowd3d.data.poses.values import points_of
from crowd3d.files.located_json import Node

PEOPLE = ("people", "bodies")
_POINTS = ("pose_keypoints_2d", "pose_keypoints", "joints")


def is_frame(value: object) -> bool:
    """Whether a value is what OpenPose, or AlphaPose in its manner, says of one picture."""
    return isinstance(value, dict) and any(isinstance(value.get(key), list) for key in PEOPLE)


def read_frame(whole: Node) -> PoseFile:
    """One picture, whose name is not in the file."""
    return PoseFile({ANY_PICTURE: _people(whole)})


def read_frames(whole: Node) -> PoseFile:
    """AlphaPose: several pictures by name."""
    return PoseFile({name: _people(frame) for name, frame in whole.items()})


def _people(frame: Node) -> list[Person]:
    listed = frame.get("bodies") or frame["people"]
    found = (points_of(_joints(person), sets=OPENPOSE) for person in listed)
    # A person of whom only a hand or the face was found has an empty list.
    return [Person(points) for points in found if points is not None]


def _joints(person: Node) -> Node:
    found = (person.get(key) for key in _POINTS)
    return next((node for node in found if node is not None), None) or person[_POINTS[0]]
