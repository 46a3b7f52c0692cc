"""Why people have no place: what `scene.diagnostics["unplaced"]` says of whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crowd3d.scene.people import People

UNKNOWN_REASON = "no place in the scene"  # of somebody whom no group names


def reasons(people: People, diagnostics: Mapping[str, Any]) -> list[str]:
    """(N,) why each one has no place; empty for people who have one."""
    by_id = {
        int(id_): str(group["reason"])
        for group in diagnostics.get("unplaced", [])
        for id_ in group["ids"]
    }
    return [
        "" if placed else by_id.get(id_, UNKNOWN_REASON)
        for id_, placed in zip(people.id.tolist(), people.placed.tolist(), strict=True)
    ]
