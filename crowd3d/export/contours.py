"""Lines of equal height over a grid of heights: where they run, and at which heights."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_LINES = 10  # at most, between the lowest and the highest place


def round_step(step: float) -> float:
    """The next of ... 0.1, 0.2, 0.5, 1, 2, 5, 10, 20 ..."""
    power = 10.0 ** math.floor(math.log10(step))
    return next((power * k for k in (1, 2, 5) if power * k >= step), 10.0 * power)


def contour_heights(heights: FloatArray, least: float) -> FloatArray:
    """Round heights (L,) between the lowest and the highest of some; none if these are nearly equal.

    Args:
        heights: of any shape; NaN where there is nothing to draw.
        least: smallest interval.
    """
    known = heights[np.isfinite(heights)]
    if not len(known) or np.ptp(known) < least:
        return np.zeros(0)
    step = round_step(max(float(np.ptp(known)) / _LINES, least))
    first, last = math.ceil(known.min() / step), math.floor(known.max() / step)
    return np.arange(first, last + 1) * step


def contour(heights: FloatArray, height: float) -> FloatArray:
    """(S, 2, 2) segments of the line at one height, as column and row of its ends, counted from cell to cell.

    Every square between four places is two triangles, and in each the ground is taken as even (marching
    triangles).

    Args:
        heights: (rows, columns); NaN where no line shall run.
    """
    row, column = np.indices(heights.shape)
    corners = np.stack([column, row, heights - height], axis=-1)
    a, b, c, d = corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]
    halves = [np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)]
    triangles = np.concatenate([half.reshape(-1, 3, 3) for half in halves])
    triangles = triangles[np.isfinite(triangles).all(axis=(1, 2))]
    is_above = triangles[..., 2] >= 0
    triangles, is_above = (
        x[is_above.any(axis=1) & ~is_above.all(axis=1)] for x in (triangles, is_above)
    )
    # One corner is on one side alone; the line crosses the two edges from it.
    alone = np.argmax(is_above == (is_above.sum(axis=1) == 1)[:, None], axis=1)
    rows = np.arange(len(triangles))
    tip = triangles[rows, alone]
    ends = []
    for k in (1, 2):
        other = triangles[rows, (alone + k) % 3]
        share = tip[:, 2] / (tip[:, 2] - other[:, 2])
        ends.append(tip[:, :2] + share[:, None] * (other[:, :2] - tip[:, :2]))
    return np.stack(ends, axis=1)
