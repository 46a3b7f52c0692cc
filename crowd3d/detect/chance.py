"""How probable is it that a candidate is a person? A logistic regression over everything known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from crowd3d.detect.joining import Joined
from crowd3d.models import catalog

FloatArray = npt.NDArray[np.float64]

# Scores of keypoints, sizes and crowding were tried, too. They helped on renders and not on photographs.
CLUES = (
    "evidence",  # logarithm of the sum of all looks at the whole person and at the head
    "both",  # logarithm of the less of the two sums
    "head_only",
)
_FLOOR = 0.02  # added before logarithms
_MOST_SD = 4.0


class Chance(NamedTuple):
    """A logistic regression: expit(bias + weight . (clues - mean) / sd)."""

    mean: FloatArray
    sd: FloatArray
    weight: FloatArray
    bias: float

    def __call__(self, clues: FloatArray) -> FloatArray:
        """(N,) probabilities of clues (N, F)."""
        return np.asarray(expit(self.bias + self.standard(clues) @ self.weight))

    def standard(self, clues: FloatArray) -> FloatArray:
        """(N, F) clues in standard deviations; beyond four they tell nothing more."""
        return np.clip((clues - self.mean) / self.sd, -_MOST_SD, _MOST_SD)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Chance:
        """From what `to_dict` gave."""
        mean, sd, weight = (np.array(values[name], float) for name in ("mean", "sd", "weight"))
        return cls(mean, sd, weight, float(values["bias"]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: np.asarray(value).tolist() for name, value in self._asdict().items()}


def least_for(precision: float) -> float:
    """The least probability by which so large a share of the people found are people, as measured on renders."""
    table = {float(share): float(least) for share, least in _stored()["least_for"].items()}
    wanted = sorted(table)
    return float(np.interp(precision, wanted, [table[share] for share in wanted]))


@cache
def load(has_ground: bool) -> Chance:
    """The embedded regression, for pictures whose ground is known, or for others."""
    return Chance.of(_stored()["ground" if has_ground else "no_ground"])


@cache
def _stored() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(catalog.embedded("chance.json").read_text("utf-8"))
    return stored


def clues(joined: Joined) -> FloatArray:
    """(N, F) what is known of everybody, see `CLUES`; agreement with the ground is part of the evidence."""
    whole, heads = joined.evidence[:, 0], joined.evidence[:, 2]
    both = np.log(np.minimum(whole, heads) + _FLOOR)
    head_only = joined.people.by_head.astype(np.float64)
    return np.stack([np.log(whole + heads + 2 * _FLOOR), both, head_only], axis=1)
