"""Engines: what runs the networks that look at every part of a picture. torch is one of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from crowd3d.files.weights import tensors_hash
from crowd3d.models.registry import shared
from tiling import Tile

Pixels = npt.NDArray[np.uint8]
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Runner:
    """A network that is ready to run.

    Attributes:
        run: windows (B, H, W, 3) RGB, 0..255 -> the network's maps, each (B, C, h, w), float32, on the
            engine's device. It may be called from as many threads at once as `Engine.workers` says.
        weights_hash: SHA-256 of the network's tensors with their names.
    """

    run: Callable[[Pixels], tuple[Tensor, ...]]
    weights_hash: str

    def answer(self, function: Answer, pixels: Pixels, tiles: Sequence[Tile]) -> Arrays:
        """What a function makes of this network and a batch of windows, wherever that is computed."""
        return function(self, pixels, tiles)


Answer = Callable[[Runner, Pixels, Sequence[Tile]], Arrays]
"""From a network and the pixels (B, H, W, 3) of a batch to arrays; another process may be sent it."""


class Engine(Protocol):
    """How and where networks are run.

    Attributes:
        facts: all that the answers depend on besides the network and its input; plain JSON values.
        device: torch device on which the answers are.
        workers: from how many threads at once a runner gains.
        most_windows: with how many windows at once a runner gains.
    """

    facts: dict[str, Any]
    device: str
    workers: int
    most_windows: int

    def load(self, name: str, weights: str | Path = "embedded") -> Runner:
        """A network of `crowd3d.models.registry` with its weights.

        Raises:
            ModelError: as `registry.build`, or the engine has no graph of the network.
        """
        ...

    def rest(self) -> None:
        """Free the memory of all that can be made again in a moment."""
        ...


class TorchEngine:
    """Runs networks as they were trained, on any device that torch knows.

    Args:
        numbers: "float32", or "bfloat16" for matrix products and convolutions.
    """

    most_windows = 1024  # what fits into memory is for others to say

    def __init__(self, device: str = "cpu", numbers: str = "float32") -> None:
        self.device = device
        self._is_gpu = torch.device(device).type == "cuda"
        # While a GPU works on one batch, the next is prepared and copied.
        self.workers = 2 if self._is_gpu else 1
        self._numbers = numbers
        self._runners: dict[nn.Module, Runner] = {}
        self.facts: dict[str, Any] = {
            "name": "torch",
            "version": torch.__version__,
            "numbers": numbers,
            "device": device,
        }

    def load(self, name: str, weights: str | Path = "embedded") -> Runner:
        """See `Engine.load`."""
        network = shared(name, self.device, weights)
        if network not in self._runners:
            self._runners[network] = self._runner(network)
        return self._runners[network]

    def _runner(self, shared_one: nn.Module) -> Runner:
        # A copy, because the shared network must keep its memory layout.
        network = copy.deepcopy(shared_one)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

        def run(pixels: Pixels) -> tuple[Tensor, ...]:
            kind = torch.device(self.device).type
            is_short = self._numbers == "bfloat16"
            with (
                torch.inference_mode(),
                torch.autocast(kind, torch.bfloat16, enabled=is_short),
            ):
                found = network(self._on_device(pixels).permute(0, 3, 1, 2).float())
                maps = (found,) if isinstance(found, Tensor) else tuple(found)
                return tuple(each.float() for each in maps)

        return Runner(run, tensors_hash(network))

    def _on_device(self, pixels: Pixels) -> Tensor:
        host = torch.from_numpy(pixels)
        if not self._is_gpu:
            return host.to(self.device)
        # From pinned memory, or the copy would wait for the batch before.
        return host.pin_memory().to(self.device, non_blocking=True)

    def rest(self) -> None:
        """See `Engine.rest`; torch keeps nothing."""


@cache
def torch_engine(device: str = "cpu", numbers: str = "float32") -> TorchEngine:
    """The engine of a device; one for the whole process."""
    return TorchEngine(device, numbers)
