"""AP_root^25: average precision of where people stand (Moon et al., ICCV 2019, RootNet)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class RootFrame(NamedTuple):
    """One picture: (M, 3) predicted roots, their (M,) scores, and the (N, 3) valid true roots, metres."""

    pred_m: FloatArray
    score: FloatArray
    gt_m: FloatArray


def ap_root(frames: Sequence[RootFrame], threshold_m: float = 0.25) -> float:
    """Sum of precision times gained recall, predictions by descending score over all pictures.

    Pictures without a valid true root are skipped. A prediction is right if the nearest true root of its
    picture is nearer than the threshold and nobody else's; precision is not interpolated.

    Returns:
        0..1; NaN if there is nobody to be found.
    """
    frames = [frame for frame in frames if len(frame.gt_m)]
    n_gt = sum(len(frame.gt_m) for frame in frames)
    if not n_gt:
        return float("nan")
    owner = np.repeat(np.arange(len(frames)), [len(frame.score) for frame in frames])
    row = np.concatenate([np.arange(len(frame.score)) for frame in frames])
    score = np.concatenate([frame.score for frame in frames])
    gaps = [np.linalg.norm(f.pred_m[:, None] - f.gt_m[None], axis=2) for f in frames]
    taken = [np.zeros(len(frame.gt_m), bool) for frame in frames]
    hit = np.zeros(len(score), bool)
    order = np.argsort(-score, kind="stable")
    for rank, k in enumerate(order):
        gap = gaps[owner[k]][row[k]]
        nearest = int(np.argmin(gap))
        hit[rank] = gap[nearest] < threshold_m and not taken[owner[k]][nearest]
        taken[owner[k]][nearest] |= hit[rank]
    right = np.cumsum(hit)
    precision = right / np.arange(1, len(hit) + 1)
    return float((precision * hit).sum() / n_gt)
