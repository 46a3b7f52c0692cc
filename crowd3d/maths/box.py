"""Boxes of people whose type says xywh or xyxy, tight or extended, so that none is extended twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely

from crowd3d.errors import DataError

FloatArray = npt.NDArray[np.float64]

EXTENSION = 1.25
Format = Literal["xywh", "xyxy"]


@dataclass(frozen=True)
class Box:
    """Boxes of people in pixels of the full picture.

    Attributes:
        values: (N, 4) float64.
        format: "xywh" for left, top, width, height; "xyxy" for both corners.
        extended: whether they were made square and enlarged for a crop network already.
    """

    values: npt.NDArray[np.float64]
    format: Format
    extended: bool

    def __post_init__(self) -> None:
        values = np.atleast_2d(np.asarray(self.values, np.float64))
        object.__setattr__(self, "values", values)
        if self.format not in ("xywh", "xyxy"):
            raise DataError(f"a box's format is 'xywh' or 'xyxy', not {self.format!r}")
        if values.ndim != 2 or values.shape[1] != 4 or not np.isfinite(values).all():
            raise DataError(f"boxes must be (N, 4) finite numbers, got shape {values.shape}")
        if not (self.size_px > 0).all():
            row = int(np.argmin((self.size_px > 0).all(1)))
            raise DataError(
                f"box {row}, {values[row].tolist()} as {self.format}, is empty; is it"
                f" {'xyxy' if self.format == 'xywh' else 'xywh'}?"
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def left_top_px(self) -> npt.NDArray[np.float64]:
        """(N, 2)."""
        return self.values[:, :2]

    @property
    def size_px(self) -> npt.NDArray[np.float64]:
        """(N, 2) width, height."""
        far = self.values[:, 2:]
        return far - self.values[:, :2] if self.format == "xyxy" else far

    @property
    def center_px(self) -> npt.NDArray[np.float64]:
        """(N, 2)."""
        return self.left_top_px + self.size_px / 2

    @property
    def area_px2(self) -> npt.NDArray[np.float64]:
        """(N,)."""
        return np.asarray(self.size_px.prod(axis=1))

    def to(self, format: Format) -> Box:
        """The same boxes in the other format."""
        far = self.size_px if format == "xywh" else self.left_top_px + self.size_px
        return Box(np.concatenate([self.left_top_px, far], axis=1), format, self.extended)

    def extend(self, picture_px: tuple[int, int], aspect: float = 1.0) -> Box:
        """Tight boxes cut at the picture's border, made `aspect` = width / height, and enlarged by 1.25.

        The result may leave the picture. Unlike the published code, which loses a pixel of every box, this
        works with pixel corners.

        Raises:
            DataError: the boxes are extended already, or one lies outside the picture.
        """
        if self.extended:
            raise DataError("these boxes are extended already; a second time would falsify depth")
        corners = self.to("xyxy").values
        width, height = picture_px
        inside = corners.clip(0, [width, height, width, height])
        try:
            tight = Box(inside, "xyxy", extended=False)
        except DataError:
            raise DataError(f"a box lies outside the picture of {width} x {height} px") from None
        w, h = tight.size_px.T
        size = EXTENSION * np.stack([np.maximum(w, aspect * h), np.maximum(h, w / aspect)], axis=1)
        return Box(
            np.concatenate([tight.center_px - size / 2, size], axis=1), "xywh", extended=True
        )


def meeting(
    own_px: FloatArray, others_px: FloatArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs (own, other) of indices of boxes (N, 4) and (M, 4) that overlap or touch."""
    own, others = (shapely.box(*boxes_px.T) for boxes_px in (own_px, others_px))
    one, other = shapely.STRtree(others).query(own, predicate="intersects")
    return np.asarray(one, np.int64), np.asarray(other, np.int64)
