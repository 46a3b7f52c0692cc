"""From a path to what it says: finds out which program wrote a file, or a folder of one file a picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Literal

from crowd3d.data.poses import landmarks, lists, openpose
from crowd3d.data.poses.annotated import read_annotations
from crowd3d.data.poses.crowdnet import read_crowdnet
from crowd3d.data.poses.given import ANY_PICTURE, GivenPoses, PoseFile, detections_of
from crowd3d.errors import DataError
from crowd3d.files.located_json import Node

Kind = Literal[
    "alphapose",
    "openpose",
    "3dcrowdnet",
    "coco",
    "mmpose",
    "openpifpaf",
    "ultralytics",
    "mediapipe",
]

OPENPOSE_SUFFIX = "_keypoints"
_PIFPAF_SUFFIX = ".predictions"
_LISTED = "alphapose-results.json"  # AlphaPose writes it beside `sep-json/`
# Of one picture: each of them takes about 8 ms and 0.1 MB in the stages that follow.
MOST_PEOPLE = 20_000


def read_file(path: str | Path, kind: Kind | None = None) -> PoseFile:
    """Everybody in a file or folder, by the name of the picture.

    Raises:
        DataError: missing, of no known format, or malformed; names file, line and member.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, kind)
    whole = Node.read(path)
    found = _READERS[kind or _recognised(whole)](whole)
    name = _picture_of(path.stem)
    return found if name is None else found.named(name)


def poses_of_picture(path: str | Path, picture: str, kind: Kind | None = None) -> GivenPoses:
    """Everybody whom a file has in one picture, known by its name, with or without ending and folder.

    Raises:
        DataError: as `read_file`; or the file has no such picture, or too many people.
    """
    found = read_file(path, kind)
    name, notes = _choose(list(found.people), picture, path)
    people = found.people[name]
    if len(people) > MOST_PEOPLE:
        raise DataError(
            f"{path} has {len(people):,} people in one picture; at most {MOST_PEOPLE:,} can be taken: "
            "cut picture and poses into parts"
        )
    return GivenPoses(
        detections_of(people),
        found.sizes_px.get(name),
        found.is_normalised,
        (*found.notes, *notes),
    )


def _recognised(whole: Node) -> Kind:
    value = whole.value
    if landmarks.is_list(value):
        return "mediapipe"
    if isinstance(value, dict):
        return _kind_of_object(value) or _unknown(whole)
    if isinstance(value, list):
        return _kind_of_list(value) or _unknown(whole)
    return _unknown(whole)


def _kind_of_object(value: dict[str, object]) -> Kind | None:
    if any(key in value for key in openpose.PEOPLE):
        return "openpose"
    if "annotations" in value or "images" in value:
        return "coco"
    if "instance_info" in value:
        return "mmpose"
    if "predictions" in value:
        return "openpifpaf"
    if any(key in value for key in landmarks.KEYS):
        return "mediapipe"
    if value and all(openpose.is_frame(frame) for frame in value.values()):
        return "alphapose"
    listed = [people for people in value.values() if isinstance(people, list)]
    if len(listed) < len(value):
        return None
    is_object = any(isinstance(person, dict) for people in listed for person in people)
    return "alphapose" if is_object else "3dcrowdnet"


def _kind_of_list(value: list[object]) -> Kind | None:
    parts = [q for p in value for q in (p if isinstance(p, list) else [p])]
    told = [p for p in parts if isinstance(p, dict) and ("keypoints" in p or "instances" in p)]
    if not told:
        return None if parts else "alphapose"
    first = told[0]
    if "instances" in first or "keypoint_scores" in first:
        return "mmpose"
    if isinstance(first["keypoints"], dict):
        return "ultralytics"
    if "image_id" not in first:
        return "openpifpaf"
    return "alphapose" if isinstance(first["image_id"], str) else "coco"


def _unknown(whole: Node) -> Kind:
    whole.fail(f"no file of 2D poses that is known here ({', '.join(_READERS)})")


def _read_object_or_list(whole: Node) -> PoseFile:
    """AlphaPose: one list, or pictures by name."""
    if isinstance(whole.value, list):
        return lists.read_list(whole)
    if any(openpose.is_frame(frame) for frame in whole.value.values()):
        return openpose.read_frames(whole)
    return lists.read_by_name(whole)


def _read_coco(whole: Node) -> PoseFile:
    return lists.read_list(whole) if isinstance(whole.value, list) else read_annotations(whole)


def _read_predictions(whole: Node) -> PoseFile:
    return lists.read_list(whole["predictions"] if isinstance(whole.value, dict) else whole)


def _read_mmpose(whole: Node) -> PoseFile:
    return lists.read_mmpose(whole) if isinstance(whole.value, dict) else lists.read_list(whole)


_READERS: dict[Kind, Callable[[Node], PoseFile]] = {
    "alphapose": _read_object_or_list,
    "openpose": openpose.read_frame,
    "3dcrowdnet": read_crowdnet,
    "coco": _read_coco,
    "mmpose": _read_mmpose,
    "openpifpaf": _read_predictions,
    "ultralytics": lists.read_list,
    "mediapipe": landmarks.read_landmarks,
}


def _picture_of(stem: str) -> str | None:
    """The picture that a file's own name tells by the writer's rule, if any."""
    for suffix in (OPENPOSE_SUFFIX, _PIFPAF_SUFFIX):
        if stem.endswith(suffix):
            return stem.removesuffix(suffix)
    return None


def _read_folder(folder: Path, kind: Kind | None) -> PoseFile:
    """One file a picture; files of OpenPose or OpenPifPaf before others that lie beside them."""
    patterns = (f"*{OPENPOSE_SUFFIX}.json", f"*{_PIFPAF_SUFFIX}.json", _LISTED, "*.json")
    files = next((found for p in patterns if (found := sorted(folder.glob(p)))), [])
    if not files:
        raise DataError(
            f"{folder} has no file NAME{OPENPOSE_SUFFIX}.json as OpenPose writes them, nor any other .json"
        )
    whole = PoseFile()
    for file in files:
        part = read_file(file, kind).named(file.stem)
        whole.people |= part.people or {file.stem: []}
        whole.sizes_px |= part.sizes_px
        whole.notes += [note for note in part.notes if note not in whole.notes]
        whole.is_normalised |= part.is_normalised
    return whole


def _choose(names: list[str], picture: str, path: str | Path) -> tuple[str, list[str]]:
    """The name under which a file has a picture; notes in words where that was not plain."""
    if names == [ANY_PICTURE]:
        return ANY_PICTURE, []
    # Writers on Windows give whole paths with backslashes.
    wanted = PureWindowsPath(picture)
    for part in ("name", "stem"):
        found = [n for n in names if getattr(PureWindowsPath(n), part) == getattr(wanted, part)]
        if len(found) == 1:
            return found[0], []
        if found:
            raise DataError(f"{path} has several pictures called {wanted.name}: {', '.join(found)}")
    by_number = [n for n in names if _number(n) is not None and _number(n) == _number(wanted.stem)]
    if len(by_number) == 1 and by_number[0].isdigit():
        return by_number[0], [f"the poses are those of picture number {by_number[0]} of the file"]
    if len(names) == 1 and names[0].isdigit():
        return names[0], [
            f"the file calls its only picture {names[0]}, which was taken for {wanted.name}"
        ]
    some = ", ".join(names[:3]) or "none at all"
    hint = ""
    if (by_file_name := _picture_of(Path(path).stem)) is not None:
        right = Path(path).name.replace(by_file_name, wanted.stem, 1)
        hint = f" by its own name; if it is of this picture, call it {right}"
    raise DataError(f"{path} has nothing on the picture {wanted.name}; it speaks of {some}{hint}")


def _number(name: str) -> str | None:
    """The last digits of a name, by which AlphaPose and COCO number pictures: 12 of frame_000012."""
    digits = re.findall("[0-9]+", name)
    return digits[-1].lstrip("0") if digits else None
