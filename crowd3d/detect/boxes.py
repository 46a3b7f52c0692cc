"""People as boxes: a second network that knows everyday pictures better, and tells no keypoints.

boxes-s finds upright and half-hidden people of everyday photographs whom the default network misses, and
confirms others. Its boxes get the keypoints of somebody upright, with low scores, until somebody looks closer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crowd3d.detect.in_tile import box_to_picture, is_cut, size_suitability
from crowd3d.models.boxes_s_decode import decode
from crowd3d.models.engine import Arrays, Engine, Runner
from crowd3d.picture.reading import Pass, Reading
from crowd3d.picture.windows import Pixels, Windows
from crowd3d.progress import Progress
from crowd3d.scene.detections import Detections
from tiling import Tile

FloatArray = npt.NDArray[np.float64]

NAME = "boxes-s"
# Keypoints of somebody upright: shares of the box, across and down (Drillis & Contini 1966).
_ACROSS = (.5, .52, .48, .55, .45, .68, .32, .76, .24, .78, .22, .6, .4, .6, .4, .6, .4)  # fmt: skip
_DOWN = (.07, .055, .055, .06, .06, .18, .18, .36, .36, .5, .5, .5, .5, .72, .72, .95, .95)  # fmt: skip
_GUESSED = 0.2  # their score
BEST_HEIGHT_PX = (40.0, 350.0)  # of people in the network's input


def each(
    reading: Reading,
    tiles: Sequence[Tile],
    view: Windows,
    engine: Engine,
    batch_size: int,
    min_score: float,
) -> Iterator[Detections]:
    """Yield the boxes in each batch of tiles, in order.

    Raises:
        ModelError: the weights are missing or damaged.
        tiling.ImageError, tiling.JournalError.
    """
    network = engine.load(NAME)
    silent = replace(reading, report=Progress(enabled=False))  # who looks at the same tiles reports
    settings = {"min_score": min_score, "fields": Detections.names()}
    answer = _Boxing(min_score, reading.size_px, view)
    work = Pass.through(engine, network, "", batch_size, settings, answer)
    for found in silent.each(work, tiles, view):
        yield Detections(**found)


@dataclass(frozen=True)
class _Boxing:
    """From a batch of tiles to the fields of `Detections`."""

    min_score: float
    image_size: tuple[int, int]
    view: Windows

    def __call__(self, network: Runner, pixels: Pixels, batch: Sequence[Tile]) -> Arrays:
        found = decode(network.run(pixels), self.min_score)
        of_tile, score, box = (
            part.cpu().numpy().astype(np.float64)
            for part in (found.tile, found.score, found.box_px)
        )
        parts = [
            self._in_picture(score[of_tile == i], box[of_tile == i], tile)
            for i, tile in enumerate(batch)
        ]
        return Detections.cat(parts).arrays()

    def _in_picture(self, score: FloatArray, box_tile_px: FloatArray, tile: Tile) -> Detections:
        height_px = box_tile_px[:, 3] - box_tile_px[:, 1]
        keypoints = upright_in(box_tile_px)
        keypoints[..., :2] = self.view.to_picture(tile, keypoints[..., :2])
        return Detections(
            score,
            score * size_suitability(height_px, BEST_HEIGHT_PX),
            box_to_picture(box_tile_px, tile, self.view),
            keypoints,
            is_cut(box_tile_px, tile, self.view.continues(tile, self.image_size)),
            np.full(len(score), tile.index, np.int64),
            by_box=np.ones(len(score), bool),
        )


def upright_in(box_px: FloatArray) -> FloatArray:
    """(N, 17, 3) keypoints of somebody upright in a box (N, 4), with the score of a guess."""
    low, size = box_px[:, None, :2], (box_px[:, 2:] - box_px[:, :2])[:, None]
    points = low + np.stack([_ACROSS, _DOWN], axis=1) * size
    return np.concatenate([points, np.full((len(box_px), 17, 1), _GUESSED)], axis=2)
