"""Networks as graphs for an inference library: the layers in a file, the weights from where they always are.

A graph is an OpenVINO model without its weights, made from our own module by `crowd3d.models.export_graphs`.
Its constants point into one block of bytes: first the few numbers that are no weights, then the network's
tensors by their names. So weights are shipped once, and a graph serves every file of weights of its network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from crowd3d.errors import ModelError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

INDEX = "graphs.json"
_ALIGNED = 64  # bytes; every tensor begins at a multiple


def folder() -> Traversable:
    """Where graphs and their index are."""
    return resources.files("crowd3d") / "weights"


def block(constants: bytes, tensors: Mapping[str, Tensor]) -> npt.NDArray[np.uint8]:
    """The bytes into which a graph points."""
    parts = [_padded(constants)]
    for name in sorted(tensors):
        parts.append(_padded(tensors[name].detach().cpu().contiguous().numpy().tobytes()))
    # In a bytearray, because OpenVINO asks for memory that could be written to.
    return np.frombuffer(bytearray(b"".join(parts)), np.uint8)


def offsets(constants: bytes, tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Where each tensor begins in `block`."""
    at, found = len(_padded(constants)), {}
    for name in sorted(tensors):
        found[name] = at
        at += len(_padded(bytes(tensors[name].nbytes)))
    return found


def read(name: str) -> tuple[bytes, bytes]:
    """The graph of a network as XML, and the numbers in it that are no weights.

    Raises:
        ModelError: there is no graph of this network, or its file was changed.
    """
    known: dict[str, Any] = json.loads((folder() / INDEX).read_text("utf-8"))["graphs"]
    if name not in known:
        raise ModelError(f"there is no graph of {name!r}; run it with the engine torch")
    xml = (folder() / f"{name}.xml").read_bytes()
    if digest(xml) != known[name]["sha256"]:
        raise ModelError(f"the graph of {name!r} is damaged; install crowd3d again")
    return xml, bytes.fromhex(known[name]["constants"])


def digest(xml: bytes) -> str:
    """SHA-256 of a graph."""
    return hashlib.sha256(xml).hexdigest()


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNED)
