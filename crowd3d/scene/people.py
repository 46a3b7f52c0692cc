"""`People`: everyone in a scene as a struct of arrays, with one row per person in every field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

N_JOINTS = 24  # SMPL's tree
N_KEYPOINTS = 17  # COCO order
N_BETAS = 10
UNPLACED = -1  # the plane of people without a place
_TORSO_KEYPOINTS = [5, 6, 11, 12]  # both shoulders and both hips

# Field -> (shape of a row, dtype). The only place that lists the fields with their shapes and types.
ROW_LAYOUT: dict[str, tuple[tuple[int, ...], type]] = {
    "id": ((), np.int64),
    "score": ((), np.float64),
    "box_px": ((4,), np.float64),
    "keypoints_px": ((N_KEYPOINTS, 3), np.float64),
    "pose": ((N_JOINTS, 3), np.float64),
    "betas": ((N_BETAS,), np.float64),
    "transl_m": ((3,), np.float64),
    "torso_px": ((2,), np.float64),
    "torso_m": ((3,), np.float64),
    "hvip_px": ((2,), np.float64),
    "hvip_m": ((3,), np.float64),
    "plane": ((), np.int64),
    "stature_m": ((), np.float64),
    "position_cov_m2": ((3, 3), np.float64),
    "fisher": ((N_JOINTS, 3, 3), np.float64),
    "seen": ((), np.int64),
    "support": ((), np.int64),
    "footing": ((), np.int64),
    "above_m": ((), np.float64),
    "above_sd_m": ((), np.float64),
}
# What of somebody is seen, by the number in `People.seen`.
SEEN = ("head", "upper", "whole")
HEAD, UPPER, WHOLE = range(3)
# What bears somebody, by the number in `People.footing`.
FOOTINGS = ("ground", "seated", "above", "unknown")
GROUND, SEATED, ABOVE, UNKNOWN = range(4)
# Fields that older files and other sources of people do not have, and what stands for them.
DEFAULTS: dict[str, float] = {
    "seen": WHOLE,
    "support": 0,
    "footing": UNKNOWN,
    "above_m": 0.0,
    "above_sd_m": 0.0,
}
# The fields that only a place gives.
_OF_PLACE = (
    "transl_m",
    "torso_m",
    "hvip_px",
    "hvip_m",
    "stature_m",
    "position_cov_m2",
    "above_m",
    "above_sd_m",
)


@dataclass
class People:
    """Everyone in the scene. Pixels are full-picture pixels, metres are in the camera frame.

    Some may be seen and yet have no place: on another square, on a poster, in a mirror. Their plane is -1, and
    transl_m, torso_m, hvip_px, hvip_m, stature_m, position_cov_m2, above_m and above_sd_m are NaN, and their
    footing is unknown; all else is as for everybody, though the pose may be rough. What
    `scene.diagnostics["unplaced"]` says is why.

    Attributes:
        id: (N,) running number, sorted.
        score: (N,) probability that this is a person.
        box_px: (N, 4) xyxy around the person; around where the body must be if only the head is seen.
        keypoints_px: (N, 17, 3) COCO order: u, v, score.
        pose: (N, 24, 3) axis-angle in SMPL order; row 0 turns the body into the camera frame.
        betas: (N, 10) shape of the body named in the scene.
        transl_m: (N, 3) added to the raw output of the body model.
        torso_px, torso_m: mean of both shoulders and both hips.
        hvip_px, hvip_m: the foot of the torso centre on the ground, straight down.
        plane: (N,) index into the scene's planes; -1 = no place.
        stature_m: (N,) standing height.
        position_cov_m2: (N, 3, 3) covariance of hvip_m.
        fisher: (N, 24, 3, 3) matrix-Fisher parameters of each local rotation; zero = unknown.
        seen: (N,) index into `SEEN`; what is not seen of a body is what is usual there.
        support: (N,) how many looks agree on the person; 0 = unknown.
        footing: (N,) index into `FOOTINGS`; who is seated has the feet on the ground.
        above_m, above_sd_m: (N,) height of the body's lowest point above the surface straight below, and its
            standard deviation; 0 of who is not above it.

    Raises:
        ValueError: an array has the wrong shape.
    """

    id: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    box_px: npt.NDArray[np.float64]
    keypoints_px: npt.NDArray[np.float64]
    pose: npt.NDArray[np.float64]
    betas: npt.NDArray[np.float64]
    transl_m: npt.NDArray[np.float64]
    torso_px: npt.NDArray[np.float64]
    torso_m: npt.NDArray[np.float64]
    hvip_px: npt.NDArray[np.float64]
    hvip_m: npt.NDArray[np.float64]
    plane: npt.NDArray[np.int64]
    stature_m: npt.NDArray[np.float64]
    position_cov_m2: npt.NDArray[np.float64]
    fisher: npt.NDArray[np.float64]
    seen: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    support: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    footing: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    above_m: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    above_sd_m: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n = len(np.atleast_1d(self.id))
        for name, usual in DEFAULTS.items():
            if not len(getattr(self, name)):
                setattr(self, name, np.full(n, usual))
        for name, (row, dtype) in ROW_LAYOUT.items():
            array: npt.NDArray[np.generic] = np.asarray(getattr(self, name), dtype=dtype)
            if array.shape != (n, *row):
                raise ValueError(f"People.{name} has shape {array.shape}, expected {(n, *row)}")
            setattr(self, name, array)

    def __len__(self) -> int:
        return len(self.id)

    @classmethod
    def empty(cls, n: int = 0) -> People:
        """n people with zeros in all fields."""
        return cls(
            **{name: np.zeros((n, *row), dtype) for name, (row, dtype) in ROW_LAYOUT.items()}
        )

    @classmethod
    def unplaced_rows(
        cls,
        score: npt.NDArray[np.float64],
        box_px: npt.NDArray[np.float64],
        keypoints_px: npt.NDArray[np.float64],
        pose: npt.NDArray[np.float64],
        betas: npt.NDArray[np.float64],
        fisher: npt.NDArray[np.float64],
        seen: npt.NDArray[np.int64],
        support: npt.NDArray[np.int64],
    ) -> People:
        """People who are seen but have no place, with ids from 0; shapes as in `People`.

        torso_px is the mean of the seen shoulders and hips.
        """
        n = len(score)
        unknown = {
            name: np.full((n, *row), np.nan)
            for name, (row, _) in ROW_LAYOUT.items()
            if name in _OF_PLACE
        }
        return cls(
            id=np.arange(n),
            score=score,
            box_px=box_px,
            keypoints_px=keypoints_px,
            pose=pose,
            betas=betas,
            torso_px=keypoints_px[:, _TORSO_KEYPOINTS, :2].mean(axis=1),
            plane=np.full(n, UNPLACED),
            fisher=fisher,
            seen=seen,
            support=support,
            **unknown,
        )

    @property
    def placed(self) -> npt.NDArray[np.bool_]:
        """(N,) who has a place in the scene."""
        return np.asarray(self.plane >= 0)

    def filter(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> People:
        """The people that a mask or an index array selects, in that order."""
        return People(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    def with_rows(self, rows: npt.NDArray[np.int64], new: People) -> People:
        """A copy with the given rows replaced by `new`."""
        merged = {f.name: getattr(self, f.name).copy() for f in fields(self)}
        for name, values in merged.items():
            values[rows] = getattr(new, name)
        return People(**merged)

    @classmethod
    def cat(cls, parts: Sequence[People]) -> People:
        """All people of several structs, in order."""
        if not parts:
            return cls.empty()
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )
