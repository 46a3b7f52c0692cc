"""Who is who: pairs of true and predicted people from a table of similarities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

FloatArray = npt.NDArray[np.float64]
Pairs = npt.NDArray[np.int64]  # (K, 2) rows: true person, predicted person, sorted by the first

GREEDY_MIN_OKS = 1e-6
ASSIGNED_MIN_OKS = 0.1


def greedy(similarity: FloatArray, minimum: float = GREEDY_MIN_OKS) -> Pairs:
    """LargeCrowd's matching: everyone takes their best prediction, the best pair first; losers get nobody.

    Of equal predictions the first is the best one; of equal pairs the first true person goes first.

    Args:
        similarity: (N, M) of true and predicted people.
    """
    n, m = similarity.shape
    if not n or not m:
        return np.zeros((0, 2), np.int64)
    best = similarity.argmax(axis=1)
    value = similarity[np.arange(n), best]
    order = np.argsort(-value, kind="stable")
    order = order[value[order] > minimum]
    _, first = np.unique(best[order], return_index=True)
    chosen = np.sort(order[first])
    return np.stack([chosen, best[chosen]], axis=1).astype(np.int64)


def hungarian(similarity: FloatArray, minimum: float = ASSIGNED_MIN_OKS) -> Pairs:
    """The pairs of greatest total similarity, among those above a minimum (Kuhn 1955).

    A weak pair is never formed to free another: below the minimum a pair is worth nothing.
    """
    worth = np.where(similarity > minimum, similarity, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    kept = worth[rows, columns] > 0
    return np.stack([rows[kept], columns[kept]], axis=1).astype(np.int64)
