"""The unit of given coordinates: pixels of this picture, pixels of a copy, or shares of its sides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crowd3d.data.poses.given import GivenPoses
from crowd3d.data.poses.joints import Floats
from crowd3d.errors import DataError
from crowd3d.scene.detections import Detections

Size = tuple[int, int]

_LEAST_SIDE_PX = 20  # of a picture in which people cannot all be within one pixel
_FEW_JOINTS = 4  # that could lie in a corner pixel by chance
_MOSTLY = 0.98  # share of joints that decides; estimators place a few beyond the border
_UNIT_REACH = 0.5  # beyond 0..1, of the others
# Rounding of a copy's sides to whole pixels changes the ratio of its sides by so many pixels at most.
_ROUNDING_PX = 1.0
_CORNER, _QUARTER, _CORNER_PEOPLE = 0.6, 0.5, 5  # shares of the sides; people who all stand there


def in_pixels(given: GivenPoses, size_px: Size) -> tuple[Detections, list[str]]:
    """The people in pixels of a picture of that size, and in words what was changed or is doubtful.

    Raises:
        DataError: the poses are of a picture of another shape.
    """
    people, sides = given.people, np.array(size_px, np.float64)
    if given.is_normalised:
        return _scaled(people, sides), []
    points = _Spread.of(people)
    if len(points.x) > _FEW_JOINTS and min(size_px) >= _LEAST_SIDE_PX:
        if points.is_within(0.0, 1.0):
            said = "all poses lie between 0 and 1: they were taken as shares of the picture's width and height"
            return _scaled(people, sides), [said]
        if points.is_within(-1.0, 1.0):
            said = "all poses lie between -1 and 1: they were taken as places from one border to the other"
            return _scaled(people, sides / 2, sides / 2), [said]
    if given.size_px is not None:
        return _from_declared(people, points, given.size_px, size_px)
    return people, _corner_doubt(people, size_px)


@dataclass(frozen=True)
class _Spread:
    """Coordinates (M,) of all seen joints."""

    x: Floats
    y: Floats

    @classmethod
    def of(cls, people: Detections) -> _Spread:
        seen = people.keypoints_px[people.keypoints_px[..., 2] > 0]
        return cls(seen[:, 0], seen[:, 1])

    def is_within(self, low: float, high: float) -> bool:
        """Whether both coordinates are, but for a few that estimators place a little outside."""
        both = np.concatenate([self.x, self.y])
        reach = _UNIT_REACH * (high - low)
        all_near = (both >= low - reach).all() and (both <= high + reach).all()
        return bool(all_near and np.mean((both >= low) & (both <= high)) >= _MOSTLY)

    def share_within(self, size_px: Size) -> float:
        """Share of joints inside a picture of that size."""
        inside = (self.x >= 0) & (self.y >= 0) & (self.x <= size_px[0]) & (self.y <= size_px[1])
        return float(inside.mean())


def _from_declared(
    people: Detections, points: _Spread, declared: Size, size_px: Size
) -> tuple[Detections, list[str]]:
    """People from the picture size that the file says to the one that there is."""
    if declared == size_px:
        return people, []
    theirs, ours = (f"{width} x {height} px" for width, height in (declared, size_px))
    sizes = f"the poses are of a picture of {theirs}, and this one has {ours}"
    if not _is_copy(declared, size_px):
        turned = "; is it turned?" if _is_copy(declared[::-1], size_px) else ""
        raise DataError(
            f"{sizes}, so it is no copy in another size{turned}; give the picture they were made on"
        )
    if points.share_within(declared) >= _MOSTLY:
        factor = np.array(size_px, np.float64) / declared
        return _scaled(people, factor), [f"{sizes}: they were scaled by {factor[0]:.4g}"]
    if points.share_within(size_px) >= _MOSTLY:
        said = (
            f"the file says {theirs} for this picture of {ours}, but its poses do not fit into that"
        )
        return people, [f"{said}: they were taken as pixels of this picture"]
    raise DataError(f"{sizes}; they do not fit into either")


def _is_copy(a: Size, b: Size) -> bool:
    """Whether two sizes differ by one factor, but for rounding."""
    across = a[0] * b[1] - a[1] * b[0]
    return abs(across) <= _ROUNDING_PX * max(max(a), max(b))


def _corner_doubt(people: Detections, size_px: Size) -> list[str]:
    if len(people) < _CORNER_PEOPLE:
        return []
    seen = people.keypoints_px[people.keypoints_px[..., 2] > 0]
    right, bottom = seen[:, :2].max(axis=0)
    shares = right / size_px[0], bottom / size_px[1]
    if max(shares) > _CORNER:
        return []
    part = "quarter" if max(shares) <= _QUARTER else "part"
    return [
        f"all poses lie in the upper left {part} of the picture, none right of column {right:.0f} of "
        f"{size_px[0]} or below row {bottom:.0f} of {size_px[1]}: they may have been made on a smaller copy"
    ]


def _scaled(people: Detections, factor: Floats, shift: Floats | None = None) -> Detections:
    """With all coordinates multiplied by (2,) and then shifted by (2,)."""
    by = np.zeros(2) if shift is None else shift
    points = people.keypoints_px.copy()
    points[..., :2] = points[..., :2] * factor + by
    points[points[..., 2] == 0] = 0
    box_px = people.box_px * np.tile(factor, 2) + np.tile(by, 2)
    return replace(people, keypoints_px=points, box_px=box_px)
