"""How far away people are, from the size of their boxes (Moon et al., ICCV 2019, section 5).

k is the distance at which a 2 m x 2 m square would fill the extended box; the true depth is gamma k, where
gamma grows with what the person in the box really measures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crowd3d.errors import DataError
from crowd3d.maths.box import EXTENSION, Box

REFERENCE_M = 2.0  # side of the square that k speaks of
ROOT_CELLS = 64  # of RootNet's map
GAMMA_PER_M = EXTENSION / REFERENCE_M  # 0.625: gamma of an extent of one metre
# Spread of log depth with a constant gamma: standing crowds, and crowds of which a third sits.
SIGMA_STANDING, SIGMA_MIXED = 0.08, 0.15
_STATURE_M = 1.70

Floats = npt.NDArray[np.float64]


class DepthPrior(NamedTuple):
    """Depth of each person: log depth is normal about log `depth_m` with `sigma_log`.

    Attributes:
        depth_m: (N,) along the optical axis.
        sigma_log: (N,).
    """

    depth_m: Floats
    sigma_log: Floats


def k_m(boxes: Box, focal_px: float | tuple[float, float]) -> Floats:
    """sqrt(fx fy A_real / A_image) in metres.

    Args:
        boxes: extended.
        focal_px: one, or fx and fy.

    Raises:
        DataError: the boxes are tight; `Box.extend` them first.
    """
    if not boxes.extended:
        raise DataError("k is defined on extended boxes; call Box.extend first")
    fx, fy = (focal_px, focal_px) if isinstance(focal_px, (int, float)) else focal_px
    return REFERENCE_M * np.sqrt(fx * fy / boxes.area_px2)


def gamma_of_extent(extent_m: npt.ArrayLike) -> Floats:
    """gamma of a person who spans `extent_m` along the box's longer side, as any body fit supplies it."""
    return GAMMA_PER_M * np.asarray(extent_m, np.float64)


def depth_prior(
    boxes: Box,
    focal_px: float | tuple[float, float],
    gamma: npt.ArrayLike | None = None,
    sigma_log: npt.ArrayLike = SIGMA_MIXED,
) -> DepthPrior:
    """Depth of each person.

    Args:
        boxes: extended.
        focal_px: one, or fx and fy.
        gamma: (N,) of the network or of `gamma_of_extent`; None for that of a standing adult.
        sigma_log: of the log depth.

    Raises:
        DataError: tight boxes, or a gamma that is not positive.
    """
    factor = gamma_of_extent(_STATURE_M) if gamma is None else np.asarray(gamma, np.float64)
    if not (factor > 0).all():
        raise DataError("gamma must be positive: a depth cannot be zero or behind the camera")
    depth = k_m(boxes, focal_px) * factor
    return DepthPrior(depth, np.broadcast_to(np.asarray(sigma_log, np.float64), depth.shape))


def log_residuals(prior: DepthPrior, depth_m: npt.ArrayLike) -> Floats:
    """(N,) normalised residuals (log Z - log Z_prior) / sigma, for a least-squares problem."""
    return (np.log(depth_m) - np.log(prior.depth_m)) / prior.sigma_log


def foot_points(boxes: Box, prior: DepthPrior, K: npt.ArrayLike) -> Floats:
    """(N, 3) metres: the middle of each tight box's lower edge, at that depth: where its person stands.

    Raises:
        DataError: the boxes are extended, so that their lower edge is not at the feet.
    """
    if boxes.extended:
        raise DataError("feet are at the lower edge of tight boxes; these are extended")
    return _at_depth(boxes, np.array([0.5, 1.0]), prior, K)


def root_points(xy: npt.ArrayLike, boxes: Box, prior: DepthPrior, K: npt.ArrayLike) -> Floats:
    """(N, 3) metres: the roots that RootNet sees.

    Args:
        xy: (N, 2) in cells of its 64x64 map.
        boxes: extended, as the crops show them.

    Raises:
        DataError: the boxes are tight.
    """
    if not boxes.extended:
        raise DataError("crops show extended boxes; call Box.extend first")
    return _at_depth(boxes, np.asarray(xy, np.float64) / ROOT_CELLS, prior, K)


def _at_depth(boxes: Box, share: Floats, prior: DepthPrior, K: npt.ArrayLike) -> Floats:
    """The point at a share (2,) or (N, 2) of each box's size from its left top."""
    pixel = boxes.left_top_px + boxes.size_px * share
    homogeneous = np.concatenate([pixel, np.ones((len(pixel), 1))], axis=1)
    rays = np.linalg.solve(np.asarray(K, np.float64), homogeneous.T).T
    return np.asarray(rays * prior.depth_m[:, None])


def fit_ground(feet_m: Floats, rounds: int = 20) -> tuple[Floats, float]:
    """The plane through foot points whose error grows with their distance.

    Total least squares in which each point counts as 1 / (distance^2), and less the farther it is from the
    plane (Cauchy weights, scale from the median).

    Args:
        feet_m: (N, 3) camera frame.

    Returns:
        unit normal (3,) pointing up, and the camera's height above the plane in metres.

    Raises:
        DataError: fewer than three points, or all on one line.
    """
    if len(feet_m) < 3:
        raise DataError(f"a plane needs three people, got {len(feet_m)}")
    distance = np.linalg.norm(feet_m, axis=1)
    scaled = np.concatenate([feet_m, np.ones((len(feet_m), 1))], axis=1) / distance[:, None]
    weight = np.ones(len(feet_m))
    for _ in range(rounds):
        mean = np.average(feet_m, axis=0, weights=weight / distance**2)
        rows = (feet_m - mean) * (np.sqrt(weight) / distance)[:, None]
        singular, axes = np.linalg.svd(rows, full_matrices=False)[1:]
        if singular[1] <= 1e-9 * singular[0]:
            raise DataError("all people stand on one line: no plane can be told")
        plane = np.append(axes[2], -axes[2] @ mean)
        residual = np.abs(scaled @ plane)
        scale = max(1.4826 * float(np.median(residual)), 1e-9)
        weight = 1 / (1 + (residual / (2.4 * scale)) ** 2)
    up = -np.sign(plane[1]) if plane[1] else 1.0
    return up * plane[:3], float(up * plane[3])
