"""`Detector`: runs the one-stage network over tiles and gives detections in full-picture pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.detect import boxes, faces
from crowd3d.detect.in_tile import box_to_picture, is_cut, size_suitability
from crowd3d.models import centerface
from crowd3d.models.crowd3ds import Maps
from crowd3d.models.crowd3ds_decode import decode
from crowd3d.models.engine import Arrays, Engine, Runner
from crowd3d.picture.reading import Pass, Reading
from crowd3d.picture.windows import FLAT, Pixels, Windows
from crowd3d.scene.detections import Detections
from tiling import Tile

# Measured on photographs: the network works best for people who are this tall in its input.
BEST_HEIGHT_PX = (70.0, 220.0)
BEST_HEAD_PX = (8.0, 30.0)  # likewise of people found by the head
_GOOD_KEYPOINT_SCORE = 0.4  # mean over 17; typical of a whole person seen well


class Detector:
    """The one-stage network in an engine, a network of boxes beside it, and perhaps one of faces.

    Args:
        min_score, min_head, min_box: lowest scores of people, of heads and of boxes; 1 = none of that kind.
        face_finder: of `crowd3d.models.centerface.load`; None = look for no faces.
    """

    def __init__(
        self,
        engine: Engine,
        network: Runner,
        batch_size: int,
        min_score: float,
        min_head: float = 1.0,
        min_box: float = 1.0,
        face_finder: Runner | None = None,
    ) -> None:
        self.engine = engine
        self.network = network
        self.batch_size = min(batch_size, engine.most_windows)
        self.min_score = min_score
        self.min_head = min_head
        self.min_box = min_box
        self.face_finder = face_finder

    @property
    def weights_hash(self) -> str:
        """See `Runner.weights_hash`."""
        return self.network.weights_hash

    @property
    def head_detector(self) -> str:
        """What finds heads, in words; "none" if nothing does."""
        names = ["heads-s"] if self.min_head < 1 else []
        names += [] if self.face_finder is None else [centerface.NAME]
        return ", ".join(names) or "none"

    def detect(
        self, reading: Reading, tiles: Sequence[Tile], view: Windows = FLAT, stage: str = "infer"
    ) -> Detections:
        """All detections in the given tiles, in the order of the tiles; arguments and errors as of `each`."""
        return Detections.cat(list(self.each(reading, tiles, view, stage)))

    def each(
        self, reading: Reading, tiles: Sequence[Tile], view: Windows = FLAT, stage: str = "infer"
    ) -> Iterator[Detections]:
        """Yield the detections in each batch of tiles, in order; whoever has seen enough may stop.

        Args:
            view: how the tiles are cut out of the picture; stage: `Pass.stage`.

        Raises:
            tiling.ImageError, tiling.JournalError.
        """
        answer = _Looking(self.min_score, self.min_head, reading.size_px, view)
        settings = {
            "min_score": self.min_score,
            "min_head": self.min_head,
            "fields": Detections.names(),
        }
        work = Pass.through(self.engine, self.network, stage, self.batch_size, settings, answer)
        eyes: list[Iterator[Detections]] = [
            (Detections(**found) for found in reading.each(work, tiles, view))
        ]
        look, size = (reading, tiles, view), self.batch_size
        if self.min_box < 1:
            eyes.append(boxes.each(*look, self.engine, size, self.min_box))
        if self.face_finder is not None:
            eyes.append(faces.each(*look, self.face_finder, size, BEST_HEAD_PX))
        for parts in zip(*eyes, strict=True):
            yield Detections.cat(parts)


@dataclass(frozen=True)
class _Looking:
    """From a batch of tiles to the fields of `Detections`."""

    min_score: float
    min_head: float
    image_size: tuple[int, int]
    view: Windows

    def __call__(self, network: Runner, pixels: Pixels, batch: Sequence[Tile]) -> Arrays:
        decoded = decode(Maps(*network.run(pixels)), self.min_score, self.min_head)
        found = {name: part.cpu().numpy() for name, part in vars(decoded).items()}
        tile_index = found.pop("tile")
        rows = [np.flatnonzero(tile_index == i) for i in range(len(batch))]
        seen = Detections.cat(
            [
                _to_picture(
                    {name: part[r].astype(np.float64) for name, part in found.items()},
                    tile,
                    self.image_size,
                    self.view,
                )
                for r, tile in zip(rows, batch, strict=True)
            ]
        )
        return seen.arrays()


def _to_picture(
    decoded: Mapping[str, npt.NDArray[np.float64]],
    tile: Tile,
    image_size: tuple[int, int],
    view: Windows,
) -> Detections:
    """Tile pixels -> picture pixels; adds quality and the cut flag, which depend on the tile.

    Args:
        decoded: the fields of `Decoded` of one tile.
    """
    score, box_tile_px = decoded["score"], decoded["box_px"]
    keypoints_tile_px, head_tile_px = decoded["keypoints_px"], decoded["head_px"]
    keypoints = keypoints_tile_px.copy()
    keypoints[..., :2] = view.to_picture(tile, keypoints[..., :2])
    by_head = np.isfinite(head_tile_px)
    height_px = box_tile_px[:, 3] - box_tile_px[:, 1]
    quality = score * size_suitability(height_px, BEST_HEIGHT_PX)
    quality *= np.sqrt(np.minimum(keypoints[..., 2].mean(axis=-1) / _GOOD_KEYPOINT_SCORE, 1.0))
    of_heads = score * size_suitability(np.nan_to_num(head_tile_px), BEST_HEAD_PX)
    # Of somebody found by the head, only that must be in the tile.
    seen_part = box_tile_px.copy()
    seen_part[by_head, 3] = seen_part[by_head, 1] + head_tile_px[by_head]
    seen_part[by_head, 0::2] = keypoints_tile_px[by_head, :5, 0].mean(axis=1)[:, None]
    return Detections(
        score,
        np.where(by_head, of_heads, quality),
        box_to_picture(box_tile_px, tile, view),
        keypoints,
        is_cut(seen_part, tile, view.continues(tile, image_size)),
        np.full(len(score), tile.index, np.int64),
        head_px=head_tile_px / tile.scale,
    )
