"""How much of a body do others hide who stand nearer to the camera?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

FloatArray = npt.NDArray[np.float64]

# Points of a body that are asked: columns and rows as shares of its box, below the head.
_COLUMNS, _ROWS = (0.35, 0.5, 0.65), (0.22, 0.34, 0.46, 0.58, 0.7, 0.82)
_SLENDER = 0.8  # of a box's width hides what is behind it
_NEARER = 0.02  # of a person's height: who is nearer has feet lower by more than this


def hidden_share(box_px: FloatArray, is_solid: npt.NDArray[np.bool_]) -> FloatArray:
    """(N,) share of each body that is behind nearer people.

    On one ground, who stands nearer to the camera has feet lower in the picture.

    Args:
        box_px: (N, 4) xyxy of whole bodies; is_solid: (N,) who is sure enough to hide others.
    """
    n = len(box_px)
    solid = np.flatnonzero(is_solid)
    if not (n and len(solid)):
        return np.zeros(n)
    left, top, right, bottom = box_px.T
    width, height = right - left, bottom - top
    column, row = (part.ravel() for part in np.meshgrid(_COLUMNS, _ROWS))
    u = left[:, None] + column * width[:, None]
    v = top[:, None] + row * height[:, None]
    margin = (1 - _SLENDER) / 2 * width[solid]
    front = shapely.box(left[solid] + margin, top[solid], right[solid] - margin, bottom[solid])
    point, cover = shapely.STRtree(front).query(shapely.points(u.ravel(), v.ravel()), "within")
    person, other = point // len(column), solid[cover]
    is_nearer = bottom[other] > bottom[person] + _NEARER * height[person]
    is_covered = np.zeros(u.size, bool)
    is_covered[point[is_nearer & (other != person)]] = True
    return np.asarray(is_covered.reshape(n, -1).mean(axis=1))
