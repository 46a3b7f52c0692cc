"""Tiles through the one-stage network: batches in, detections in full-picture pixels out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from crowd3d.detections import Detections
from crowd3d.models.decode import decode
from tiling import ImageSource, Tile

# Measured on photographs (benchmarks/person_size.py): the network is at its best for people of this height
# in its input; the score falls off beyond, by a Gaussian in the logarithm of the height.
BEST_HEIGHT_PX = (70.0, 220.0)
_HEIGHT_FALLOFF = 0.3
_GOOD_KEYPOINT_SCORE = 0.4  # mean over 17; typical of a whole person seen well
_BORDER_PX = 6.0  # a box that ends so near an inner tile border is taken as cut


class Detector:
    """A network on a device, fed with tiles."""

    def __init__(self, network: nn.Module, device: str, batch_size: int, min_score: float) -> None:
        self.network: nn.Module = network.to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device = device
        self.batch_size = batch_size
        self.min_score = min_score

    def detect(
        self,
        source: ImageSource,
        tiles: Sequence[Tile],
        on_tile: Callable[[int], None] | None = None,
    ) -> Iterator[Detections]:
        """The detections of each tile, in the order of the tiles.

        Pixels of the next batch are read in a thread while the network works on this one.
        """
        batches = [tiles[i : i + self.batch_size] for i in range(0, len(tiles), self.batch_size)]
        with ThreadPoolExecutor(max_workers=1) as reader:
            pending = [reader.submit(_read, source, batch) for batch in batches[:1]]
            for i, batch in enumerate(batches):
                pixels = pending.pop().result()
                pending = [reader.submit(_read, source, b) for b in batches[i + 1 : i + 2]]
                yield from self._infer(pixels, batch, (source.width, source.height))
                if on_tile is not None:
                    on_tile(len(batch))

    def _infer(
        self, pixels: npt.NDArray[np.uint8], batch: Sequence[Tile], image_size: tuple[int, int]
    ) -> list[Detections]:
        rgb = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            found = decode(self.network(rgb), self.min_score)
        tile_index = found.tile.cpu().numpy()
        score, boxes, keypoints = (
            t.cpu().numpy().astype(np.float64)
            for t in (found.score, found.box_px, found.keypoints_px)
        )
        rows = [np.flatnonzero(tile_index == i) for i in range(len(batch))]
        return [
            _to_scene(score[r], boxes[r], keypoints[r], tile, image_size)
            for r, tile in zip(rows, batch, strict=True)
        ]


def _read(source: ImageSource, batch: Sequence[Tile]) -> npt.NDArray[np.uint8]:
    return np.stack([source.read(t.x, t.y, t.side_w, t.side_h, (t.out_w, t.out_h)) for t in batch])


def _to_scene(
    score: npt.NDArray[np.float64],
    box_tile_px: npt.NDArray[np.float64],
    keypoints_tile_px: npt.NDArray[np.float64],
    tile: Tile,
    image_size: tuple[int, int],
) -> Detections:
    """Tile pixels -> picture pixels, with the quality and the cut flag that only the tile knows."""
    keypoints = keypoints_tile_px.copy()
    keypoints[..., :2] = tile.to_scene(keypoints[..., :2])
    boxes = tile.to_scene(box_tile_px.reshape(-1, 2, 2)).reshape(-1, 4)
    height_px = box_tile_px[:, 3] - box_tile_px[:, 1]
    quality = score * size_suitability(height_px)
    quality *= np.sqrt(np.minimum(keypoints[..., 2].mean(axis=-1) / _GOOD_KEYPOINT_SCORE, 1.0))
    return Detections(score, quality, boxes, keypoints, _is_cut(box_tile_px, tile, image_size))


def size_suitability(height_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N,) person heights in the network's input -> (N,) in 0..1, 1 where the network is at its best."""
    low, high = BEST_HEIGHT_PX
    height = np.maximum(height_px, 1.0)
    excess = np.log(np.maximum(np.maximum(low / height, height / high), 1.0))
    return np.asarray(np.exp(-0.5 * (excess / _HEIGHT_FALLOFF) ** 2))


def _is_cut(
    box_tile_px: npt.NDArray[np.float64], tile: Tile, image_size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Whether a box reaches a tile border that is not also the border of the picture."""
    inner_left, inner_top = tile.x > 0.5, tile.y > 0.5
    inner_right = tile.x + tile.side_w < image_size[0] - 0.5
    inner_bottom = tile.y + tile.side_h < image_size[1] - 0.5
    left, top, right, bottom = box_tile_px.T
    return np.asarray(
        (inner_left & (left < _BORDER_PX))
        | (inner_top & (top < _BORDER_PX))
        | (inner_right & (right > tile.out_w - _BORDER_PX))
        | (inner_bottom & (bottom > tile.out_h - _BORDER_PX))
    )
