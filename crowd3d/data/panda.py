"""PANDA's and GigaCrowd's person boxes: `image_annos/person_bbox_*.json` beside `image_train/SCENE/`.

    {"SCENE/IMAGE.jpg": {"image id", "image size": {"height", "width"},
        "objects list": [{"category": "person", "rects": {"head" | "visible body" | "full body":
                             {"tl": {"x", "y"}, "br": {"x", "y"}}}},
                         {"category": "ignore" | "crowd" | ..., "rect": {"tl", "br"}}]}}

Values are fractions of width and height. There are no keypoints and nothing in 3D.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.errors import DataError
from crowd3d.files.arrays import FloatArray
from crowd3d.files.located_json import Node, begins_with


def recognises(path: Path) -> bool:
    """Whether a path looks like PANDA."""
    return bool(_files(path))


def load(path: str | Path) -> DataSet:
    """All pictures of a PANDA folder or of one of its files, by file name.

    Who is no single person ("ignore", "crowd", "fake person", ...) is ignored.

    Raises:
        DataError: names file, line and member of the first mistake.
    """
    files = _files(Path(path))
    if not files:
        raise DataError(f"{path} has no image_annos/person_bbox_*.json")
    frames: dict[str, FrameTruth] = {}
    for file in files:
        for path_in_set, image in Node.read(file).items():
            frame = _read_frame(path_in_set, image)
            if frame.image_name in frames:
                image.fail(
                    f"there is a {frame.image_name} in {frames[frame.image_name].scene} already"
                )
            frames[frame.image_name] = frame
    return DataSet("panda", frames)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if begins_with(path, '"objects list"') else []
    return sorted(path.glob("image_annos/person_bbox*.json")) + sorted(
        path.glob("person_bbox*.json")
    )


def _read_frame(path_in_set: str, image: Node) -> FrameTruth:
    people = list(image["objects list"])
    place = Path(path_in_set)
    frame = FrameTruth.unknown(place.name, str(place.parent), len(people))
    size = image["image size"]
    frame.size = (size["width"].integer(1), size["height"].integer(1))
    visible = np.full((len(people), 4), np.nan)
    for i, person in enumerate(people):
        if person["category"].text() == "person":
            rects = person["rects"]
            frame.boxes_px[i] = _box(rects["full body"], frame.size)
            if (seen := rects.get("visible body")) is not None:
                visible[i] = _box(seen, frame.size)
        else:
            frame.boxes_px[i] = _box(person["rect"], frame.size)
            frame.is_ignored[i] = True
    frame.values["visible_boxes_px"] = visible
    return frame


def _box(rect: Node, size: tuple[int, int]) -> FloatArray:
    corners = np.array([[rect[c][axis].number() for axis in "xy"] for c in ("tl", "br")])
    if (corners[1] < corners[0]).any() or np.abs(corners).max() > 2:
        rect.fail("tl and br are not corners in fractions of the picture's size")
    return np.asarray((corners * size).ravel())
