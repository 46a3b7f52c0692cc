"""Checks that a `predict.json` is exactly what the LargeCrowd and GigaCrowd evaluators read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crowd3d.files.located_json import Node

MEMBERS = ("pose", "shape", "trans_cam", "gender", "scale_smpl", "hvip2d", "hvip3d")
_REQUIRED = MEMBERS[:5]
_OURS = ("body", "plane")  # additions, as "planes" of a picture: evaluators ignore them
_PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
_UNIT = 1e-3  # tolerance of a unit normal's length
_HVIP_PX = 2.0  # hvip2d may be so far from the projection of hvip3d


@dataclass(frozen=True)
class Checked:
    """What a file holds, and what is unusual though allowed.

    Attributes:
        pictures, people: how many; bodies: names of their bodies.
        warnings: each names picture and person.
    """

    pictures: int
    people: int
    bodies: list[str]
    warnings: list[str]


def check_predict(path: str | Path) -> Checked:
    """Read every member of a `predict.json` and compare it with the format (docs/formats.md).

    Raises:
        DataError: names the file, the line and the path of the first mistake: picture, person, member.
    """
    warnings: list[str] = []
    bodies: dict[str, None] = {}
    people = pictures = 0
    for name, entry in Node.read(path).items():
        pictures += 1
        if Path(name).suffix.lower() not in _PICTURES:
            entry.fail(f"{name!r} is not the file name of a picture")
        _only(entry, ("Intrinsic_matrix", "person_list", "planes"))
        K = _intrinsics(entry["Intrinsic_matrix"])
        rows = entry.get("planes")
        n_planes = 0 if rows is None else _planes(rows)
        for i, person in enumerate(entry["person_list"]):
            people += 1
            found = _person(person, K, n_planes)
            warnings += [f"{name}, person {i}: {text}" for text in found]
            body = person.get("body")
            bodies[body.text() if body else "smpl"] = None
    return Checked(pictures, people, list(bodies), warnings)


def by_kind(warnings: list[str]) -> list[str]:
    """One line for all warnings of the same words, with the first place and their number."""
    places: dict[str, list[str]] = {}
    for warning in warnings:
        place, _, text = warning.partition(": ")
        places.setdefault(text, []).append(place)
    return [
        f"{where[0]}{f' and {len(where) - 1} more' if len(where) > 1 else ''}: {text}"
        for text, where in places.items()
    ]


def _intrinsics(node: Node) -> np.ndarray:
    K = node.array(3, 3)
    if min(K[0, 0], K[1, 1]) <= 0 or K[0, 1] or K[1, 0] or K[2].tolist() != [0, 0, 1]:
        node.fail("it is not [[f, 0, cx], [0, f, cy], [0, 0, 1]] with f > 0")
    return K


def _planes(rows: Node) -> int:
    """How many there are."""
    count = 0
    for row in rows:
        if abs(np.linalg.norm(row.array(4)[:3]) - 1) > _UNIT:
            row.fail("it is not [nx, ny, nz, d] with a unit normal")
        count += 1
    return count


def _person(person: Node, K: np.ndarray, n_planes: int) -> list[str]:
    """Warnings; raises DataError for what is wrong."""
    _only(person, (*MEMBERS, *_OURS))
    for key in _REQUIRED:
        _ = person[key]
    pose = person["pose"].array(72)
    person["shape"].array(10)
    place = person["trans_cam"].array(3)
    person["gender"].one_of("neutral", "male", "female")
    if person["scale_smpl"].number() <= 0:
        person["scale_smpl"].fail("a scale is greater than 0")
    plane = person.get("plane")
    if plane is not None and plane.integer() >= n_planes:
        plane.fail(f"there is no such plane; the picture has {n_planes}")
    warnings = []
    if np.abs(pose[-6:]).any():
        warnings.append("the last six numbers of pose, the hands, are not 0")
    if place[2] <= 0:
        warnings.append(f"trans_cam is behind the camera (z = {place[2]:g} m)")
    flat, solid = person.get("hvip2d"), person.get("hvip3d")
    if (flat is None) != (solid is None):
        person.fail("hvip2d and hvip3d come together or not at all")
    if flat is not None and solid is not None:
        warnings += _hvip(flat, solid, K)
    return warnings


def _hvip(flat: Node, solid: Node, K: np.ndarray) -> list[str]:
    pixel, point = flat.array(2), solid.array(3)
    if point[2] <= 0:
        return [f"hvip3d is behind the camera (z = {point[2]:g} m)"]
    image = K @ point
    away = float(np.linalg.norm(image[:2] / image[2] - pixel))
    if away > _HVIP_PX:
        return [f"hvip2d is {away:.1f} px from where the intrinsics project hvip3d"]
    return []


def _only(node: Node, allowed: tuple[str, ...]) -> None:
    for key, value in node.items():
        if key not in allowed:
            value.fail(f"{key!r} is no member of the format; allowed: {', '.join(allowed)}")
