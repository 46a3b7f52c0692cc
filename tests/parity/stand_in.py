"""Stand-in weights: anyone can rebuild those behind the references in `data/`.

Each tensor is drawn from NumPy's legacy generator, seeded by the CRC-32 of its published name; its scale
follows from what the name's last part says it is.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

DATA = Path(__file__).parent / "data"


def published_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a published checkpoint."""
    shapes = json.loads((DATA / f"{name}.keys.json").read_text())
    return {key: tuple(shape) for key, shape in shapes.items()}


def tensor(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
    """The stand-in of one tensor, float32 (a counter: int64 zeros)."""
    part = name.rpartition(".")[2]
    if part == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    normal = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    x = normal.astype(np.float32)
    if part == "running_var":
        return np.float32(0.5) + np.abs(x)
    if part in ("running_mean", "bias"):
        return np.float32(0.1) * x
    if len(shape) < 2:
        return np.float32(0.5) + np.float32(0.05) * x
    return np.float32(np.sqrt(2 / np.prod(shape[1:]))) * x


def state_dict(name: str) -> dict[str, npt.NDArray[np.generic]]:
    """The whole stand-in checkpoint of a published network."""
    return {key: tensor(key, shape) for key, shape in published_shapes(name).items()}
