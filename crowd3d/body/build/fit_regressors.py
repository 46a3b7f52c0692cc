"""Points of the body as weighted sums of a few nearby mesh vertices. Only for `build_open`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from scipy.spatial import cKDTree

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

# Weight of "the weights sum to one" against coordinates in metres.
_SUM_WEIGHT = 10.0
# What a unit of uneven weight costs in `exact`, in metres: errors of a millimetre do not matter.
_UNEVEN_M = 1e-3


def mirror_map(template: Array, tolerance_m: float = 1e-3) -> Index:
    """(V,) for each vertex its mirror image in x. Raises ValueError on a mesh without symmetry."""
    distance, index = cKDTree(template).query(template * [-1, 1, 1])
    if distance.max() > tolerance_m or (index[index] != np.arange(len(index))).any():
        raise ValueError(f"the mesh is not symmetric: worst mismatch {distance.max():.4f} m")
    return np.asarray(index, dtype=np.int64)


def _system(examples: Array, targets: Array) -> tuple[Array, Array]:
    """weights @ examples[e] = targets[e] and sum(weights) = 1, as a matrix and its right side.

    Coordinates are taken relative to the first target, which a sum of one makes exact.
    """
    local, goal = examples.copy(), targets.copy()
    local[0] -= targets[0]
    goal[0] = 0.0
    matrix = np.moveaxis(local, 1, 2).reshape(-1, examples.shape[1])
    ones = np.full((1, examples.shape[1]), _SUM_WEIGHT)
    return np.concatenate([matrix, ones]), np.append(goal.ravel(), _SUM_WEIGHT)


def convex(examples: Array, targets: Array) -> Array:
    """(C,) non-negative weights of sum 1, few of them above zero: safe under any pose."""
    matrix, right = _system(examples, targets)
    solution, _ = nnls(matrix, right, maxiter=20 * matrix.shape[1])
    return np.asarray(solution / solution.sum())


def exact(examples: Array, targets: Array) -> Array:
    """(C,) signed weights of sum 1, as near to equal as the equations allow."""
    matrix, right = _system(examples, targets)
    n = matrix.shape[1]
    damped = np.concatenate([matrix, _UNEVEN_M * np.eye(n)])
    goal = np.concatenate([right, np.full(n, _UNEVEN_M / n)])
    solution = np.linalg.lstsq(damped, goal, rcond=None)[0]
    return np.asarray(solution / solution.sum())


def fit_symmetric(
    examples: Array,
    targets: Array,
    pairs: Sequence[int],
    mirror: Index,
    n_near: int,
    fit: Callable[[Array, Array], Array] = convex,
) -> Array:
    """(R, V) regressor of targets (E, R, 3) whose right side is the mirror image of its left.

    Args:
        examples: (E, V, 3); the first is the mean body in the T-pose, the others posed bodies
            or shape directions (both sides of the equations are linear).
        pairs: row r's mirror image is row pairs[r]; mirror: vertex v's is mirror[v].
        n_near: each point uses at most this many vertices, the nearest.
        fit: `convex` or `exact`.
    """
    tree = cKDTree(examples[0])
    rows = np.zeros((targets.shape[1], examples.shape[1]))
    for r, other in enumerate(pairs):
        if other < r:
            rows[r] = rows[other][mirror]
            continue
        near = np.sort(tree.query(targets[0, r], k=n_near)[1])
        rows[r, near] = fit(examples[:, near], targets[:, r])
        if other == r:
            rows[r] = (rows[r] + rows[r][mirror]) / 2
    return rows
