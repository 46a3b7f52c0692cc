"""Confidence intervals by drawing again with replacement (Efron 1979); the seed is always given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Interval = tuple[float, float]

N_DRAWS = 500
LEVEL = 0.95


def draws(n: int, seed: int, n_draws: int = N_DRAWS) -> FloatArray:
    """(n_draws, n) how often each of n is drawn."""
    if n == 0:
        return np.zeros((n_draws, 0))
    rng = np.random.default_rng(seed)
    return rng.multinomial(n, np.full(n, 1 / n), size=n_draws).astype(np.float64)


def interval(values: npt.ArrayLike, level: float = LEVEL) -> Interval:
    """The middle `level` of the finite values; NaN without any."""
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
