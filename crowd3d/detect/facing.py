"""Heading of a person (which way the body faces), read from the features of the network facing-s.

The keypoints of the default network are a poor guide to the heading. For a person seen from behind in a blurred
picture, the network may exchange left and right as if it saw the front. If the shoulders look narrow, the pose
is turned too little or too far. The features of facing-s, in a window that the person fills, know more. This
file cuts the windows and takes the means of the features over parts of the upright body. From these means,
`crowd3d.models.facing_readout` gives a density of the heading on the circle, so that uncertainty is expressed,
too. Its weights are made by `crowd3d train facing`.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crowd3d.errors import ModelError
from crowd3d.files.weights import read_weights, stamp_of
from crowd3d.models import catalog
from crowd3d.models.engine import Engine, Runner
from crowd3d.models.facing_readout import FacingReadout
from crowd3d.models.facing_s import CHANNELS, STRIDE
from tiling import Tile

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FloatArray = npt.NDArray[np.float64]

WINDOW_PX = (160, 256)  # width and height of the network's input for one person
PERSON_PX = 240.0  # height of the person in the middle of it
# Borders of head, shoulders, hips and legs below the top of the box, as shares of its height.
BANDS = (0.0, 0.16, 0.34, 0.56, 1.0)
COLUMNS = (-0.165, -0.055, 0.055, 0.165)  # borders beside the middle of the box, in the same unit
N_FEATURES = (len(BANDS) - 1) * (len(COLUMNS) - 1) * CHANNELS


def person_window(box_px: FloatArray, index: int = 0) -> Tile:
    """The window around a person's box (4,) xyxy, scaled so that the person is `PERSON_PX` tall in it."""
    height = max(float(box_px[3] - box_px[1]), 1.0)
    width_px, height_px = (side * height / PERSON_PX for side in WINDOW_PX)
    u, v = float(box_px[0] + box_px[2]) / 2, float(box_px[1] + box_px[3]) / 2
    corner = (u - width_px / 2, v - height_px / 2)
    return Tile(*corner, width_px, height_px, *WINDOW_PX, 0, index, (height, height))


def square_window(box_px: FloatArray, index: int = 0) -> Tile:
    """The window around the box (4,) of somebody who sits, lies or is cut off: a square a quarter larger."""
    side_px = 1.25 * max(float(box_px[2] - box_px[0]), float(box_px[3] - box_px[1]), 1.0)
    u, v = float(box_px[0] + box_px[2]) / 2, float(box_px[1] + box_px[3]) / 2
    corner = (u - side_px / 2, v - side_px / 2)
    tall_px = side_px / 1.25
    return Tile(*corner, side_px, side_px, WINDOW_PX[1], WINDOW_PX[1], 0, index, (tall_px, tall_px))


def body_features(features: Tensor) -> Tensor:
    """(B, C, H/16, W/16) feature maps of windows -> (B, F) means over the cells of BANDS x COLUMNS."""
    middle_px, top_px = WINDOW_PX[0] / 2, (WINDOW_PX[1] - PERSON_PX) / 2
    rows = _cells([top_px + share * PERSON_PX for share in BANDS], features.shape[2])
    columns = _cells([middle_px + share * PERSON_PX for share in COLUMNS], features.shape[3])
    at = features.new_tensor
    return torch.einsum("bcvu,kv,ju->bkjc", features, at(rows), at(columns)).flatten(1)


def _cells(borders_px: list[float], count: int) -> FloatArray:
    """(K, count) weights of the feature cells in each of K intervals between borders; rows add up to 1."""
    edges = STRIDE * np.arange(count + 1.0)
    parts = [
        np.maximum(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0) / (end - begin)
        for begin, end in pairwise(borders_px)
    ]
    return np.stack(parts)


@torch.inference_mode()
def both_ways(network: Runner, pixels: npt.NDArray[np.uint8]) -> Tensor:
    """(B, 2, F) features of windows (B, H, W, 3) RGB and of their mirror images."""
    mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
    views = [body_features(network.run(view)[0]) for view in (pixels, mirrored)]
    return torch.stack(views, dim=1).cpu()


def network(engine: Engine) -> Runner:
    """facing-s in an engine.

    Raises:
        ModelError: its weights are missing or damaged.
    """
    return engine.load("facing-s")


def load(path: str | Path | None = None) -> FacingReadout:
    """Load the embedded readout, or one that `crowd3d train facing` wrote.

    Each file is read once per process and shared, so do not change the result.

    Raises:
        ModelError: the file is missing or damaged.
    """
    return _load(path, stamp_of(_file(path)))


@cache
def _load(path: str | Path | None, stamp: tuple[str, int, int]) -> FacingReadout:
    """`load`, cached by its arguments. The stamp is used only for this: it differs if the file has changed."""
    where = _file(path)
    stored = read_weights(where)
    try:
        readout = FacingReadout(N_FEATURES, stored.metadata["network"], stored.facts)
        readout.load_state_dict(stored.tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{where} does not hold a facing readout: {error}") from None
    return readout.eval()


def _file(path: str | Path | None) -> Path | Traversable:
    return catalog.embedded_file("facing") if path is None else Path(path)
