"""The part of the picture that each level of ground covers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from shapely import Polygon


def plane_regions(
    foot_px: npt.NDArray[np.float64],
    plane: npt.NDArray[np.int64],
    count: int,
    size: tuple[int, int],
) -> list[Polygon]:
    """The region of every level: the pixels whose nearest person stands on that level.

    Args:
        foot_px: (N, 2) pixels where people stand.
        plane: (N,) level of each person, -1 if unknown.
        count: number of levels.
        size: width and height of the picture.

    Returns:
        One polygon for each level, the largest connected part; empty for a level without people.
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


def _largest(area: shapely.Geometry) -> Polygon:
    polygons = [p for p in shapely.get_parts(area) if isinstance(p, Polygon)]
    return max(polygons, key=lambda p: p.area, default=Polygon())
