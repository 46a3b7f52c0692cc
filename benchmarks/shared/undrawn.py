"""Crowds on level and uneven ground as a detector would tell them, without drawing pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from shared.ground_crowds import NOISE
from shared.score import visible_people

from crowd3d.synth import Truth
from crowd3d.synth.draw.render import sample_setting
from crowd3d.synth.place.presets import PRESETS, preset
from crowd3d.synth.place.uneven import UNEVEN
from crowd3d.synth.truth import truth_of

FloatArray = npt.NDArray[np.float64]

SIZE_PX = (4000, 2500)
UNEVEN_PLACES = tuple(UNEVEN)
_UNUSUAL = ("gigapixel", "far")  # their people are too small for a picture of this size
LEVEL_PLACES = tuple(name for name in PRESETS if name not in (*UNEVEN, *_UNUSUAL))
_PEOPLE = (40, 80, 120, 200)
_HIDDEN_NOISE = 2.0  # times that of joints in plain sight
_SCORES = np.array([0.0, 0.4, 0.9])  # by COCO's visibility: outside, hidden, seen


@dataclass(frozen=True)
class Undrawn:
    """One crowd: its truth, and keypoints (N, 17, 3) of who can be seen well, with a detector's noise."""

    place: str
    truth: Truth
    keypoints_px: FloatArray


def undrawn(place: str, seed: int, people: int, told: int | None = None) -> Undrawn:
    """A crowd of a kind of place.

    Args:
        people: wanted in the picture; some of them are hidden.
        told: how many have keypoints; if that is more than can be seen, some more than once. None for all.
    """
    truth = truth_of(sample_setting(seed, SIZE_PX, people, preset(place)))
    rows = np.flatnonzero(visible_people(truth))
    rows = rows if told is None else np.resize(rows, told)
    rng = np.random.default_rng(seed)
    flags = truth.keypoints_px[rows, :, 2].astype(np.int64)
    height_px = truth.focal_px * truth.stature_m[rows] / np.linalg.norm(truth.torso_m[rows], axis=1)
    sd_px = NOISE * height_px[:, None] * np.where(flags < len(_SCORES) - 1, _HIDDEN_NOISE, 1.0)
    pixels = truth.keypoints_px[rows, :, :2]
    pixels = pixels + rng.normal(size=pixels.shape) * sd_px[..., None]
    return Undrawn(place, truth, np.concatenate([pixels, _SCORES[flags][..., None]], axis=2))


def undrawn_crowds(places: Sequence[str], count: int, first_seed: int) -> Iterator[Undrawn]:
    """Crowds of all kinds of places in turn, of 40 to 200 people."""
    for k in range(count):
        people = _PEOPLE[k // len(places) % len(_PEOPLE)]
        yield undrawn(places[k % len(places)], first_seed + k, people)
