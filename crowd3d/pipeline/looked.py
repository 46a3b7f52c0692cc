"""What of a picture was looked at, for people of which height: for `scene.json`, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tiling import Band

_MAP_CELLS = 48  # along the longer side of the picture
_COMPLETE = 0.005  # share that may be missed without a word: corners of cells


@dataclass(frozen=True)
class HeightsLookedAt:
    """Shares of the picture, for the people of one octave of heights.

    Attributes:
        heights_px: shortest and tallest.
        looked: was looked at by the network that finds people; empty: was not, because a glance showed that
            nobody is there, or because known people are;
            possible: a glance showed that somebody could be there; left: the part of it that was not looked at.
    """

    heights_px: tuple[float, float]
    looked: float
    empty: float
    possible: float
    left: float


@dataclass(frozen=True)
class Looked:
    """What of a picture was looked at.

    Attributes:
        bands: from the shortest people to the tallest.
        stopped_by: the limit that ended the search, max_tiles or max_minutes; None if nothing did.
        cell_px: side of a cell of the map.
        smallest_px: (rows, columns) height of the shortest people whom nobody could have missed there.
    """

    bands: list[HeightsLookedAt]
    stopped_by: str | None
    cell_px: float
    smallest_px: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, bands: Sequence[Band], people_px: npt.NDArray[np.float64], stopped_by: str | None
    ) -> Looked:
        """From the bands of a search and the boxes (N, 4) of the people found."""
        width, height = bands[0].size_px
        cell_px = max(width, height) / _MAP_CELLS
        shape = max(1, round(height / cell_px)), max(1, round(width / cell_px))
        smallest = np.full(shape, round(bands[0].low_px))
        shares = []
        for band in bands:
            left = band.left(people_px)
            looked = band.looked.mean()
            shares.append(
                HeightsLookedAt(
                    (band.low_px, band.high_px),
                    float(looked),
                    float(1 - looked - left.mean()),
                    float(band.is_possible.mean()),
                    float(left.mean()),
                )
            )
            missed = cv2.resize(left.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
            smallest[missed > _COMPLETE] = round(band.high_px)
        return cls(shares, stopped_by, cell_px, smallest)

    @property
    def is_complete(self) -> bool:
        """Whether nobody can have been missed for want of a look."""
        return all(band.left == 0 for band in self.bands)

    def in_words(self) -> str:
        """One sentence without a full stop."""
        low = self.bands[0].heights_px[0]
        if self.is_complete:
            return f"looked at everything, down to people {low:.0f} px tall"
        parts = [
            f"{band.left / band.possible:.0%} of the places where people of "
            f"{band.heights_px[0]:.0f}-{band.heights_px[1]:.0f} px could be"
            for band in self.bands
            if band.left > _COMPLETE * band.possible
        ]
        missed = ", ".join(parts) or "hardly anything"
        limit = f" when {self.stopped_by} was reached" if self.stopped_by else ""
        return f"not looked at{limit}: {missed}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "complete": self.is_complete,
            "stopped_by": self.stopped_by,
            "in_words": self.in_words(),
            "share": 1 - max(band.left for band in self.bands),
            "heights": [
                {
                    "from_px": band.heights_px[0],
                    "to_px": band.heights_px[1],
                    "looked": round(band.looked, 4),
                    "empty": round(band.empty, 4),
                    "possible": round(band.possible, 4),
                    "left": round(band.left, 4),
                }
                for band in self.bands
            ],
            "map": {"cell_px": self.cell_px, "smallest_px": self.smallest_px.tolist()},
        }
