"""Faces as further looks at heads, by a network that the user installed: `crowd3d.models.centerface`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from crowd3d.detect.boxes import upright_in
from crowd3d.detect.in_tile import box_to_picture, is_cut, size_suitability
from crowd3d.detect.joining import STANDING_BOX
from crowd3d.models.centerface import Faces, decode
from crowd3d.models.engine import Arrays, Runner
from crowd3d.models.openvino_engine import openvino
from crowd3d.picture.reading import Pass, Reading
from crowd3d.picture.windows import Pixels, Windows
from crowd3d.progress import Progress
from crowd3d.scene.detections import Detections
from tiling import Tile

FloatArray = npt.NDArray[np.float64]

MIN_SCORE = 0.3  # of a face
# A face is told from the chin to the hairline, above which is the last fifth of a head.
HEAD_OF_FACE = 1.25
_GUESSED = 0.05  # score of limbs, of which nothing is seen


def each(
    reading: Reading,
    tiles: Sequence[Tile],
    view: Windows,
    network: Runner,
    batch_size: int,
    best_px: tuple[float, float],
) -> Iterator[Detections]:
    """Yield the heads with a face in each batch of tiles, in order.

    Args:
        network: of `centerface.load`; it runs in this process, whatever the engine of the others.
        best_px: heights of heads in the network's input at which their quality is their score.

    Raises:
        tiling.ImageError, tiling.JournalError.
    """
    silent = replace(reading, report=Progress(enabled=False))  # who looks at the same tiles reports
    settings = {
        "min_score": MIN_SCORE,
        "fields": Detections.names(),
        "openvino": openvino().__version__,
    }
    answer = partial(network.answer, _Facing(best_px, reading.size_px, view))
    work = Pass("", batch_size, settings, network.weights_hash, answer)
    for found in silent.each(work, tiles, view):
        yield Detections(**found)


@dataclass(frozen=True)
class _Facing:
    """From a batch of tiles to the fields of `Detections`."""

    best_px: tuple[float, float]
    image_size: tuple[int, int]
    view: Windows

    def __call__(self, network: Runner, pixels: Pixels, batch: Sequence[Tile]) -> Arrays:
        heat, size, offset = (part.double().numpy() for part in network.run(pixels))
        parts = [
            self._in_picture(decode(heat[i, 0], size[i], offset[i], MIN_SCORE), tile)
            for i, tile in enumerate(batch)
        ]
        return Detections.cat(parts).arrays()

    def _in_picture(self, faces: Faces, tile: Tile) -> Detections:
        score, (left, top, right, chin) = faces.score, faces.box_px.T
        head_px = HEAD_OF_FACE * (chin - top)
        middle = np.stack([(left + right) / 2, chin - head_px / 2], axis=1)
        body = np.tile(middle, (1, 2)) + head_px[:, None] * STANDING_BOX
        keypoints = upright_in(body)
        keypoints[..., 2] = _GUESSED
        keypoints[:, :5] = np.concatenate([middle, score[:, None]], axis=1)[:, None]
        keypoints[..., :2] = self.view.to_picture(tile, keypoints[..., :2])
        head = np.stack([left, chin - head_px, right, chin], axis=1)
        return Detections(
            score,
            score * size_suitability(head_px, self.best_px),
            box_to_picture(body, tile, self.view),
            keypoints,
            is_cut(head, tile, self.view.continues(tile, self.image_size)),
            # A tile of their own: those of the other network at the same place are the same heads.
            np.full(len(score), ~tile.index, np.int64),
            head_px=head_px / tile.scale,
        )
