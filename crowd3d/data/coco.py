"""COCO and CrowdPose keypoints: `images`, `annotations`, `categories` in one JSON file.

Keypoints are found by the names that the file's person category gives them, so CrowdPose's fourteen fall into
COCO's places; its head and neck, which COCO does not know, are in `values["head_neck_px"]`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crowd3d.body.tree import COCO_NAMES
from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.files.located_json import Node, begins_with

_MORE = ("head", "neck")


def recognises(path: Path) -> bool:
    """Whether a file looks like COCO's."""
    return begins_with(path, '"annotations"', '"images"', '"categories"')


def load(path: str | Path) -> DataSet:
    """All pictures of an annotation file, people or none.

    Raises:
        DataError: names file, line and member of the first mistake.
    """
    whole = Node.read(path)
    names = keypoint_names(whole)
    frames: dict[str, FrameTruth] = {}
    for image, people in by_image(whole):
        frame = new_frame(image, people)
        more = np.zeros((len(people), len(_MORE), 3))
        for i, person in enumerate(people):
            node = person.get("keypoints")
            if node is None:
                continue
            points = node.array(3 * len(names)).reshape(-1, 3)
            if not np.isin(points[:, 2], (0, 1, 2)).all():
                node.fail("a visibility is none of 0, 1, 2")
            for name, point in zip(names, points, strict=True):
                if name in COCO_NAMES:
                    frame.keypoints_px[i, COCO_NAMES.index(name)] = point
                elif name in _MORE:
                    more[i, _MORE.index(name)] = point
        frame.values["head_neck_px"] = more
        # Unlabelled points are stored as 0, 0, which is a place in the picture.
        frame.keypoints_px[frame.keypoints_px[..., 2] == 0, :2] = np.nan
        frames[frame.image_name] = frame
    return DataSet("coco", frames)


def person_category(whole: Node) -> Node:
    """The file's category "person", however it is spelled."""
    for category in whole["categories"]:
        if category["name"].text().strip().casefold() == "person":
            return category
    whole["categories"].fail("there is no category 'person'")


def keypoint_names(whole: Node) -> list[str]:
    """Names of the person category's keypoints, in the file's order."""
    return [name.text() for name in person_category(whole)["keypoints"]]


def identity(node: Node) -> str:
    """An id as text: 7, 7.0 and "7" are one."""
    value = node.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        node.fail(f"{type(value).__name__} where a name or a whole number belongs")
    return str(value)


def by_image(whole: Node, orphans: list[Node] | None = None) -> list[tuple[Node, list[Node]]]:
    """Each picture of a COCO-style file with its annotations, in order; ids are checked.

    Args:
        orphans: gets the annotations of pictures that are not listed, which are a mistake if not given.
    """
    images: dict[str, Node] = {}
    for image in whole["images"]:
        number = identity(image["id"])
        if number in images:
            image["id"].fail(f"two pictures have the id {number}")
        images[number] = image
    people: dict[str, list[Node]] = {number: [] for number in images}
    for annotation in whole["annotations"]:
        number = identity(annotation["image_id"])
        if number in people:
            people[number].append(annotation)
        elif orphans is not None:
            orphans.append(annotation)
        else:
            annotation["image_id"].fail(f"there is no picture with the id {number}")
    return [(images[number], people[number]) for number in images]


def new_frame(image: Node, people: list[Node], joint_set: str = "smpl24") -> FrameTruth:
    """A frame with the boxes and crowd flags of COCO-style annotations."""
    name = image["file_name"].text()
    frame = FrameTruth.unknown(name, str(Path(name).parent), len(people), joint_set)
    frame.size = (image["width"].integer(1), image["height"].integer(1))
    for i, person in enumerate(people):
        x, y, width, height = person["bbox"].array(4)
        if width < 0 or height < 0:
            person["bbox"].fail("a negative width or height; expected [left, top, width, height]")
        frame.boxes_px[i] = x, y, x + width, y + height
        crowd = person.get("iscrowd")
        frame.is_ignored[i] = crowd is not None and crowd.integer() != 0
    areas = [area.number() if (area := p.get("area")) is not None else np.nan for p in people]
    if np.isfinite(areas).all():
        frame.values["area_px2"] = np.array(areas)
    frame.values["annotation_id"] = np.array([_id_of(p) for p in people], np.int64)
    return frame


def _id_of(person: Node) -> int:
    node = person.get("id")
    return node.integer() if node is not None else -1
