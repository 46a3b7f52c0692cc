"""Square crops around the boxes of people, cut for networks that look at one person at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from crowd3d.errors import DataError
from crowd3d.maths.box import Box
from tiling import Picture

_BATCH = 16
_IMAGENET_MEAN, _IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Crops:
    """Cuts crops out of one picture and runs networks on them.

    Attributes:
        source: the picture.
        device: torch device on which the networks run.
    """

    source: Picture
    device: str = "cpu"

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.source.width, self.source.height

    def read(self, boxes: Box, side_px: int) -> npt.NDArray[np.uint8]:
        """(N, side, side, 3) RGB crops; black outside the picture, as the published networks were trained.

        Raises:
            DataError: the boxes are not extended.
        """
        if not boxes.extended:
            raise DataError("crops show extended boxes; call Box.extend first")
        places = boxes.to("xywh").values
        pixels = np.zeros((len(boxes), side_px, side_px, 3), np.uint8)
        middle = (np.arange(side_px) + 0.5) / side_px
        for i, (x, y, w, h) in enumerate(places):
            columns, rows = x + w * middle, y + h * middle
            inside = (rows >= 0) & (rows <= self.source.height)
            across = (columns >= 0) & (columns <= self.source.width)
            read = self.source.read(x, y, w, h, (side_px, side_px))
            pixels[i] = np.where((inside[:, None] & across)[..., None], read, 0)
        return pixels

    @torch.no_grad()
    def ask(
        self, network: nn.Module, boxes: Box, side_px: int, keep: Callable[..., Answer]
    ) -> list[Answer]:
        """Run a network on crops of the boxes; pixels are normalised by ImageNet's mean and deviation.

        Args:
            keep: reduces the output for a batch to what is needed, so that large volumes do not pile up.

        Returns:
            What `keep` returned, one entry per batch of crops.
        """
        network = network.to(self.device).eval()
        batches = [
            Box(boxes.values[i : i + _BATCH], boxes.format, boxes.extended)
            for i in range(0, len(boxes), _BATCH)
        ]
        return [keep(network(self._normalised(self.read(b, side_px)))) for b in batches]

    def _normalised(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        rgb = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
        mean, sd = (rgb.new_tensor(v)[:, None, None] for v in (_IMAGENET_MEAN, _IMAGENET_SD))
        return (rgb - mean) / sd


def boxes_of_people(
    box_px: npt.NDArray[np.float64], size_px: tuple[int, int]
) -> tuple[Box, npt.NDArray[np.int64]]:
    """Extended boxes of the people whose box lies at least partly in the picture.

    Args:
        box_px: (N, 4) xyxy, tight; size_px: width and height of the picture.

    Returns:
        The M extended boxes, and the (M,) rows of `box_px` that they belong to.
    """
    limit = np.array([*size_px, *size_px], np.float64)
    inside = box_px.clip(0, limit)
    rows = np.flatnonzero((inside[:, 2:] - inside[:, :2] > 0).all(axis=1))
    tight = Box(box_px[rows].reshape(-1, 4), "xyxy", extended=False)
    return tight.extend(size_px), rows
