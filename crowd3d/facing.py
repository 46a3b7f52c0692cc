"""Whether somebody faces the camera, read from the stages of a network for the pose of one person.

The keypoint maps of the default network are bistable for a blurred back: it may name left and right as of a
face. The features of facing-s, in a window that the person fills, know more. A logistic readout of their means
over four bands of the upright body is trained on renders by `crowd3d.training.facing_train`; it is linear and
knows no place but the band, which leaves little room to learn what is peculiar to renders. A second readout,
of the same features and of what a mirror does to them, tells the heading.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from crowd3d import models
from crowd3d.errors import ModelError
from crowd3d.models.facing_s import STRIDE
from crowd3d.models.weights_file import tensors_hash
from tiling import Tile

FloatArray = npt.NDArray[np.float64]

WINDOW_PX = (160, 256)  # width and height of the network's input for one person
PERSON_PX = 240.0  # height of the person in the middle of it
# Borders of head, shoulders, hips and legs below the top of the box, as shares of its height.
BANDS = (0.0, 0.16, 0.34, 0.56, 1.0)
_HALF_WIDTH = 0.165  # of a band, as a share of the height


class Bands(NamedTuple):
    """What is seen of B people, band by band (B, 4, C).

    Attributes:
        even: means of a window and its mirror image; odd: half their difference, whose sign a mirror turns.
    """

    even: Tensor
    odd: Tensor


@dataclass(frozen=True)
class FacingReadout:
    """Weights of the readout.

    Attributes:
        weight: (4, C), of the even features; bias: of the sum.
        right: (4, C), of the odd features; towards: (4, C), of the even ones; towards_bias: of its sum.
        network: hash of the network whose features it reads.
        facts: what is known of its training.
    """

    weight: Tensor
    bias: float
    right: Tensor
    towards: Tensor
    towards_bias: float
    network: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> list[float]:
        """All numbers that answers depend on."""
        weights = torch.stack([self.weight, self.right, self.towards])
        return [self.bias, self.towards_bias, *weights.flatten().tolist()]

    def __call__(self, bands: Bands) -> Tensor:
        """(B,) log-odds of facing the camera against facing away."""
        total: Tensor = (bands.even * self.weight.to(bands.even)).sum((1, 2)) + self.bias
        return total

    def heading(self, bands: Bands) -> Tensor:
        """(B, 2) where people face: to the picture's right, and towards the camera; short where in doubt."""
        right = (bands.odd * self.right.to(bands.odd)).sum((1, 2))
        towards = (bands.even * self.towards.to(bands.even)).sum((1, 2)) + self.towards_bias
        return torch.stack([right, towards], dim=1)


def person_window(box_px: FloatArray, index: int = 0) -> Tile:
    """The window about a person's box (4,) xyxy, in which the person is `PERSON_PX` tall."""
    height = max(float(box_px[3] - box_px[1]), 1.0)
    width_px, height_px = (side * height / PERSON_PX for side in WINDOW_PX)
    u, v = float(box_px[0] + box_px[2]) / 2, float(box_px[1] + box_px[3]) / 2
    corner = (u - width_px / 2, v - height_px / 2)
    return Tile(*corner, width_px, height_px, *WINDOW_PX, 0, index, (height, height))


def band_features(features: Tensor) -> Tensor:
    """(B, C, H/16, W/16) features of windows -> (B, 4, C) means over the bands of the body."""
    middle_px, height_px = (side / 2 for side in WINDOW_PX)
    top_px, half_px = height_px - PERSON_PX / 2, _HALF_WIDTH * PERSON_PX
    rows = [
        _cells(top_px + a * PERSON_PX, top_px + b * PERSON_PX, features.shape[2])
        for a, b in pairwise(BANDS)
    ]
    columns = _cells(middle_px - half_px, middle_px + half_px, features.shape[3])
    at = features.new_tensor
    return torch.einsum("bcvu,kv,u->bkc", features, at(np.stack(rows)), at(columns))


def _cells(begin_px: float, end_px: float, count: int) -> FloatArray:
    """(count,) shares of the cells of a row or column in what lies between two places; they add up to 1."""
    edges = STRIDE * np.arange(count + 1.0)
    inside = np.minimum(edges[1:], end_px) - np.maximum(edges[:-1], begin_px)
    return np.asarray(np.maximum(inside, 0.0) / (end_px - begin_px))


@torch.inference_mode()
def both_ways(network: torch.nn.Module, pixels: npt.NDArray[np.uint8], device: str) -> Bands:
    """Band features of windows (B, H, W, 3) RGB and of their mirror images.

    Even features of a mirrored window are thus the same, to the last bits: who faces the camera faces it in a
    mirror as well, and who faces right faces left.
    """
    rgb = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
    straight, flipped = (band_features(network(view)) for view in (rgb, rgb.flip(-1)))
    return Bands(((straight + flipped) / 2).cpu(), ((straight - flipped) / 2).cpu())


@cache
def network(device: str) -> tuple[torch.nn.Module, str]:
    """facing-s on a device, and the hash of its weights.

    Raises:
        ModelError: its weights are missing or damaged.
    """
    built = models.build("facing-s").to(device)
    built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return built, tensors_hash(built)


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
            return FacingReadout(
                file.get_tensor("weight").float(),
                float(file.get_tensor("bias")),
                file.get_tensor("right").float(),
                file.get_tensor("towards").float(),
                float(file.get_tensor("towards_bias")),
                metadata["network"],
                json.loads(metadata.get("facts", "{}")),
            )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"cannot read the facing readout {where}: {error}") from None
