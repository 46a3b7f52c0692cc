"""People as a table and as map features, in the z-up frame on the ground below the camera."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from crowd3d.export.floorplan import SIGMAS_95, FloorPlan, ellipse_ring, floor_plan
from crowd3d.files import atomic, strict_json
from crowd3d.scene.people import FOOTINGS, SEEN, UNPLACED
from crowd3d.scene.scene import Scene
from crowd3d.scene.unplaced import reasons

NUMBERS = (
    "id",
    "x_m",
    "y_m",
    "z_m",
    "stature_m",
    "heading_deg",
    "score",
    "sigma_major_m",
    "sigma_minor_m",
    "sigma_angle_deg",
)
HEIGHT = ("above_m", "above_sd_m")
COLUMNS = (*NUMBERS, "seen", "support", *HEIGHT, "looks", "level", "note")
_DIGITS = 4  # a tenth of a millimetre: far below any error
_FRAME_NOTE = (
    "Local metric coordinates, not longitude and latitude: metres, x right, y forward in the "
    "viewing direction, origin on the ground below the camera; z_m is the height of the ground over it. "
    "Angles in degrees, clockwise from y."
)


def rows(scene: Scene, plan: FloorPlan | None = None) -> list[dict[str, Any]]:
    """One dictionary a person: the keys of `NUMBERS`, None where unknown, and what `People` calls `seen`,
    `footing` (here `support`), `above_m`, `above_sd_m`, `support` (`looks`) and `plane` (`level`).

    Who has no place also has a `note` that says why.
    """
    plan = plan or floor_plan(scene)
    people = scene.people
    columns = (
        people.id,
        plan.position_m[:, 0],
        plan.position_m[:, 1],
        plan.position_m[:, 2],
        people.stature_m,
        plan.heading_deg,
        people.score,
        plan.sigma_major_m,
        plan.sigma_minor_m,
        plan.sigma_angle_deg,
    )
    plain = [strict_json.plain(column, _DIGITS) for column in columns]
    numbers = [dict(zip(NUMBERS, row, strict=True)) for row in zip(*plain, strict=True)]
    notes = reasons(people, scene.diagnostics)
    heights = [strict_json.plain(getattr(people, name), _DIGITS) for name in HEIGHT]
    words = zip(people.seen, people.footing, *heights, people.support, people.plane, strict=True)
    rows = [
        {
            **row,
            "seen": SEEN[seen],
            "support": FOOTINGS[footing],
            "above_m": above_m,
            "above_sd_m": above_sd_m,
            "looks": int(looks),
            "level": _level(int(plane)),
        }
        for row, (seen, footing, above_m, above_sd_m, looks, plane) in zip(
            numbers, words, strict=True
        )
    ]
    return [{**row, "note": note} if note else row for row, note in zip(rows, notes, strict=True)]


def to_csv(scene: Scene) -> str:
    """The table as comma-separated text with a header, the columns `COLUMNS`; unknown values are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(scene))
    return text.getvalue()


def to_geojson(scene: Scene) -> dict[str, Any]:
    """A FeatureCollection (RFC 7946): a point a person, then the 95 % error ellipses.

    The member "crowd3d" says that the coordinates are local metres, and the null "crs" of GeoJSON 2008
    keeps map programs from taking them for degrees. Who has no place has no geometry.
    """
    plan = floor_plan(scene)
    points, ellipses = [], []
    for i, row in enumerate(rows(scene, plan)):
        place = None
        if plan.placed[i]:
            place = {"type": "Point", "coordinates": [row["x_m"], row["y_m"]]}
        points.append(_feature(place, {"kind": "person", **row}))
        axes = np.array([plan.sigma_major_m[i], plan.sigma_minor_m[i]]) * SIGMAS_95
        if np.isfinite(axes).all() and axes.min() > 10**-_DIGITS:
            angle = float(plan.sigma_angle_deg[i])
            ring = ellipse_ring(plan.position_m[i, :2], float(axes[0]), float(axes[1]), angle)
            area = {"type": "Polygon", "coordinates": [ring]}
            ellipses.append(
                _feature(area, {"kind": "error_ellipse", "id": row["id"], "probability": 0.95})
            )
    return {
        "type": "FeatureCollection",
        "crs": None,
        "crowd3d": {
            "coordinates": _FRAME_NOTE,
            "image_name": scene.image_name,
            "body": scene.body,
        },
        "features": points + ellipses,
    }


def write_csv(scene: Scene, path: Path) -> None:
    """Write `people.csv`; raises OutputError."""
    atomic.write_text(path, to_csv(scene))


def write_geojson(scene: Scene, path: Path) -> None:
    """Write `people.geojson`; raises OutputError."""
    atomic.write_text(path, strict_json.dumps(to_geojson(scene), digits=_DIGITS))


def _level(plane: int) -> int | None:
    return None if plane == UNPLACED else plane


def _feature(geometry: dict[str, Any] | None, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}
