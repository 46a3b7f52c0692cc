"""MediaPipe's pose landmarks as JSON: 33 points of {x, y, z, visibility}, x and y 0..1 across the picture.

Results are objects in MediaPipe, so their JSON has no one form: `pose_landmarks` (Python), `landmarks`
(JavaScript) or `poseLandmarks`, of one person or of several, or nothing but the list. Source: "Pose landmark
detection guide", ai.google.dev, and its NormalizedLandmark.
"""

from __future__ import annotations

import numpy as np

from crowd3d.data.poses.given import ANY_PICTURE, Person, PoseFile
from crowd3d.data.poses.joints import KNOWN, Floats
from crowd3d.files.located_json import Node

KEYS = ("pose_landmarks", "poseLandmarks", "landmarks", "landmark")
_COUNT = 33
_DEEPEST = 6  # lists and objects around a landmark, in the forms that occur


def is_landmark(value: object) -> bool:
    """Whether a value is one landmark."""
    return isinstance(value, dict) and {"x", "y"} <= value.keys() and "keypoints" not in value


def is_list(value: object) -> bool:
    """Whether a value is a list of landmarks, of people, or of both in any depth that occurs."""
    while isinstance(value, list) and value:
        value = value[0]
        if isinstance(value, dict) and "landmark" in value:
            return True
    return is_landmark(value)


def read_landmarks(whole: Node) -> PoseFile:
    """Everybody in the one picture of a file."""
    people = [Person(KNOWN[_COUNT].to_coco(points)) for points in _everybody(whole)]
    return PoseFile({ANY_PICTURE: people}, is_normalised=True)


def _everybody(node: Node, depth: int = 0) -> list[Floats]:
    if depth > _DEEPEST:
        node.fail("lists in lists in lists, and no landmark")
    if isinstance(node.value, dict):
        inner = next((found for key in KEYS if (found := node.get(key)) is not None), None)
        return [] if inner is None else _everybody(inner, depth + 1)
    parts = list(node)
    if not parts or not is_landmark(parts[0].value):
        return [person for part in parts for person in _everybody(part, depth + 1)]
    if len(parts) != _COUNT:
        node.fail(f"{len(parts)} landmarks where MediaPipe's {_COUNT} belong")
    return [np.array([_landmark(part) for part in parts])]


def _landmark(part: Node) -> tuple[float, float, float]:
    score = part.get("visibility")
    return part["x"].number(), part["y"].number(), 1.0 if score is None else score.number()
