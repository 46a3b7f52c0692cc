"""Reads 2D poses from the files of other people's estimators: AlphaPose, OpenPose, 3DCrowdNet, COCO.

Everything becomes `Detections` by picture, pixels as the file has them, COCO's seventeen joints; a joint
that is not there has the score 0. So a user's own poses can replace the detector; `keypoint_export` goes
the other way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from crowd3d.body.tree import COCO_NAMES
from crowd3d.data import coco
from crowd3d.errors import DataError
from crowd3d.files.located_json import Node
from crowd3d.scene.detections import Detections

Format = Literal["alphapose", "openpose", "3dcrowdnet", "coco"]
FORMATS: tuple[Format, ...] = ("alphapose", "openpose", "3dcrowdnet", "coco")
ANY_PICTURE = ""  # name of a file's only picture where the file does not say which it is

Floats = npt.NDArray[np.float64]

OPENPOSE_SUFFIX = "_keypoints"
# Place of COCO's joints in OpenPose's BODY_25; its COCO_18 lacks the middle of the hips, place 8.
BODY_25 = np.array([0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11])
_COCO_18 = np.where(BODY_25 > 8, BODY_25 - 1, BODY_25)
# Of these joint sets (COCO, Halpe-26, whole body 133 and 136) the first seventeen are COCO's.
_ALPHAPOSE_JOINTS = (17, 26, 133, 136)
_VISIBILITY_SCORE = np.array([0.0, 0.5, 1.0])  # COCO: not labelled, hidden, visible
_BOX_MARGIN = 0.1  # of the joints' extent, on either side: heads and feet reach beyond the joints


def read_poses(path: str | Path, format: Format | None = None) -> dict[str, Detections]:
    """Everybody in a file of 2D poses, by the name of the picture.

    Args:
        path: a file, or a folder of OpenPose's `NAME_keypoints.json`, one a picture.
        format: one of FORMATS; recognised by the content if not given.

    Raises:
        DataError: missing, of no known format, or malformed; names file, line and member.
    """
    path = Path(path)
    if path.is_dir():
        return _read_openpose_folder(path)
    whole = Node.read(path)
    return _READERS[format or _recognised(whole)](whole, path)


def poses_of(path: str | Path, picture: str, format: Format | None = None) -> Detections:
    """Everybody whom a file of 2D poses has in one picture, known by its name, with or without the ending.

    Raises:
        DataError: as `read_poses`; or the file has no such picture.
    """
    frames = read_poses(path, format)
    if list(frames) == [ANY_PICTURE]:
        return frames[ANY_PICTURE]
    wanted = Path(picture)
    for part in ("name", "stem"):
        found = [name for name in frames if getattr(Path(name), part) == getattr(wanted, part)]
        if len(found) == 1:
            return frames[found[0]]
        if found:
            raise DataError(f"{path} has several pictures called {wanted.name}: {', '.join(found)}")
    some = ", ".join(list(frames)[:3]) or "none at all"
    raise DataError(f"{path} has nothing on the picture {wanted.name}; it speaks of {some}")


def _recognised(whole: Node) -> Format:
    value = whole.value
    if isinstance(value, dict):
        if "people" in value:
            return "openpose"
        if "annotations" in value or "images" in value:
            return "coco"
        if all(isinstance(people, list) for people in value.values()):
            return "3dcrowdnet"
    if isinstance(value, list):
        first = value[0] if value else {}
        if isinstance(first, dict) and (not value or "keypoints" in first):
            return "coco" if isinstance(first.get("image_id"), int) else "alphapose"
    whole.fail(f"no file of 2D poses that is known here ({', '.join(FORMATS)})")


def _read_alphapose(whole: Node, path: Path) -> dict[str, Detections]:
    frames: dict[str, list[_Person]] = {}
    for person in whole:
        points = _triples(person["keypoints"], _ALPHAPOSE_JOINTS)[:17]
        box = person.get("box")
        name = person["image_id"].text()
        # AlphaPose's own score adds up several things and passes 1; that of the joints does not.
        frames.setdefault(name, []).append(_Person(points, _corners(box) if box else None))
    return {name: _detections(people) for name, people in frames.items()}


def _read_openpose(whole: Node, path: Path) -> dict[str, Detections]:
    stem = path.stem
    named = stem.endswith(OPENPOSE_SUFFIX)
    people = []
    for person in whole["people"]:
        points = _triples(person["pose_keypoints_2d"], (25, 18))
        people.append(_Person(points[BODY_25 if len(points) == 25 else _COCO_18]))
    return {stem.removesuffix(OPENPOSE_SUFFIX) if named else ANY_PICTURE: _detections(people)}


def _read_openpose_folder(folder: Path) -> dict[str, Detections]:
    files = sorted(folder.glob(f"*{OPENPOSE_SUFFIX}.json"))
    if not files:
        raise DataError(f"{folder} has no file NAME{OPENPOSE_SUFFIX}.json as OpenPose writes them")
    frames: dict[str, Detections] = {}
    for file in files:
        frames |= _read_openpose(Node.read(file), file)
    return frames


def _read_crowdnet(whole: Node, path: Path) -> dict[str, Detections]:
    frames = {}
    for name, people in whole.items():
        found = []
        for person in people:
            joints = list(person)
            if len(joints) != 17:
                person.fail(f"{len(joints)} joints where COCO's 17 belong")
            numbers = [joint.array(-1) for joint in joints]
            for joint, values in zip(joints, numbers, strict=True):
                if len(values) < 3:
                    joint.fail("a joint is [x, y, score]")
            found.append(_Person(np.array([values[:3] for values in numbers])))
        frames[name] = _detections(found)
    return frames


def _read_coco(whole: Node, path: Path) -> dict[str, Detections]:
    if isinstance(whole.value, list):
        return _read_coco_results(whole)
    names = coco.keypoint_names(whole)
    places = [(COCO_NAMES.index(n), i) for i, n in enumerate(names) if n in COCO_NAMES]
    ours, theirs = (list(p) for p in zip(*places, strict=True)) if places else ([], [])
    frames = {}
    for image, annotated in coco.by_image(whole):
        people = []
        for annotation in annotated:
            node = annotation.get("keypoints")
            if node is None:
                continue
            labelled = _triples(node, (len(names),))
            score = annotation.get("score")
            if score is None:
                if not np.isin(labelled[:, 2], (0, 1, 2)).all():
                    node.fail("a visibility is none of 0, 1, 2")
                labelled[:, 2] = _VISIBILITY_SCORE[labelled[:, 2].astype(int)]
            points = np.zeros((17, 3))
            points[ours] = labelled[theirs]
            box = annotation.get("bbox")
            people.append(_Person(points, _corners(box) if box else None, _score(score)))
        frames[image["file_name"].text()] = _detections(people)
    return frames


def _read_coco_results(whole: Node) -> dict[str, Detections]:
    """A list of results, in which pictures are numbers: those are their names here."""
    frames: dict[str, list[_Person]] = {}
    for person in whole:
        name = str(person["image_id"].integer())
        points = _triples(person["keypoints"], (17,))
        box = person.get("bbox")
        score = _score(person.get("score"))
        frames.setdefault(name, []).append(_Person(points, _corners(box) if box else None, score))
    return {name: _detections(people) for name, people in frames.items()}


_READERS: dict[Format, Callable[[Node, Path], dict[str, Detections]]] = {
    "alphapose": _read_alphapose,
    "openpose": _read_openpose,
    "3dcrowdnet": _read_crowdnet,
    "coco": _read_coco,
}


class _Person:
    """One row on its way into Detections; a box or score that the file does not give comes from the joints."""

    def __init__(
        self, points: Floats, box_px: Floats | None = None, score: float | None = None
    ) -> None:
        self.points = points.copy()
        self.points[:, 2] = self.points[:, 2].clip(0, 1)
        seen = self.points[:, 2] > 0
        self.points[~seen] = 0
        self.is_seen = bool(seen.any())
        self.score = self.points[:, 2].mean() if score is None else score
        if box_px is None and self.is_seen:
            low, high = self.points[seen, :2].min(axis=0), self.points[seen, :2].max(axis=0)
            margin = _BOX_MARGIN * (high - low)
            box_px = np.concatenate([low - margin, high + margin])
        self.box_px = box_px


def _detections(people: list[_Person]) -> Detections:
    """Those of whom at least one joint is seen."""
    seen = [p for p in people if p.is_seen]
    if not seen:
        return Detections.empty()
    score = np.array([p.score for p in seen])
    return Detections(
        score=score,
        quality=score.copy(),
        box_px=np.array([p.box_px for p in seen]),
        keypoints_px=np.array([p.points for p in seen]),
        is_cut=np.zeros(len(seen), bool),
        tile=np.zeros(len(seen), np.int64),
    )


def _triples(node: Node, counts: tuple[int, ...]) -> Floats:
    """x, y, score of as many joints as one of `counts` says."""
    flat = node.array(-1)
    if len(flat) not in [3 * c for c in counts]:
        wanted = " or ".join(str(3 * c) for c in counts)
        node.fail(f"{len(flat)} numbers where {wanted} belong")
    return flat.reshape(-1, 3)


def _corners(box: Node) -> Floats:
    left_top, size = np.split(box.array(4), 2)
    if (size < 0).any():
        box.fail("a negative width or height; expected [left, top, width, height]")
    return np.concatenate([left_top, left_top + size])


def _score(node: Node | None) -> float | None:
    return None if node is None else min(max(node.number(), 0.0), 1.0)
