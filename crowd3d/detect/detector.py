"""Tiles through the one-stage network: batches in, detections in full-picture pixels out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from crowd3d.files.weights import tensors_hash
from crowd3d.models.crowd3ds_decode import decode
from crowd3d.picture.windows import FLAT, Windows
from crowd3d.scene.detections import Detections
from crowd3d.version import __version__
from tiling import ImageSource, Journal, Tile, record_key

# Measured on photographs: the network is at its best for people of this height
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
        on_tiles: Callable[[int], None] | None = None,
        journal: Journal | None = None,
        view: Windows = FLAT,
    ) -> Iterator[Detections]:
        """The detections of each batch of tiles, in order.

        Args:
            on_tiles: told how many tiles are done, batch by batch.
            journal: batches that it holds are taken from it, the others are recorded in it.
            view: how the tiles are cut out of the picture.

        Raises:
            tiling.ImageError, tiling.JournalError.
        """
        batches = [tiles[i : i + self.batch_size] for i in range(0, len(tiles), self.batch_size)]
        keys = [self._key(source, batch, view) if journal is not None else "" for batch in batches]
        known = [journal.get(key) if journal is not None else None for key in keys]
        unknown = [b for b, k in zip(batches, known, strict=True) if k is None]
        pixels = _read_ahead(source, unknown, view)
        for batch, key, recorded in zip(batches, keys, known, strict=True):
            if recorded is not None:
                found = Detections(**recorded)
            else:
                found = self._infer(next(pixels), batch, (source.width, source.height), view)
                if journal is not None:
                    journal.put(key, {f.name: getattr(found, f.name) for f in fields(found)})
            yield found
            if on_tiles is not None:
                on_tiles(len(batch))

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 of the network's tensors with their names."""
        return tensors_hash(self.network)

    def _key(self, source: ImageSource, batch: Sequence[Tile], view: Windows) -> str:
        settings = {
            "view": view.facts(),
            "min_score": self.min_score,
            "device": self.device,
            "versions": [__version__, torch.__version__],
            "fields": [f.name for f in fields(Detections)],
        }
        return record_key(source.identity, batch, settings, self.weights_hash)

    def _infer(
        self,
        pixels: npt.NDArray[np.uint8],
        batch: Sequence[Tile],
        image_size: tuple[int, int],
        view: Windows,
    ) -> Detections:
        rgb = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            found = decode(self.network(rgb), self.min_score)
        tile_index = found.tile.cpu().numpy()
        score, boxes, keypoints = (
            t.cpu().numpy().astype(np.float64)
            for t in (found.score, found.box_px, found.keypoints_px)
        )
        rows = [np.flatnonzero(tile_index == i) for i in range(len(batch))]
        return Detections.cat(
            [
                _to_picture(score[r], boxes[r], keypoints[r], tile, image_size, view)
                for r, tile in zip(rows, batch, strict=True)
            ]
        )


def _read_ahead(
    source: ImageSource, batches: Sequence[Sequence[Tile]], view: Windows
) -> Iterator[npt.NDArray[np.uint8]]:
    """Pixels of each batch; those of the next one are read while the network works on this one."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        pending = [reader.submit(_read, source, batch, view) for batch in batches[:1]]
        for i in range(len(batches)):
            pixels = pending.pop().result()
            pending = [reader.submit(_read, source, b, view) for b in batches[i + 1 : i + 2]]
            yield pixels


def _read(source: ImageSource, batch: Sequence[Tile], view: Windows) -> npt.NDArray[np.uint8]:
    return np.stack([view.read(source, tile) for tile in batch])


def _to_picture(
    score: npt.NDArray[np.float64],
    box_tile_px: npt.NDArray[np.float64],
    keypoints_tile_px: npt.NDArray[np.float64],
    tile: Tile,
    image_size: tuple[int, int],
    view: Windows,
) -> Detections:
    """Tile pixels -> picture pixels, with the quality and the cut flag that only the tile knows."""
    keypoints = keypoints_tile_px.copy()
    keypoints[..., :2] = view.to_picture(tile, keypoints[..., :2])
    boxes = _box_to_picture(box_tile_px, tile, view)
    height_px = box_tile_px[:, 3] - box_tile_px[:, 1]
    quality = score * size_suitability(height_px)
    quality *= np.sqrt(np.minimum(keypoints[..., 2].mean(axis=-1) / _GOOD_KEYPOINT_SCORE, 1.0))
    return Detections(
        score,
        quality,
        boxes,
        keypoints,
        _is_cut(box_tile_px, tile, view.continues(tile, image_size)),
        np.full(len(score), tile.index, np.int64),
    )


def size_suitability(height_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N,) person heights in the network's input -> (N,) in 0..1, 1 where the network is at its best."""
    low, high = BEST_HEIGHT_PX
    height = np.maximum(height_px, 1.0)
    excess = np.log(np.maximum(np.maximum(low / height, height / high), 1.0))
    return np.asarray(np.exp(-0.5 * (excess / _HEIGHT_FALLOFF) ** 2))


def _box_to_picture(
    box_px: npt.NDArray[np.float64], tile: Tile, view: Windows
) -> npt.NDArray[np.float64]:
    """The box (N, 4) in the picture that holds the middles of a box's four sides."""
    left, top, right, bottom = box_px.T
    u, v = (left + right) / 2, (top + bottom) / 2
    sides = np.stack([left, v, u, top, right, v, u, bottom], axis=-1).reshape(-1, 4, 2)
    sides = view.to_picture(tile, sides)
    return np.concatenate([sides.min(axis=1), sides.max(axis=1)], axis=1)


def _is_cut(
    box_px: npt.NDArray[np.float64], tile: Tile, continues: tuple[bool, bool, bool, bool]
) -> npt.NDArray[np.bool_]:
    """Whether a box reaches a border of the tile beyond which the picture goes on."""
    limits = np.array([_BORDER_PX, _BORDER_PX, tile.out_w - _BORDER_PX, tile.out_h - _BORDER_PX])
    beyond = np.concatenate([box_px[:, :2] < limits[:2], box_px[:, 2:] > limits[2:]], axis=1)
    return np.asarray((beyond & np.array(continues)).any(axis=1))
