"""Where somebody faces, read from the stages of a network for the pose of one person.

The keypoint maps of the default network are bistable for a blurred back: it may name left and right as of a
face; and whose shoulders look narrow it turns too little or too far. The features of facing-s, in a window that
the person fills, know more. `FacingReadout` tells the heading from their means over parts of the upright body,
as a density on the circle, so that doubt is told as well. It is trained on renders by
`crowd3d.training.facing.train`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from crowd3d import models
from crowd3d.errors import ModelError
from crowd3d.files.weights import tensors_hash
from crowd3d.models.facing_s import CHANNELS, STRIDE
from tiling import Tile

FloatArray = npt.NDArray[np.float64]

WINDOW_PX = (160, 256)  # width and height of the network's input for one person
PERSON_PX = 240.0  # height of the person in the middle of it
# Borders of head, shoulders, hips and legs below the top of the box, as shares of its height.
BANDS = (0.0, 0.16, 0.34, 0.56, 1.0)
COLUMNS = (-0.165, -0.055, 0.055, 0.165)  # borders beside the middle of the box, in the same unit
N_FEATURES = (len(BANDS) - 1) * (len(COLUMNS) - 1) * CHANNELS
_WIDTH = 128  # of the hidden layer
_MOST_SD = 6.0  # a feature further off tells nothing more
_DROPOUT = 0.5


class FacingReadout(nn.Module):
    """The heading of people from what is seen of them, a small perceptron.

    Attributes:
        mean, sd: (F,) of the features it was trained with.
        network: hash of the network whose features it reads.
        facts: what is known of its training.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, network: str, facts: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.network, self.facts = network, facts or {}
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.register_buffer("sd", torch.ones(N_FEATURES))
        self.hidden = nn.Linear(N_FEATURES, _WIDTH)
        self.answer = nn.Linear(_WIDTH, 2)

    def forward(self, seen: Tensor) -> Tensor:
        """(B, 2) how surely people face the picture's right, and how surely the camera.

        Natural parameters of a von Mises density of the heading: their direction is its mode, their length its
        concentration. A mirror image is answered by the mirrored heading.

        Args:
            seen: (B, 2, F) features of windows and of their mirror images, see `both_ways`.
        """
        x = ((seen - self.mean) / self.sd).clamp(-_MOST_SD, _MOST_SD)
        x = F.gelu(self.hidden(F.dropout(x, _DROPOUT, self.training)))
        straight, flipped = self.answer(F.dropout(x, _DROPOUT, self.training)).unbind(1)
        return torch.stack([straight[:, 0] - flipped[:, 0], straight[:, 1] + flipped[:, 1]], dim=1)


def person_window(box_px: FloatArray, index: int = 0) -> Tile:
    """The window about a person's box (4,) xyxy, in which the person is `PERSON_PX` tall."""
    height = max(float(box_px[3] - box_px[1]), 1.0)
    width_px, height_px = (side * height / PERSON_PX for side in WINDOW_PX)
    u, v = float(box_px[0] + box_px[2]) / 2, float(box_px[1] + box_px[3]) / 2
    corner = (u - width_px / 2, v - height_px / 2)
    return Tile(*corner, width_px, height_px, *WINDOW_PX, 0, index, (height, height))


def body_features(features: Tensor) -> Tensor:
    """(B, C, H/16, W/16) features of windows -> (B, F) means over the parts of the body, band by band."""
    middle_px, top_px = WINDOW_PX[0] / 2, (WINDOW_PX[1] - PERSON_PX) / 2
    rows = _cells([top_px + share * PERSON_PX for share in BANDS], features.shape[2])
    columns = _cells([middle_px + share * PERSON_PX for share in COLUMNS], features.shape[3])
    at = features.new_tensor
    return torch.einsum("bcvu,kv,ju->bkjc", features, at(rows), at(columns)).flatten(1)


def _cells(borders_px: list[float], count: int) -> FloatArray:
    """(K, count) shares of the cells of a row or column in what lies between borders; rows add up to 1."""
    edges = STRIDE * np.arange(count + 1.0)
    parts = [
        np.maximum(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0) / (end - begin)
        for begin, end in pairwise(borders_px)
    ]
    return np.stack(parts)


@torch.inference_mode()
def both_ways(network: nn.Module, pixels: npt.NDArray[np.uint8], device: str) -> Tensor:
    """(B, 2, F) features of windows (B, H, W, 3) RGB and of their mirror images."""
    rgb = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
    views = [body_features(network(view)) for view in (rgb, rgb.flip(-1))]
    return torch.stack(views, dim=1).cpu()


@cache
def network(device: str) -> tuple[nn.Module, str]:
    """facing-s on a device, and the hash of its weights.

    Raises:
        ModelError: its weights are missing or damaged.
    """
    built = models.build("facing-s").to(device)
    built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return built, tensors_hash(built)


@cache
def load(path: str | Path | None = None) -> FacingReadout:
    """The embedded readout, or one that `crowd3d.training.facing.train` wrote.

    Raises:
        ModelError: the file is missing or damaged.
    """
    embedded = Path(str(resources.files("crowd3d"))) / "weights" / "facing.safetensors"
    where = embedded if path is None else Path(path)
    try:
        with safe_open(str(where), framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            readout = FacingReadout(metadata["network"], json.loads(metadata.get("facts", "{}")))
            readout.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"cannot read the facing readout {where}: {error}") from None
    return readout.eval()
