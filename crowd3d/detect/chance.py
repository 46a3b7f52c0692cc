"""How probable is it that a candidate is a person? A logistic regression on how well it is seen."""

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

_FLOOR = 0.04  # added before the logarithm
_SURE = 0.9  # sum of evidence of somebody who counts as the crowd of a picture
# Things that look like people are about as many in every picture, people are not: the odds grow with the crowd.
# Measured on photographs, as are the probabilities for a precision; renders have too few such things.
_OF_CROWD = 0.4
_LEAST_FOR = {0.8: 0.5, 0.9: 0.62, 0.95: 0.78, 0.99: 0.88}


class Clues(NamedTuple):
    """What is known of candidates.

    Attributes:
        seen: (N,) logarithm of the evidence, summed over whole bodies, boxes and heads.
        crowd: (N,) logarithm of the number of people in the picture who are clearly seen.
    """

    seen: FloatArray
    crowd: FloatArray


class Chance(NamedTuple):
    """A logistic regression: expit(bias + weight * seen + _OF_CROWD * crowd)."""

    weight: float
    bias: float

    def __call__(self, clues: Clues) -> FloatArray:
        """(N,) probabilities."""
        return np.asarray(expit(self.bias + self.weight * clues.seen + offset(clues)))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Chance:
        """From what `to_dict` gave."""
        return cls(float(values["weight"]), float(values["bias"]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dict(self._asdict())


def offset(clues: Clues) -> FloatArray:
    """(N,) what is added to the log odds for the size of the crowd."""
    return _OF_CROWD * clues.crowd


def least_for(precision: float) -> float:
    """The least probability by which so large a share of the people found in photographs are people."""
    return float(np.interp(precision, list(_LEAST_FOR), list(_LEAST_FOR.values())))


@cache
def load(has_ground: bool) -> Chance:
    """The embedded regression, for pictures whose ground is known, or for others."""
    stored = json.loads(catalog.embedded("chance.json").read_text("utf-8"))
    return Chance.of(stored["ground" if has_ground else "no_ground"])


def clues(joined: Joined) -> Clues:
    """What is known of everybody. Agreement with the ground is part of the evidence."""
    total = joined.evidence.sum(axis=1)
    crowd = np.log1p((total >= _SURE).sum())
    return Clues(np.log(total + _FLOOR), np.full(len(total), crowd))
