"""Lists of people: AlphaPose, results for COCO (Detectron2, MMDetection), OpenPifPaf, MMPose, ultralytics.

They differ in little, so one reader knows all their spellings:

    writer           picture          keypoints                           box                 score
    AlphaPose        image_id, name   x, y, score, ...                    box, with size      passes 1
    AlphaPose, eval  image_id, number
    COCO results     image_id, number x, y, score or visibility, ...      bbox, with size     score
    OpenPifPaf       in the file name x, y, score, ...                    bbox, with size     score
    MMPose           in the file name [[x, y], ...], keypoint_scores      bbox, corners       bbox_score
    ultralytics      none             {"x": [...], "y": [...], "visible"} box: {"x1", ...}    confidence

Sources: MVIG-SJTU/AlphaPose, pPose_nms.py, write_json; cocodataset.org, "Results format"; openpifpaf.github.io,
"Prediction"; open-mmlab/mmpose, structures/utils.py, split_instances; ultralytics, Results.summary.
"""

from __future__ import annotations

import numpy as np

from crowd3d.data import coco
from crowd3d.data.poses.given import ANY_PICTURE, Person, PoseFile
from crowd3d.data.poses.joints import KNOWN, Floats, JointSet
from crowd3d.data.poses.values import corners_of, points_of, score_of, with_scores
from crowd3d.files.located_json import Node


def read_list(whole: Node) -> PoseFile:
    """Everybody in a list, by picture."""
    parts = list(whole)
    if parts and all(isinstance(p.value, list) for p in parts):  # one list a picture, without names
        count = len(parts)
        names = [
            f"number {i} of {count}" if count > 1 else ANY_PICTURE for i in range(1, count + 1)
        ]
        return _scored({name: _people(part) for name, part in zip(names, parts, strict=True)})
    if _is_video(parts):
        return _scored({coco.identity(p["frame_id"]): _people(p["instances"]) for p in parts})
    frames: dict[str, list[Person]] = {}
    for part in parts:
        image = part.get("image_id")
        people = frames.setdefault(ANY_PICTURE if image is None else coco.identity(image), [])
        if (person := _person(part)) is not None:
            people.append(person)
    return _scored(frames)


def read_by_name(whole: Node) -> PoseFile:
    """Lists of people by the name of their picture."""
    return _scored({name: _people(people) for name, people in whole.items()})


def read_mmpose(whole: Node) -> PoseFile:
    """What MMPose's demos save: `meta_info` and `instance_info`, of a picture or of a video's frames."""
    meta = whole.get("meta_info")
    names = meta.get("keypoint_id2name") if meta is not None else None
    joint_set = None if names is None else JointSet.of([name.text() for _, name in names.items()])
    instances = whole["instance_info"]
    if _is_video(list(instances)):
        return _scored(
            {coco.identity(f["frame_id"]): _people(f["instances"], joint_set) for f in instances}
        )
    return _scored({ANY_PICTURE: _people(instances, joint_set)})


def _is_video(parts: list[Node]) -> bool:
    return bool(parts) and all(isinstance(p.value, dict) and "instances" in p.value for p in parts)


def _people(node: Node, joint_set: JointSet | None = None) -> list[Person]:
    return [p for part in node if (p := _person(part, joint_set)) is not None]


def _scored(frames: dict[str, list[Person]]) -> PoseFile:
    return PoseFile(frames, notes=with_scores([p for people in frames.values() for p in people]))


def _person(part: Node, joint_set: JointSet | None = None) -> Person | None:
    """One person, or None if the list's element is something else than a person, or has no joints."""
    kind = part.get("name")
    if kind is not None and "class" in part.value and kind.text().casefold() != "person":
        return None  # ultralytics: a car
    keypoints = part["keypoints"]
    if isinstance(keypoints.value, dict):
        return _with_box(_in_columns(keypoints), part.get("box"), part.get("confidence"))
    apart = part.get("keypoint_scores")
    sets = KNOWN if joint_set is None else {joint_set.count: joint_set}
    points = points_of(keypoints, apart, sets)
    if points is None:
        return None
    if apart is not None:
        return _with_box(points, part.get("bbox"), part.get("bbox_score"), is_xyxy=True)
    box = part.get("box")
    # AlphaPose's own score adds up several things and passes 1; that of the joints does not.
    is_alphapose = box is not None or isinstance(part.value.get("image_id"), str)
    return _with_box(points, box or part.get("bbox"), None if is_alphapose else part.get("score"))


def _in_columns(keypoints: Node) -> Floats:
    """(17, 3) of ultralytics' columns; a joint that was not seen is at 0, 0."""
    x, visible = keypoints["x"].array(-1), keypoints.get("visible")
    if len(x) not in KNOWN:
        keypoints.fail(f"{len(x)} joints where {' or '.join(map(str, KNOWN))} belong")
    score = np.full(len(x), np.nan) if visible is None else visible.array(len(x))
    return KNOWN[len(x)].to_coco(np.column_stack([x, keypoints["y"].array(len(x)), score]))


def _with_box(
    points: Floats, box: Node | None, score: Node | None, is_xyxy: bool = False
) -> Person:
    corners = None
    if box is not None and isinstance(box.value, dict):
        corners = np.array([box[side].number() for side in ("x1", "y1", "x2", "y2")])
    elif box is not None:
        corners = corners_of(box, is_xyxy)
    return Person(points, corners, score_of(score))
