"""Fits the probability of candidates, and measures whether it is right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from crowd3d.detect.chance import Chance, Clues, offset
from crowd3d.training.chance.data import Examples
from crowd3d.training.common.precision import recall_at

FloatArray = npt.NDArray[np.float64]

_TENTHS = 10
_PRECISIONS = (0.8, 0.9, 0.95, 0.98)


def fit(pictures: Sequence[Examples]) -> Chance:
    """Logistic regression on the candidates of all pictures, each of which counts alike."""
    clues, is_person = _all(pictures)
    share = np.concatenate(
        [np.full(len(one.is_person), 1 / max(1, len(one.is_person))) for one in pictures]
    )
    share /= share.sum()
    x = np.column_stack([clues.seen, np.ones(len(is_person))])
    known = offset(clues)

    def cost(w: FloatArray) -> tuple[float, FloatArray]:
        logit = x @ w + known
        value = (share * (np.logaddexp(0, logit) - is_person * logit)).sum()
        return float(value), x.T @ (share * (expit(logit) - is_person))

    weight, bias = minimize(cost, np.zeros(2), jac=True, method="L-BFGS-B").x
    return Chance(float(weight), float(bias))


def _all(pictures: Sequence[Examples]) -> tuple[Clues, npt.NDArray[np.bool_]]:
    """The candidates of all pictures."""
    parts = zip(*(one.clues for one in pictures), strict=True)
    clues = Clues(*(np.concatenate(part) for part in parts))
    return clues, np.concatenate([one.is_person for one in pictures])


def told(chance: Chance, pictures: Sequence[Examples]) -> dict[str, dict[str, float]]:
    """Recall by precision, with the threshold for it; and by tenth of the probability, the share of people."""
    clues, is_person = _all(pictures)
    score = chance(clues)
    wanted = int(is_person.sum()) + sum(one.missed for one in pictures)
    found = recall_at(_PRECISIONS, score, is_person, wanted)
    table = {f"precision {least}": row for least, row in found.items()}
    for low, high in pairwise(np.linspace(0, 1, _TENTHS + 1)):
        here = (score >= low) & (score < high)
        if here.any():
            table[f"{low:.1f}-{high:.1f}"] = {
                "said": round(float(score[here].mean()), 3),
                "people": round(float(is_person[here].mean()), 3),
                "candidates": int(here.sum()),
            }
    return table
