"""Which part of a picture lies on which level of ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from shapely import Polygon

from crowd3d.detections import Detections
from crowd3d.scene import Plane

_ANKLES = [15, 16]
_MIN_SCORE = 0.2  # ankles below are guesses


def plane_regions(
    foot_px: npt.NDArray[np.float64],
    plane: npt.NDArray[np.int64],
    count: int,
    size: tuple[int, int],
) -> list[Polygon]:
    """Where every level is: the pixels that are nearest to somebody who stands on it.

    Args:
        foot_px: (N, 2) where people stand.
        plane: (N,) level of each, -1 where unknown.
        count: of levels.
        size: width and height of the picture.

    Returns:
        One polygon a level, the largest connected part; empty for a level without people.
    """
    known = (plane >= 0) & np.isfinite(foot_px).all(axis=1)
    points, first = np.unique(foot_px[known], axis=0, return_index=True)
    label = plane[known][first]
    picture = shapely.box(0, 0, *size)
    if len(points) < 2:
        return [picture if k in label else Polygon() for k in range(count)]
    cells = shapely.get_parts(
        shapely.voronoi_polygons(shapely.multipoints(points), extend_to=picture)
    )
    at, owner = shapely.STRtree(shapely.points(points)).query(cells, predicate="contains")
    return [
        _largest(shapely.union_all(cells[at[label[owner] == k]]).intersection(picture))
        for k in range(count)
    ]


def feet_px(people: Detections) -> npt.NDArray[np.float64]:
    """(N, 2) pixels where people stand: between their ankles, or the middle of the box's lower edge."""
    ankles = people.keypoints_px[:, _ANKLES]
    seen = (ankles[..., 2] >= _MIN_SCORE) & np.isfinite(ankles).all(axis=2)
    below = np.stack([people.box_px[:, [0, 2]].mean(axis=1), people.box_px[:, 3]], axis=1)
    return np.where(seen.all(axis=1, keepdims=True), ankles[..., :2].mean(axis=1), below)


def plane_at(planes: Sequence[Plane], points_px: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """(N,) index of the plane in whose region, or nearest to it, pixels (N, 2) are; 0 where unknown."""
    if len(planes) < 2:
        return np.zeros(len(points_px), dtype=np.int64)
    points = shapely.points(np.where(np.isfinite(points_px), points_px, 0.0))
    away = np.zeros((len(planes), len(points)))
    for distance, plane in zip(away, planes, strict=True):
        if plane.region is not None:
            distance[:] = shapely.distance(points, plane.region)  # NaN for an empty region
    away[:, ~np.isfinite(points_px).all(axis=1)] = 0.0
    return np.asarray(np.argmin(np.where(np.isnan(away), np.inf, away), axis=0))


def _largest(area: shapely.Geometry) -> Polygon:
    polygons = [p for p in shapely.get_parts(area) if isinstance(p, Polygon)]
    return max(polygons, key=lambda p: p.area, default=Polygon())
