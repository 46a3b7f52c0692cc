"""Fits the probability of candidates, and measures whether it is right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from crowd3d.detect.chance import Chance
from crowd3d.training.chance.data import Examples
from crowd3d.training.chance.recipe import Recipe

FloatArray = npt.NDArray[np.float64]

_TENTHS = 10
_PRECISIONS = (0.8, 0.9, 0.95, 0.98)


def fit(pictures: Sequence[Examples], recipe: Recipe) -> Chance:
    """Logistic regression on the candidates of all pictures, each of which counts alike."""
    clues = np.concatenate([one.clues for one in pictures])
    is_person = np.concatenate([one.is_person for one in pictures]).astype(np.float64)
    weight = np.concatenate(
        [
            np.full(len(one.clues), recipe.picture_weight / max(1, len(one.clues)))
            for one in pictures
        ]
    )
    mean = np.average(clues, axis=0, weights=weight)
    sd = np.sqrt(np.average((clues - mean) ** 2, axis=0, weights=weight)) + 1e-6
    start = Chance(mean, sd, np.zeros(clues.shape[1]), 0.0)
    x = np.column_stack([start.standard(clues), np.ones(len(clues))])
    share = weight / weight.sum()

    def cost(w: FloatArray) -> tuple[float, FloatArray]:
        logit = x @ w
        ridge = recipe.ridge * np.r_[w[:-1], 0.0]
        value = (share * (np.logaddexp(0, logit) - is_person * logit)).sum() + ridge @ w
        return float(value), x.T @ (share * (expit(logit) - is_person)) + 2 * ridge

    w = minimize(cost, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return start._replace(weight=w[:-1], bias=float(w[-1]))


def told(chance: Chance, pictures: Sequence[Examples]) -> dict[str, dict[str, float]]:
    """Recall by precision, with the threshold for it; and by tenth of the probability, the share of people."""
    score = chance(np.concatenate([one.clues for one in pictures]))
    is_person = np.concatenate([one.is_person for one in pictures])
    wanted = int(is_person.sum()) + sum(one.missed for one in pictures)
    order = np.argsort(-score, kind="stable")
    right = np.cumsum(is_person[order])
    precision = right / np.arange(1, len(order) + 1)
    table = {}
    for least in _PRECISIONS:
        enough = np.flatnonzero(precision >= least)
        last = int(enough[-1]) if len(enough) else 0
        table[f"precision {least:g}"] = {
            "threshold": round(float(score[order[last]]), 3),
            "recall": round(float(right[last]) / max(1, wanted), 4),
        }
    for low, high in pairwise(np.linspace(0, 1, _TENTHS + 1)):
        here = (score >= low) & (score < high)
        if here.any():
            table[f"{low:.1f}-{high:.1f}"] = {
                "said": round(float(score[here].mean()), 3),
                "people": round(float(is_person[here].mean()), 3),
                "candidates": int(here.sum()),
            }
    return table
