"""`regions.geojson`: polygons that tell on which level of ground people stand, read and written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry import mapping

from crowd3d.files import atomic, strict_json
from crowd3d.files.located_json import Node
from crowd3d.scene.levels import nearest_region
from crowd3d.scene.scene import Scene
from optim.ground.inputs import MOST_GIVEN_LEVELS

_MOST_POINTS = 100_000
_MOST_LETTERS = 100  # of a level's name
_LARGE_PX = 1000  # sides of pictures in whose first 180 x 90 pixels no crowd stands
_DEGREES = (180.0, 90.0)
_SLIVER_PX = 0.5  # half the width of overlaps that drawing or rounding explains
_GRID_PX = 0.01
_FRAME_NOTE = (
    "Pixels of the full picture, u right, v down; height_m over the first plane. Correct the polygons and "
    "pass the file back with --regions."
)


@dataclass(frozen=True)
class LevelRegions:
    """Levels of ground, and where in the picture they are seen.

    Attributes:
        names: of the levels, in the order in which the file names them first.
        areas: of each, in pixels.
    """

    names: tuple[str, ...]
    areas: tuple[Polygon | MultiPolygon, ...]

    def level_at(self, points_px: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """(N,) number of the level that contains each pixel (N, 2), or is nearest."""
        return nearest_region(self.areas, points_px)


@dataclass(frozen=True)
class _Part:
    """One feature of a file."""

    node: Node
    level: str
    area: Polygon | MultiPolygon


def read(path: str | Path, size_px: tuple[int, int] | None = None) -> LevelRegions:
    """The levels of a GeoJSON FeatureCollection of (Multi)Polygons with the property `level`.

    Args:
        size_px: of the picture, whose pixels they must be; None where that is not known yet.

    Raises:
        DataError: the file cannot be read, or is no such collection of sound polygons of this picture, those of
            different levels apart; the message names the feature.
    """
    root = Node.read(path)
    root["type"].one_of("FeatureCollection")
    parts = [_part(node) for node in root["features"]]
    if not parts:
        root["features"].fail("there are no polygons")
    if sum(shapely.get_num_coordinates(part.area) for part in parts) > _MOST_POINTS:
        root["features"].fail(f"the polygons have more than {_MOST_POINTS} corners")
    levels: dict[str, list[Polygon | MultiPolygon]] = {}
    for part in parts:
        levels.setdefault(part.level, []).append(part.area)
        if len(levels) > MOST_GIVEN_LEVELS:
            part.node.fail(f"there are more than {MOST_GIVEN_LEVELS} levels")
    if size_px is not None:
        _must_be_pixels(root["features"], parts, size_px)
    _must_be_apart(parts)
    areas = (areas[0] if len(areas) == 1 else shapely.union_all(areas) for areas in levels.values())
    return LevelRegions(tuple(levels), tuple(areas))


def _part(node: Node) -> _Part:
    node["type"].one_of("Feature")
    level = _level(node["properties"]["level"])
    geometry = node["geometry"]
    kind = geometry["type"].one_of("Polygon", "MultiPolygon")
    corners = geometry["coordinates"]
    area = (
        _polygon(corners) if kind == "Polygon" else MultiPolygon([_polygon(one) for one in corners])
    )
    if area.convex_hull.area == 0:
        corners.fail("the polygon is empty")
    if not area.is_valid:
        reason = shapely.is_valid_reason(area)
        corners.fail(f"the polygon crosses, touches or leaves itself: {reason}")
    return _Part(node, level, area)


def _level(node: Node) -> str:
    """The level's name; numbers are names too."""
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return f"{node.value:.15g}"
    name = node.text().strip()
    if not 0 < len(name) <= _MOST_LETTERS:
        node.fail(f"a level is a number or a name of 1 to {_MOST_LETTERS} letters")
    return name


def _polygon(node: Node) -> Polygon:
    rings = []
    for ring in node:
        points = ring.array(-1, 2)
        if len(points) < 4 or (points[0] != points[-1]).any():
            ring.fail("a ring is at least 4 positions [u, v], the last of which is the first again")
        rings.append(points)
    if not rings:
        node.fail("the polygon is empty")
    return Polygon(rings[0], rings[1:])


def _must_be_pixels(features: Node, parts: Sequence[_Part], size_px: tuple[int, int]) -> None:
    """Fails unless the polygons can be in pixels of a picture of this size."""
    width, height = size_px
    here = f"pixels of this picture, 0 to {width} and 0 to {height}"
    most = np.abs(np.concatenate([shapely.get_coordinates(part.area) for part in parts])).max(
        axis=0
    )
    if (most <= 1.0).all():
        features.fail(f"the coordinates look like shares of the picture's sides; give {here}")
    if (most <= _DEGREES).all() and max(size_px) >= _LARGE_PX:
        features.fail(f"the coordinates look like degrees of longitude and latitude; give {here}")
    picture = shapely.box(0, 0, width, height)
    for part in parts:
        if not part.area.intersects(picture):
            upward = " (v points down)" if shapely.bounds(part.area)[3] <= 0 else ""
            part.node.fail(f"the polygon is outside of the picture; give {here}{upward}")


def _must_be_apart(parts: Sequence[_Part]) -> None:
    """Fails where polygons of different levels overlap by more than a sliver."""
    areas = [part.area for part in parts]
    for i, j in shapely.STRtree(areas).query(areas, predicate="intersects").T:
        if i <= j or parts[i].level == parts[j].level:
            continue
        shared = shapely.intersection(areas[i], areas[j])
        if not shapely.buffer(shared, -_SLIVER_PX).is_empty:
            parts[i].node.fail(
                f"the polygon of level {parts[i].level!r} overlaps features[{j}] of level "
                f"{parts[j].level!r} by {shared.area:.0f} square pixels"
            )


def to_geojson(scene: Scene) -> dict[str, Any]:
    """A FeatureCollection of the planes' regions, which `read` takes.

    The level is the name that the user gave it, or the plane's number.
    """
    report = scene.diagnostics.get("camera_report") or {}
    names = [level["name"] for level in report.get("levels", [])]
    features = []
    for k, plane in enumerate(scene.planes):
        area = shapely.set_precision(plane.region or Polygon(), _GRID_PX)
        if area.is_empty:
            continue
        told = {
            "level": names[k] if k < len(names) else k,
            "plane": k,
            "height_m": scene.planes[0].offset_m - plane.offset_m,
        }
        features.append({"type": "Feature", "properties": told, "geometry": mapping(area)})
    note = {"coordinates": _FRAME_NOTE, "image_name": scene.image_name}
    return {"type": "FeatureCollection", "crs": None, "crowd3d": note, "features": features}


def write(scene: Scene, path: Path) -> None:
    """Write `regions.geojson`; raises OutputError."""
    digits = round(-math.log10(_GRID_PX))
    atomic.write_text(path, strict_json.dumps(to_geojson(scene), digits=digits))
