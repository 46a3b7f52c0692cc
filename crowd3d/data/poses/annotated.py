"""COCO's annotation files: pictures with their sizes, people with keypoints, names of the keypoints."""

from __future__ import annotations

from crowd3d.data import coco
from crowd3d.data.poses.given import Person, PoseFile
from crowd3d.data.poses.joints import JointSet
from crowd3d.data.poses.values import by_visibility, corners_of, points_of, score_of
from crowd3d.files.located_json import Node


def read_annotations(whole: Node) -> PoseFile:
    """Everybody, by picture; annotations of pictures that the file does not list are counted and left out."""
    person = coco.person_category(whole)
    names = JointSet.of([name.text() for name in person["keypoints"]])
    person_id = person.get("id")
    number = None if person_id is None else coco.identity(person_id)
    orphans: list[Node] = []
    found = PoseFile()
    for image, annotated in coco.by_image(whole, orphans):
        name = image["file_name"].text()
        people = (_person(a, names) for a in annotated if _is_of(a, number))
        found.people[name] = [p for p in people if p is not None]
        width, height = image.get("width"), image.get("height")
        if width is not None and height is not None:
            found.sizes_px[name] = (_pixels(width), _pixels(height))
    if orphans:
        found.notes.append(
            f"{len(orphans)} of the file's annotations belong to a picture that it does not list; skipped"
        )
    return found


def _pixels(node: Node) -> int:
    """A whole number of pixels; some writers give 1280.0."""
    value = node.number()
    if value < 1 or value != int(value):
        node.fail(f"{value} is no size in pixels")
    return int(value)


def _is_of(annotation: Node, category: str | None) -> bool:
    node = annotation.get("category_id")
    return node is None or category is None or coco.identity(node) == category


def _person(annotation: Node, names: JointSet) -> Person | None:
    node = annotation.get("keypoints")
    points = None if node is None else points_of(node, sets={names.count: names})
    if node is None or points is None:
        return None
    score, box = annotation.get("score"), annotation.get("bbox")
    if score is None:
        points = by_visibility(points, node)
    return Person(points, None if box is None else corners_of(box), score_of(score))
