"""Short texts about a scene, for the terminal."""

from __future__ import annotations

import math
from pathlib import Path

from crowd3d.errors import printable
from crowd3d.scene.people import People
from crowd3d.scene.scene import Scene


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
    return printable(f"{scene.image_name}: {headcount(scene.people)}, {seen}{took}{target}")


def headcount(people: People) -> str:
    """How many people, and how many of them have no place: "98 people (12 of them without a place)"."""
    n_lost = int((~people.placed).sum())
    note = f" ({n_lost} of them without a place)" if n_lost else ""
    return f"{len(people)} people{note}"
