"""Who is found and how well placed, by distance from the camera."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

# Upper edges of the ranges; the last one has no end.
RANGE_EDGES_M = (10.0, 20.0, 50.0, 100.0, 200.0)

Row = dict[str, float | int | None]


def by_range(
    distance_m: npt.ArrayLike, error_m: npt.ArrayLike, is_found: npt.ArrayLike
) -> list[Row]:
    """Recall and relative error of place of the people within each range of true distances.

    Args:
        distance_m: (N,) true distances from the camera; people of unknown distance are left out.
        error_m: (N,) distance between true and predicted place; NaN = not found, or place unknown.
        is_found: (N,).

    Returns:
        Rows of `from_m`, `to_m`, `people`, `recall`, and of those placed the `median` and `p90` of error over
        distance; None where there is nobody.
    """
    distance, error = np.asarray(distance_m, np.float64), np.asarray(error_m, np.float64)
    found = np.asarray(is_found, bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = error / distance
    rows: list[Row] = []
    edges = (0.0, *RANGE_EDGES_M, np.inf)
    for low, high in itertools.pairwise(edges):
        inside = (distance > low) & (distance <= high)
        values = relative[inside & np.isfinite(relative)]
        rows.append(
            {
                "from_m": low,
                "to_m": None if np.isinf(high) else high,
                "people": int(inside.sum()),
                "recall": float(found[inside].mean()) if inside.any() else None,
                "median": float(np.median(values)) if len(values) else None,
                "p90": float(np.quantile(values, 0.9)) if len(values) else None,
            }
        )
    return rows
