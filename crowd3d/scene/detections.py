"""Detections and people in pixels of the full picture, before they have a place in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crowd3d.scene.people import HEAD, N_KEYPOINTS, UPPER, WHOLE
from tiling import suppress_fragments

if TYPE_CHECKING:
    from typing_extensions import Self

_FACE = slice(0, 5)  # keypoints: nose, eyes, ears
_CLEAR = 0.15  # least score of a keypoint that is seen
_PARTS = ([5, 6], [11, 12], [13, 14, 15, 16])  # shoulders; hips; knees and ankles
_FACE_FLOOR = 0.02  # added to their scores, so that a head seen from behind has a middle, too


def head_middle_px(keypoints_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 2) middles of heads: means of nose, eyes and ears (N, 17, 3), weighted by their scores."""
    weight = keypoints_px[:, _FACE, 2:] + _FACE_FLOOR
    total = (weight * keypoints_px[:, _FACE, :2]).sum(axis=1)
    return np.asarray(total / weight.sum(axis=1))


@dataclass
class Detections:
    """One row per detection; the same person may have several, one for each look (tile that shows the person).

    Attributes:
        score: (N,) score of the centre, 0..1.
        quality: (N,) how much to trust the detection, about 0..1; made of the score, the keypoint scores, and
            how well the person's size suits the network.
        box_px: (N, 4) xyxy.
        keypoints_px: (N, 17, 3) u, v, score.
        is_cut: (N,) whether the box reaches an inner border of its tile.
        tile: (N,) index of the tile. Two detections in the same tile are two people for the network.
        head_px: (N,) height of the head by which somebody was found; NaN of people who were found otherwise.
        by_box: (N,) who was found by a network that tells boxes; the keypoints are those of somebody upright.
    """

    score: npt.NDArray[np.float64]
    quality: npt.NDArray[np.float64]
    box_px: npt.NDArray[np.float64]
    keypoints_px: npt.NDArray[np.float64]
    is_cut: npt.NDArray[np.bool_]
    tile: npt.NDArray[np.int64]
    head_px: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), kw_only=True)
    by_box: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool), kw_only=True)

    def __post_init__(self) -> None:
        if not len(self.head_px):
            self.head_px = np.full(len(self.score), np.nan)
        if not len(self.by_box):
            self.by_box = np.zeros(len(self.score), bool)

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def names(cls) -> list[str]:
        """Names of the fields."""
        return [f.name for f in fields(cls)]

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The fields by their names, of which `Detections(**arrays)` makes them again."""
        return {name: getattr(self, name) for name in self.names()}

    @property
    def by_head(self) -> npt.NDArray[np.bool_]:
        """(N,) who was found by the head."""
        return np.isfinite(self.head_px)

    @property
    def found_whole(self) -> npt.NDArray[np.bool_]:
        """(N,) who was found by all of the body, so that a camera may be fitted to them."""
        return ~(self.by_head | self.by_box)

    @property
    def seen(self) -> npt.NDArray[np.int64]:
        """(N,) what of somebody is seen, as in `People.seen`."""
        clear = self.keypoints_px[..., 2] >= _CLEAR
        shoulders, hips, legs = (clear[:, rows].any(axis=1) for rows in _PARTS)
        return np.where(legs | (hips & shoulders), WHOLE, np.where(shoulders, UPPER, HEAD))

    @property
    def support(self) -> npt.NDArray[np.int64]:
        """(N,) number of looks at each person, as in `People.support`."""
        return np.ones(len(self), np.int64)

    @property
    def head_middle_px(self) -> npt.NDArray[np.float64]:
        """(N, 2) see the function of this name."""
        return head_middle_px(self.keypoints_px)

    @property
    def middle_px(self) -> npt.NDArray[np.float64]:
        """(N, 2) middles of the boxes."""
        return np.asarray((self.box_px[:, :2] + self.box_px[:, 2:]) / 2)

    @classmethod
    def empty(cls) -> Detections:
        """Nobody."""
        return cls(
            np.zeros(0),
            np.zeros(0),
            np.zeros((0, 4)),
            np.zeros((0, N_KEYPOINTS, 3)),
            np.zeros(0, bool),
            np.zeros(0, np.int64),
        )

    def filter(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Self:
        """The detections that a mask or an index array selects, in that order."""
        return replace(self, **{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    def shifted(self, columns_px: npt.NDArray[np.float64]) -> Self:
        """The detections moved sideways by (N,) pixels."""
        box, keypoints = self.box_px.copy(), self.keypoints_px.copy()
        box[:, [0, 2]] += columns_px[:, None]
        keypoints[..., 0] += columns_px[:, None]
        return replace(self, box_px=box, keypoints_px=keypoints)

    @classmethod
    def cat(cls, parts: Sequence[Detections]) -> Detections:
        """All detections of several structs, in order."""
        parts = [cls.empty(), *parts]
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )


# A box shows a part of another person if at least the first share of it lies inside the other's box, and its
# height and quality are at most these shares of the other's.
_PART_INSIDE, _PART_HEIGHT, _PART_QUALITY = 0.75, 0.85, 0.7
MOST_LOOKS = 6  # kept for each person


@dataclass
class PeopleSeen(Detections):
    """One row per person, joined from all looks at them; the looks are kept, too.

    Attributes:
        looks_px: (N, L, 17, 3) keypoints of each look, the most trusted first; zeros after the last.
        look_trust: (N, L) how much to trust each look; zeros after the last.
        heading: (N, 2) heading that was read, see `crowd3d.models.facing_readout`; zeros if not read.
    """

    looks_px: npt.NDArray[np.float64]
    look_trust: npt.NDArray[np.float64]
    heading: npt.NDArray[np.float64]

    @property
    def support(self) -> npt.NDArray[np.int64]:
        """(N,) number of looks at each person; of more than `MOST_LOOKS` as many."""
        return np.asarray((self.look_trust > 0).sum(axis=1))

    def shifted(self, columns_px: npt.NDArray[np.float64]) -> PeopleSeen:
        """The people moved sideways by (N,) pixels, looks included."""
        moved = super().shifted(columns_px)
        moved.looks_px = self.looks_px.copy()
        moved.looks_px[..., 0] += columns_px[:, None, None]
        return moved


def is_body_part(
    box_px: npt.NDArray[np.float64],
    quality: npt.NDArray[np.float64],
    distinct: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.bool_]:
    """(N,) whether a box shows only a part of another person: far inside a larger box of much better quality.

    Args:
        box_px: (N, 4) xyxy; quality: (N,).
        distinct: (K, 2) pairs (box, larger box) that are known to be two people.
    """
    return suppress_fragments(
        box_px,
        quality,
        distinct=distinct,
        min_containment=_PART_INSIDE,
        max_height_ratio=_PART_HEIGHT,
        max_score_ratio=_PART_QUALITY,
    )
