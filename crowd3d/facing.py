"""Whether somebody faces the camera, read from the trunk of the default network.

The keypoint maps of the network are bistable for a blurred back: it may name left and right as of a face.
Its features know more. A logistic readout of their means over four bands of the upright body, 96 weights,
is trained on renders by `crowd3d.training.facing_train`; so few weights leave little room to learn what is
peculiar to renders.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from crowd3d.errors import ModelError
from crowd3d.models.crowd3ds import STRIDE
from tiling import Tile

FloatArray = npt.NDArray[np.float64]

WINDOW_PX = (128, 192)  # width and height of the network's input for one person
PERSON_PX = 128.0  # height of the person in the middle of it
# Borders of head, shoulders, hips and legs below the top of the box, as shares of its height.
BANDS = (0.0, 0.16, 0.34, 0.56, 1.0)
_HALF_WIDTH = 0.165  # of a band, as a share of the height


@dataclass(frozen=True)
class FacingReadout:
    """Weights of the readout.

    Attributes:
        weight: (4, C), of the mean features of each band; bias: of the sum.
        network: hash of the network whose features it reads, `Detector.weights_hash`.
        facts: what is known of its training.
    """

    weight: Tensor
    bias: float
    network: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __call__(self, bands: Tensor) -> Tensor:
        """(B, 4, C) from `band_features` -> (B,) log-odds of facing the camera against facing away."""
        total: Tensor = (bands * self.weight.to(bands)).sum((1, 2)) + self.bias
        return total


def person_window(box_px: FloatArray, index: int = 0) -> Tile:
    """The window about a person's box (4,) xyxy, in which the person is `PERSON_PX` tall."""
    height = max(float(box_px[3] - box_px[1]), 1.0)
    width_px, height_px = (side * height / PERSON_PX for side in WINDOW_PX)
    u, v = float(box_px[0] + box_px[2]) / 2, float(box_px[1] + box_px[3]) / 2
    corner = (u - width_px / 2, v - height_px / 2)
    return Tile(*corner, width_px, height_px, *WINDOW_PX, 0, index, (height, height))


def band_features(features: Tensor) -> Tensor:
    """(B, C, H/4, W/4) trunk features of windows -> (B, 4, C) means over the bands of the body."""
    width, height = (side / STRIDE for side in WINDOW_PX)
    person = PERSON_PX / STRIDE
    left = round(width / 2 - _HALF_WIDTH * person)
    top = (height - person) / 2
    rows = [round(top + share * person) for share in BANDS]
    across = features[..., left : round(width) - left]
    bands = [across[:, :, a:b].mean((2, 3)) for a, b in pairwise(rows)]
    return torch.stack(bands, dim=1)


@torch.inference_mode()
def both_ways(network: torch.nn.Module, pixels: npt.NDArray[np.uint8], device: str) -> Tensor:
    """Band features of windows (B, H, W, 3) RGB and of their mirror images, averaged: (B, 4, C).

    A mirrored window has thus the same features, to the last bits: who faces the camera faces it in a
    mirror as well.
    """
    rgb = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
    straight, flipped = (
        band_features(network.with_pyramid(view)[1][-1])  # type: ignore[operator]
        for view in (rgb, rgb.flip(-1))
    )
    return ((straight + flipped) / 2).cpu()


@cache
def load(path: str | Path | None = None) -> FacingReadout:
    """The embedded readout, or one that `crowd3d.training.facing_train` wrote.

    Raises:
        ModelError: the file is missing or damaged.
    """
    embedded = Path(str(resources.files("crowd3d"))) / "weights" / "facing.safetensors"
    where = embedded if path is None else Path(path)
    try:
        with safe_open(str(where), framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            weight, bias = file.get_tensor("weight").float(), float(file.get_tensor("bias"))
        return FacingReadout(
            weight, bias, metadata["network"], json.loads(metadata.get("facts", "{}"))
        )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"cannot read the facing readout {where}: {error}") from None
