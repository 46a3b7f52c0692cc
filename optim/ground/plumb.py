"""Radial distortion from edges that ought to be straight: the plumb-line method.

Brown (1971), "Close-range camera calibration"; Devernay & Faugeras (2001), "Straight lines have to be
straight". Every edge votes for the distortion that would make it straight. The vote counts more for a long,
sharp edge far from the centre. Edges that are curved in the world are outliers of a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optim import projection
from optim.errors import BadInput
from optim.projection import FloatArray

# Of lenses: barrel or pincushion at the corner of the picture, as a share of the half-diagonal.
_PRIOR_SD = 0.03
_WORLD_SD = 0.01  # what kerbs and walls that count as straight are bent, in the same unit
_CURVED_SD = 0.3  # and what curved edges would vote for
_ANYTHING = 1e-6  # density of votes beyond, as those of arcs
BEND_CORRELATION_PX = (
    8.0  # errors of an edge's points are shared by neighbours at about this distance
)
MIN_POINTS = 16
_PROBE = 0.02
_GRID = np.linspace(-0.25, 0.25, 2001)
_ROUNDS = 30
_SURE_SDS = 3.0


@dataclass(frozen=True)
class Lens:
    """What straight edges say of the distortion.

    Attributes:
        k1: r_d = r (1 + k1 r^2) about the picture's centre, r in units of `unit_px`; negative for barrels.
        sd: posterior standard deviation.
        unit_px: half the picture's diagonal.
        edges: how many of them belong to straight edges.
    """

    k1: float
    sd: float
    unit_px: float
    edges: float

    @property
    def is_bent(self) -> bool:
        """Whether the edges exclude a lens without distortion."""
        return abs(self.k1) > _SURE_SDS * self.sd


def lens_from_edges(edges_px: Sequence[FloatArray], image_size: tuple[float, float]) -> Lens:
    """The distortion at which most edges are straight.

    Args:
        edges_px: points along each edge, (M_i, 2) pixels, in order.
        image_size: (width, height).

    Raises:
        BadInput: an edge that is not (M, 2), or a picture without size.
    """
    size = np.asarray(image_size, dtype=np.float64)
    if size.shape != (2,) or not np.all(size > 0):
        raise BadInput(f"image_size must be two positive numbers, not {image_size!r}")
    unit_px = float(np.hypot(*size) / 2)
    votes = [_vote(checked_edge(edge), size / 2, unit_px) for edge in edges_px]
    known = np.array([v for v in votes if v is not None]).reshape(-1, 2)
    k1, sd, count = _mode(known[:, 0], known[:, 1])
    return Lens(k1, sd, unit_px, count)


def checked_edge(edge_px: FloatArray) -> FloatArray:
    edge = np.asarray(edge_px, dtype=np.float64)
    if edge.ndim != 2 or edge.shape[1] != 2 or not np.isfinite(edge).all():
        raise BadInput(f"an edge must be (M, 2) finite pixels, not {edge.shape}")
    return edge


def _vote(edge_px: FloatArray, center_px: FloatArray, unit_px: float) -> tuple[float, float] | None:
    """The k1 that makes one edge straight, and its standard deviation; None if it cannot say."""
    if len(edge_px) < MIN_POINTS:
        return None
    chord = edge_px[-1] - edge_px[0]
    length = float(np.linalg.norm(chord))
    if length < MIN_POINTS:
        return None
    along = chord / length
    across = np.array([-along[1], along[0]])
    middle = edge_px.mean(axis=0)
    s = (edge_px - middle) @ along / length
    design = np.stack([np.ones_like(s), s, s**2], axis=1)

    def offsets(k1: float) -> FloatArray:
        rays = projection.rays(edge_px, unit_px, center_px, (k1, 0.0))
        straight = rays[:, :2] / rays[:, 2:] * unit_px + center_px
        return np.asarray((straight - middle) @ across)

    seen = offsets(0.0)
    weight, noise_px = robust_weights(design, seen)
    normal_matrix = design.T @ (weight[:, None] * design)
    if np.linalg.cond(normal_matrix) > 1e8:
        return None
    solve = np.linalg.solve(normal_matrix, design.T * weight)[2]
    slope = float(solve @ (offsets(_PROBE) - offsets(-_PROBE))) / (2 * _PROBE)
    independent = max(length / BEND_CORRELATION_PX, 3.0) / len(s)
    sd_px = noise_px * np.sqrt(np.linalg.inv(normal_matrix)[2, 2] / independent)
    if abs(slope) < 1e-6 or sd_px / abs(slope) > 10 * _CURVED_SD:
        return None
    return float(-(solve @ seen) / slope), float(sd_px / abs(slope))


def robust_weights(design: FloatArray, seen: FloatArray) -> tuple[FloatArray, float]:
    """Weights (M,) of a parabola through points some of which lie on another edge; their spread."""
    weight, noise = np.ones(len(seen)), 1.0
    for _ in range(4):
        root = np.sqrt(weight)
        fitted = np.linalg.lstsq(design * root[:, None], seen * root, rcond=None)[0]
        apart = np.abs(seen - design @ fitted)
        noise = max(1.4826 * float(np.median(apart)), 0.02)
        weight = 1.0 / (1.0 + (apart / (2 * noise)) ** 2)
    return weight, noise


def _mode(vote: FloatArray, sd: FloatArray) -> tuple[float, float, float]:
    """Posterior mean and spread of what straight edges share, and how many of them there are."""
    straight_sd = np.hypot(sd, _WORLD_SD)
    curved = _gauss(vote, np.hypot(straight_sd, _CURVED_SD)) + _ANYTHING
    straight = _gauss(vote - _GRID[:, None], straight_sd)
    share = 0.5
    for _ in range(_ROUNDS):
        mixed = share * straight + (1 - share) * curved
        log_posterior = np.log(mixed).sum(axis=1) - 0.5 * (_GRID / _PRIOR_SD) ** 2
        best = int(np.argmax(log_posterior))
        # Two edges of each kind count as seen, so that a few do not decide that all or none are straight.
        belonging = share * straight[best] / mixed[best]
        share = float((belonging.sum() + 2) / (len(vote) + 4))
    weight = np.exp(log_posterior - log_posterior[best])
    weight /= weight.sum()
    mean = float(weight @ _GRID)
    return mean, float(np.sqrt(weight @ (_GRID - mean) ** 2)), float(belonging.sum())


def _gauss(apart: FloatArray, sd: npt.NDArray[np.float64]) -> FloatArray:
    return np.asarray(np.exp(-0.5 * (apart / sd) ** 2) / (np.sqrt(2 * np.pi) * sd))
