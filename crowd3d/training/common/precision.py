"""What is found at a given precision."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


def recall_at(
    precisions: Iterable[float],
    score: npt.NDArray[np.floating],
    is_right: npt.NDArray[np.bool_],
    wanted: int,
) -> dict[str, dict[str, float]]:
    """By precision: the lowest threshold that reaches it, and the share of all who are wanted that is found.

    Args:
        score: (N,) of candidates; is_right: (N,) whether they are wanted; wanted: how many are, found or not.
    """
    order = np.argsort(-score, kind="stable")
    right = np.cumsum(is_right[order])
    precision = right / np.arange(1, len(order) + 1)
    table = {}
    for least in precisions:
        enough = np.flatnonzero(precision >= least)
        last = int(enough[-1]) if len(enough) else -1
        recall = float(right[last]) / max(1, wanted) if last >= 0 else 0.0
        threshold = float(score[order[last]]) if last >= 0 else 1.0
        table[f"{least:g}"] = {"threshold": round(threshold, 3), "recall": round(recall, 4)}
    return table
