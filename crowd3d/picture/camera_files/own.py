"""`camera.json`, our own format: the members of `Camera.to_dict`, and what is known of the ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crowd3d.errors import CameraError, nearest_name
from crowd3d.picture.camera_files.intrinsics import Intrinsics
from crowd3d.scene.camera import MEMBERS, Camera
from crowd3d.scene.known import KnownGround

KIND = "camera.json"
_OF_GROUND = ("gravity", "height_m", "plane", "R", "t")


def read(values: Mapping[str, Any]) -> Intrinsics:
    """One camera; raises CameraError for members that are unknown, malformed or say the same thing twice."""
    known = (*MEMBERS, *_OF_GROUND)
    for name in values:
        if name not in known:
            raise CameraError(f"has an unknown {name!r}{nearest_name(str(name), known)}")
    camera = Camera.from_dict({name: values[name] for name in MEMBERS if name in values})
    told = {name: values[name] for name in _OF_GROUND if values.get(name) is not None}
    return replace(Intrinsics.of_camera(KIND, camera), ground=_ground(told))


def _ground(said: Mapping[str, Any]) -> KnownGround:
    ways = [
        way for way in (("gravity", "height_m"), ("plane",), ("R", "t")) if said.keys() & set(way)
    ]
    if len(ways) > 1:
        raise CameraError(
            f"tells the ground twice, by {ways[0][0]} and by {ways[1][0]}; leave one of them"
        )
    if "plane" in said:
        return KnownGround.of_plane(_plane(said["plane"]))
    if "t" in said and "R" not in said:
        raise CameraError("has t without R: neither gravity nor height can be told from it")
    if "R" in said:
        return KnownGround.of_pose(said["R"], said.get("t"))
    try:
        height = said.get("height_m")
        return KnownGround(said.get("gravity"), None if height is None else float(height))
    except (TypeError, ValueError):
        raise CameraError(f"height_m must be a number, not {said['height_m']!r}") from None


def _plane(plane: Any) -> Any:
    """nx, ny, nz, d from a list, or from the mapping that `scene.json` writes."""
    if isinstance(plane, dict) and isinstance(plane.get("normal"), list):
        return [*plane["normal"], plane.get("offset_m")]
    return plane
