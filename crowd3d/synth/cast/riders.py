"""Children on the shoulders of grown-ups: people who are neither on the ground nor on a seat."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from crowd3d.synth.cast import poses
from crowd3d.synth.cast.everyone import Cast

FloatArray = npt.NDArray[np.float64]
Rng = np.random.Generator

_STATURE_M = (0.95, 1.2)
_NECK = 12
_BEHIND_M, _ABOVE_M = 0.09, 0.07  # of the child's pelvis against the carrier's neck


def with_riders(rng: Rng, cast: Cast, count: int) -> Cast:
    """The cast and, at its end, up to `count` children, each on the shoulders of somebody who stands."""
    able = np.flatnonzero(~cast.child & ~cast.seated)
    below = np.sort(rng.choice(able, min(count, len(able)), replace=False)).astype(np.int64)
    if not len(below):
        return cast
    held = cast.pose.copy()
    for i in below:
        held[i] = poses.carrying(rng)
    rows = {field.name: getattr(cast, field.name)[below] for field in fields(cast)}
    rows |= {
        "stature_m": rng.uniform(*_STATURE_M, len(below)),
        "child": np.ones(len(below), bool),
        "seated": np.ones(len(below), bool),
        "carrier": below,
        "pose": np.stack([poses.riding(rng) for _ in below]),
    }
    cast = replace(cast, pose=held)
    return Cast(**{name: np.concatenate([getattr(cast, name), row]) for name, row in rows.items()})


def lift_m(cast: Cast, joints_m: FloatArray) -> FloatArray:
    """(N, 3) how to shift bodies so that riders sit on their carriers' shoulders; 0 for everybody else."""
    shift = np.zeros((len(cast), 3))
    up = np.flatnonzero(cast.carrier >= 0)
    yaw = cast.yaw_rad[up]
    ahead = np.stack([np.sin(yaw), np.zeros(len(up)), np.cos(yaw)], axis=1)
    seat = joints_m[cast.carrier[up], _NECK] - _BEHIND_M * ahead + [0.0, _ABOVE_M, 0.0]
    shift[up] = seat - joints_m[up, 0]
    return shift
