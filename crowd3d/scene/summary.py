"""Short texts about a scene, for the terminal."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from crowd3d.errors import printable
from crowd3d.scene.frames import export_frame
from crowd3d.scene.people import ABOVE, SEATED, People
from crowd3d.scene.scene import Scene
from optim.ground.surface import SLOPE, STANDS


def closing_line(scene: Scene, where: Path | None = None) -> str:
    """People, camera and seconds of a run in one line; `where` is the folder of the result, if any."""
    seen = "camera not determined"
    if scene.planes:
        seen = (
            f"camera {scene.planes[0].offset_m:.1f} m above the ground, "
            f"field of view {math.degrees(scene.camera.fov_rad):.0f} degrees"
        )
    seconds = scene.diagnostics.get("seconds", {})
    took = f", {sum(seconds.values()):.1f} s" if seconds else ""
    target = f" -> {where}" if where is not None else ""
    who = ", ".join(filter(None, (headcount(scene.people), footing_in_words(scene.people))))
    return printable(f"{scene.image_name}: {who}, {seen}{took}{target}")


def ground_in_words(scene: Scene) -> str:
    """The shape of the ground and how high people stand on it: "slope of 8 degrees, rising ahead".

    Heights count from the level straight below the camera; only for scenes with a ground.
    """
    ground, people = scene.ground, scene.people
    feet, plane = people.hvip_m[people.placed], people.plane[people.placed]
    if ground.kind == "level":
        return "level"
    if ground.kind == SLOPE:
        uphill = ground.tangents(-scene.planes[0].offset_m * ground.normal[None], np.zeros(1, int))
        toward = -(export_frame(scene.camera, scene.planes).R_zup_cam @ uphill.normals[0])
        degrees = math.degrees(math.atan2(math.hypot(*toward[:2]), -toward[2]))
        return f"slope of {degrees:.0f} degrees, rising {_direction(*toward[:2])}"
    if ground.kind == "levels":
        heights = [scene.planes[0].offset_m - plane.offset_m for plane in scene.planes]
        return f"{len(heights)} levels, at " + _listed([f"{h + 0.0:.1f}" for h in heights]) + " m"
    words = ground.kind
    if not len(feet):
        return words
    if ground.kind == STANDS:
        steep = float((ground.tangents(feet, plane).normals @ ground.normal).min())
        words += f" of {math.degrees(math.acos(min(steep, 1.0))):.0f} degrees"
    low, high = (float(h) + 0.0 for h in np.quantile(ground.heights_m(feet, plane), [0, 1]))
    return f"{words}, people {low:.1f} to {high:.1f} m high"


def _direction(right: float, ahead: float) -> str:
    """Where a horizontal direction points, seen from the camera."""
    if abs(ahead) >= abs(right):
        return "ahead" if ahead > 0 else "towards the camera"
    return "to the right" if right > 0 else "to the left"


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def headcount(people: People) -> str:
    """How many people, and how many of them have no place: "98 people (12 of them without a place)"."""
    n_lost = int((~people.placed).sum())
    note = f" ({n_lost} of them without a place)" if n_lost else ""
    return f"{len(people)} people{note}"


def footing_in_words(people: People) -> str:
    """How many people are not on their feet: "3 above the ground, 41 seated"; empty if all are."""
    told = ((ABOVE, "above the ground"), (SEATED, "seated"))
    counts = [(int((people.footing == what).sum()), word) for what, word in told]
    return ", ".join(f"{count} {word}" for count, word in counts if count)
