"""Crowds whose detections are known: a detector that sees whoever a tile shows whole and large enough."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from crowd3d import Camera, Plane
from crowd3d.detect.detector import BEST_HEIGHT_PX
from crowd3d.detect.in_tile import size_suitability
from crowd3d.models.engine import torch_engine
from crowd3d.picture.reading import Reading
from crowd3d.scene.detections import Detections
from crowd3d.scene.sizes import HEAD_OF_STATURE
from tiling import Band, Tile

STATURE_M = 1.7
# COCO keypoints of somebody upright: height and sideways, as fractions of stature.
HEIGHTS = np.array(
    [.93, .95, .95, .94, .94, .82, .82, .63, .63, .48, .48, .52, .52, .29, .29, .04, .04]
)  # fmt: skip
SIDES = np.array(
    [0, .02, -.02, .04, -.04, .1, -.1, .12, -.12, .12, -.12, .06, -.06, .05, -.05, .05, -.05]
)  # fmt: skip


def crowd_on(
    camera: Camera,
    plane: Plane,
    n: int,
    seed: int = 0,
    *,
    away_m: tuple[float, float],
    across: tuple[float, float] = (-0.4, 0.4),
) -> Detections:
    """n people who stand on a plane, between two distances; `across` in distances to the right of the axis."""
    rng = np.random.default_rng(seed)
    right = np.cross(plane.normal, [0.0, 0.0, 1.0])
    right /= -np.linalg.norm(right) if right[0] < 0 else np.linalg.norm(right)
    forward = np.cross(right, plane.normal)
    forward *= np.sign(forward[2])
    away = np.sqrt(rng.uniform(away_m[0] ** 2, away_m[1] ** 2, n))
    side = away * rng.uniform(*across, n)
    foot = away[:, None] * forward + side[:, None] * right - plane.offset_m * plane.normal
    tall = rng.normal(STATURE_M, 0.07, n)
    yaw = rng.uniform(0.3, 1.0, n)
    stick = tall[:, None, None] * (
        HEIGHTS[:, None] * plane.normal + yaw[:, None, None] * SIDES[:, None] * right
    )
    pixels = camera.project(foot[:, None] + stick)
    head, feet = camera.project(foot + tall[:, None] * plane.normal), camera.project(foot)
    half = 0.18 * (feet[:, 1] - head[:, 1])
    box = np.stack([feet[:, 0] - half, head[:, 1], feet[:, 0] + half, feet[:, 1]], axis=1)
    keypoints = np.concatenate([pixels, np.full((n, 17, 1), 0.6)], axis=2)
    score = np.full(n, 0.8)
    people = Detections(score, score, box, keypoints, np.zeros(n, bool), np.zeros(n, np.int64))
    inside = (box[:, :2] > 0).all(axis=1) & (box[:, 2:] < (camera.width, camera.height)).all(axis=1)
    return _apart(people.filter(inside))


def with_heads(people: Detections) -> Detections:
    """Whole people, each seen by the head, too."""
    head_px = HEAD_OF_STATURE * (people.box_px[:, 3] - people.box_px[:, 1])
    return Detections.cat([people, replace(people, head_px=head_px)])


def _apart(people: Detections) -> Detections:
    """Those who hide nobody before them."""
    kept: list[int] = []
    for i, box in enumerate(people.box_px):
        others = people.box_px[kept]
        width, height = box[2] - box[0], box[3] - box[1]
        gap = np.abs(others[:, :2] - box[:2])
        if not ((gap[:, 0] < 1.2 * width) & (gap[:, 1] < 0.5 * height)).any():
            kept.append(i)
    return people.filter(np.array(kept, np.int64))


def shifted(people: Detections, u: float, v: float) -> Detections:
    """The same people elsewhere in the picture."""
    box = people.box_px + np.array([u, v, u, v])
    keypoints = people.keypoints_px + np.array([u, v, 0.0])
    return Detections(people.score, people.quality, box, keypoints, people.is_cut, people.tile)


class Eyes:
    """Stands in for `Detector`: sees everybody whom a tile shows whole, and 45 to 300 px tall in its input."""

    engine, batch_size = torch_engine(), 4

    def __init__(self, people: Detections) -> None:
        self.people = people
        self.tiles: list[Tile] = []

    def each(
        self, reading: Reading, tiles: Sequence[Tile], view: object, stage: str = ""
    ) -> Iterator[Detections]:
        del reading, view, stage
        for start in range(0, len(tiles), self.batch_size):
            batch = tiles[start : start + self.batch_size]
            self.tiles += batch
            yield Detections.cat([self._seen(tile) for tile in batch])

    def _seen(self, tile: Tile) -> Detections:
        box = self.people.box_px
        height = (box[:, 3] - box[:, 1]) * tile.scale
        slack = 0.1 * (box[:, 3] - box[:, 1])
        whole = (box[:, 0] > tile.x - slack) & (box[:, 2] < tile.x + tile.side_w + slack)
        whole &= (box[:, 1] > tile.y - slack) & (box[:, 3] < tile.y + tile.side_h + slack)
        rows = np.flatnonzero(whole & (height >= 45) & (height <= 300))
        seen = self.people.filter(rows)
        seen.quality = 0.8 * size_suitability(height[rows], BEST_HEIGHT_PX)
        seen.tile = np.full(len(rows), tile.index)
        return Detections.cat([with_heads(seen), replace(seen, by_box=np.ones(len(rows), bool))])

    def glance(self, reading: Reading, bands: Sequence[Band], *_: object) -> None:
        """Stands in for `crowd3d.detect.glance.glance`: knows where people are."""
        del reading
        height = self.people.box_px[:, 3] - self.people.box_px[:, 1]
        for band in bands:
            band.chance[:] = -np.inf
            rows = (height >= 0.9 * band.low_px) & (height <= 1.1 * band.high_px)
            for u, v in self.people.middle_px[rows]:
                row, column = (int(side / band.cell_px) for side in (v, u))
                row, column = np.minimum((row, column), np.array(band.chance.shape) - 1)
                band.chance[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 0.0


def blank(width: int, height: int) -> Reading:
    """A picture of one colour, of any size."""

    def read(x: float, y: float, w: float, h: float, size: tuple[int, int]) -> np.ndarray:
        return np.full((size[1], size[0], 3), 114, np.uint8)

    return Reading(SimpleNamespace(width=width, height=height, read=read, identity="blank"))
