"""Is a picture a panorama that does not say so? Straight edges tell.

A lens bends edges that stand as much as those that lie, a panorama only those that lie. Every edge is looked at
through each of some lenses and cylinders. Through the right one the straight edges of the world are straight;
the others, arcs and kerbs, are curved through all of them and decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optim import panorama, projection
from optim.ground.plumb import BEND_CORRELATION_PX, MIN_POINTS, checked_edge, robust_weights
from optim.projection import FloatArray

# Fields of view of the cylinders; narrower ones bend edges no more than a lens may.
_FOVS_DEG = np.arange(50.0, 361.0, 10.0)
_LENSES = np.linspace(
    -0.14, 0.14, 29
)  # k1, radii in half diagonals; stronger ones fold the picture
_WORLD_PX, _WORLD_SHARE = (
    0.1,
    3e-4,
)  # what edges that count as straight are bent, and share of their length
_CURVED = 0.02  # spread of the bends of other edges, in their lengths
_STRAIGHT_PRIOR = 0.5  # share of the edges that are straight in the world
_ANYTHING = 1e-6  # density of any other bend
_LEAST_COS = 0.05  # of the angle to an edge's middle; no edge is so long


@dataclass(frozen=True)
class Straightness:
    """How well the edges of a picture agree with lenses and with cylinders.

    Attributes:
        log_odds: logarithm of the odds for the best cylinder against the best lens.
        fov_deg: field of view of that cylinder.
        edges: how many edges were looked at.
    """

    log_odds: float
    fov_deg: float
    edges: int


def straightness(
    edges_px: Sequence[FloatArray], image_size: tuple[float, float], horizon_px: float | None = None
) -> Straightness:
    """Compare lenses and cylinders by the edges that they make straight.

    Args:
        edges_px: points along each edge, (M_i, 2) pixels, in order.
        image_size: (width, height).
        horizon_px: row of the horizon of a cylinder; the middle row if None.

    Raises:
        BadInput: an edge that is not (M, 2).
    """
    size = np.asarray(image_size, dtype=np.float64)
    center = np.array([size[0] / 2, size[1] / 2 if horizon_px is None else horizon_px])
    unit_px = float(np.hypot(*size) / 2)
    edges = [_Edge.of(edge) for edge in map(checked_edge, edges_px) if len(edge) >= MIN_POINTS]

    def of_lens(k1: float) -> float:
        def seen(edge: FloatArray) -> FloatArray:
            rays = projection.rays(edge, unit_px, size / 2, (k1, 0.0))
            return np.asarray(rays[:, :2] / rays[:, 2:] * unit_px)

        return _log_likelihood(edges, seen)

    def of_cylinder(fov_deg: float) -> float:
        focal_px = size[0] / math.radians(fov_deg)

        def seen(edge: FloatArray) -> FloatArray:
            # As a perspective camera sees the edge that faces the column of its middle.
            facing = np.array([edge[:, 0].mean(), center[1]])
            rays = panorama.rays(edge, focal_px, facing, panorama.CYLINDRICAL)
            return np.asarray(rays[:, :2] / np.maximum(rays[:, 2:], _LEAST_COS) * focal_px)

        return _log_likelihood(edges, seen)

    lens = max(of_lens(float(k1)) for k1 in _LENSES)
    cylinders = [of_cylinder(float(fov)) for fov in _FOVS_DEG]
    best = int(np.argmax(cylinders))
    return Straightness(cylinders[best] - lens, float(_FOVS_DEG[best]), len(edges))


@dataclass(frozen=True)
class _Edge:
    """One edge, and how its bend is measured: how far its middle is from its chord.

    Attributes:
        points_px: (M, 2); across: (2,) unit vector across the edge.
        measure: (M,) weights whose sum with offsets across the edge is the bend; sd_px: of that.
    """

    points_px: FloatArray
    across: FloatArray
    measure: FloatArray
    sd_px: float
    length_px: float

    @classmethod
    def of(cls, points_px: FloatArray) -> _Edge:
        chord = points_px[-1] - points_px[0]
        length = max(float(np.linalg.norm(chord)), 1.0)
        along = chord / length
        across = np.array([-along[1], along[0]])
        offset = points_px - points_px.mean(axis=0)
        s = offset @ along / length
        design = np.stack([np.ones_like(s), s, s**2], axis=1)
        weight, noise_px = robust_weights(design, offset @ across)
        inverse = np.linalg.pinv(design.T @ (weight[:, None] * design))
        independent = max(length / BEND_CORRELATION_PX, 3.0) / len(s)
        sd_px = noise_px * math.sqrt(float(inverse[2, 2]) / independent)
        measure = (inverse @ (design.T * weight))[2]
        return cls(points_px, across, measure / 4, sd_px / 4, length)

    def bend_px(self, seen: Callable[[FloatArray], FloatArray]) -> float:
        """Of the edge as something shows it, which hardly turns or enlarges it."""
        return float(self.measure @ (seen(self.points_px) @ self.across))


def _log_likelihood(edges: Sequence[_Edge], seen: Callable[[FloatArray], FloatArray]) -> float:
    """Of the bends of all edges as something shows them; most of them are straight, some are not."""
    total = 0.0
    for edge in edges:
        bend_px, length = edge.bend_px(seen), edge.length_px
        straight = _gauss(bend_px, math.hypot(edge.sd_px, _WORLD_PX, _WORLD_SHARE * length))
        curved = _gauss(bend_px, math.hypot(edge.sd_px, _WORLD_PX, _CURVED * length))
        total += math.log(_STRAIGHT_PRIOR * straight + (1 - _STRAIGHT_PRIOR) * curved + _ANYTHING)
    return total


def _gauss(apart: float, sd: float) -> float:
    return math.exp(-0.5 * (apart / sd) ** 2) / (math.sqrt(2 * math.pi) * sd)
