"""The engine for processors: OpenVINO, two to five times as fast as torch there."""

from __future__ import annotations

import queue
import sys
import threading
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crowd3d.errors import EnvironmentProblem
from crowd3d.files.weights import tensors_hash
from crowd3d.models import graphs
from crowd3d.models.engine import Pixels, Runner
from crowd3d.models.registry import shared
from tiling.memory import give_back

# The networks that "mixed" runs in bfloat16. One only rules places out, with a margin; the other only tells
# headings, whose error is far above what is lost. Measured: docs/benchmarks.md, "Engines".
_ROUGH = ("glance-s", "facing-s")
_MOST_WORKERS = 16  # each needs 100 MB for its maps


def is_installed() -> bool:
    """Whether OpenVINO is there; for some machines there is no wheel of it."""
    return find_spec("openvino") is not None


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16; otherwise OpenVINO uses float32 instead.

    Raises:
        EnvironmentProblem: OpenVINO is not installed.
    """
    return "BF16" in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def openvino() -> Any:
    """The library, without its telemetry: `import openvino` would report the import to its makers.

    Raises:
        EnvironmentProblem: it is not installed.
    """
    if sys.modules.get("openvino") is None:
        telemetry = sys.modules.get("openvino_telemetry")
        # None makes its import fail, and OpenVINO then uses a stub of its own.
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
        try:
            import_module("openvino")
        except ImportError as error:
            raise EnvironmentProblem(
                f"the engine openvino cannot be used ({error}); try --engine torch"
            ) from None
        finally:
            del sys.modules["openvino_telemetry"]
            if telemetry is not None:
                sys.modules["openvino_telemetry"] = telemetry
    return sys.modules["openvino"]


class OpenVinoEngine:
    """Runs networks on the processor, one window on each core.

    Args:
        numbers: "float32"; "bfloat16" for processors that have it; "mixed": bfloat16 where it changes nothing
            that matters.

    Raises:
        EnvironmentProblem: OpenVINO is not installed.
    """

    device = "cpu"
    most_windows = 1

    def __init__(self, numbers: str = "float32") -> None:
        library = openvino()
        self._core = library.Core()
        self._numbers = numbers
        self._runners: dict[nn.Module, Runner] = {}
        self._models: list[_Model] = []
        self.workers = min(torch.get_num_threads(), _MOST_WORKERS)
        self._settings = {
            "NUM_STREAMS": self.workers,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Several processes on one machine must not wait for the same core.
            "ENABLE_CPU_PINNING": False,
        }
        self.facts: dict[str, Any] = {
            "name": "openvino",
            "version": library.__version__.split("-")[0],
            "numbers": numbers,
            "device": "cpu",
        }

    def load(self, name: str, weights: str | Path = "embedded") -> Runner:
        """See `crowd3d.models.engine.Engine.load`."""
        network = shared(name, "cpu", weights)
        if network not in self._runners:
            xml, constants = graphs.read(name)
            model = _Model(self, name, xml, graphs.block(constants, network.state_dict()))
            self._models.append(model)
            self._runners[network] = Runner(model.run, tensors_hash(network))
        return self._runners[network]

    def rest(self) -> None:
        """See `crowd3d.models.engine.Engine.rest`."""
        for model in self._models:
            model.rest()
        give_back()

    def compiled(self, name: str, xml: bytes, block: Any, shape: tuple[int, ...]) -> Any:
        """A network's graph for windows of one shape."""
        library = openvino()
        graph = self._core.read_model(model=xml, weights=library.Tensor(block, shared_memory=True))
        graph.reshape(list(shape))
        is_short = self._numbers == "bfloat16" or (self._numbers == "mixed" and name in _ROUGH)
        hint = {"INFERENCE_PRECISION_HINT": "bf16" if is_short else "f32"}
        return self._core.compile_model(graph, "CPU", self._settings | hint)


@cache
def _engine(numbers: str, threads: int) -> OpenVinoEngine:
    """Remembered by its arguments; the number of threads is there for that alone."""
    return OpenVinoEngine(numbers)


def openvino_engine(numbers: str = "float32") -> OpenVinoEngine:
    """The engine for torch's number of threads; one for the whole process."""
    return _engine(numbers, torch.get_num_threads())


class _Model:
    """A network for windows of any size: it is compiled for each size that comes, and kept for the last."""

    def __init__(self, engine: OpenVinoEngine, name: str, xml: bytes, block: Any) -> None:
        self._engine, self._name, self._xml, self._block = engine, name, xml, block
        self._requests: dict[tuple[int, ...], queue.SimpleQueue[Any]] = {}
        self._lock = threading.Lock()

    def run(self, pixels: Pixels) -> tuple[Tensor, ...]:
        """See `Runner.run`. Windows go through one by one, so that no answer depends on its batch."""
        idle = self._idle((1, *pixels.shape[1:]))
        request = idle.get()
        try:
            parts = []
            for window in pixels:
                request.infer({0: np.ascontiguousarray(window)[None]})
                parts.append([tensor.data.copy() for tensor in request.output_tensors])
        finally:
            idle.put(request)
        return tuple(torch.from_numpy(np.concatenate(maps)) for maps in zip(*parts, strict=True))

    def rest(self) -> None:
        """Let all compiled graphs go."""
        with self._lock:
            self._requests.clear()

    def _idle(self, shape: tuple[int, ...]) -> queue.SimpleQueue[Any]:
        """Requests for windows of a shape that nobody uses now."""
        with self._lock:
            if shape not in self._requests:
                self._requests.clear()  # each size takes the memory of all maps of the network
                compiled = self._engine.compiled(self._name, self._xml, self._block, shape)
                self._requests[shape] = queue.SimpleQueue()
                for _ in range(self._engine.workers):
                    self._requests[shape].put(compiled.create_infer_request())
            return self._requests[shape]
