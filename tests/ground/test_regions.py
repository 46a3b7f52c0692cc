"""Every level of ground owns the pixels next to its people."""

from __future__ import annotations

import numpy as np
from shapely import Point

from crowd3d.ground.regions import plane_regions

SIZE = (1000, 600)


def test_people_lie_in_the_region_of_their_level():
    rng = np.random.default_rng(0)
    foot = rng.uniform((0, 200), (1000, 600), (120, 2))
    foot = foot[np.abs(foot[:, 0] - 400) > 20]
    plane = (foot[:, 0] > 400).astype(np.int64)
    plane[:5] = -1
    regions = plane_regions(foot, plane, 2, SIZE)
    for k in (0, 1):
        assert all(regions[k].covers(Point(p)) for p in foot[plane == k])
        assert not any(regions[k].contains(Point(p)) for p in foot[plane == 1 - k])
    assert regions[0].area + regions[1].area == np.prod(SIZE)
    assert regions[0].intersection(regions[1]).area < 1e-6
    assert regions[0].bounds[2] < 460 and regions[1].bounds[0] > 340


def test_a_level_without_people_has_no_region():
    foot = np.array([[100.0, 100.0], [100.0, 100.0], [np.nan, 0.0]])
    regions = plane_regions(foot, np.array([0, 0, 1]), 2, SIZE)
    assert regions[0].area == np.prod(SIZE) and regions[1].is_empty
    assert all(r.is_empty for r in plane_regions(foot[:0], np.zeros(0, np.int64), 2, SIZE))
