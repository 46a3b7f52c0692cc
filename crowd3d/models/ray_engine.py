"""Networks on the cores of a Ray cluster: the picture stays here, its windows go to whichever core is free."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import torch

from crowd3d.errors import ConfigError, Crowd3dError, EnvironmentProblem
from crowd3d.models.engine import Answer, Arrays, Engine, Pixels, Runner, torch_engine
from crowd3d.models.openvino_engine import openvino_engine
from tiling import Tile

_MOST_WORKERS = 512  # each has a thread here that waits for it
_RETRIES = 10  # of a batch whose core was lost


@contextmanager
def cluster(address: str) -> Iterator[Any]:
    """Connect to a Ray cluster for the length of a `with` block, which gets the module `ray`.

    Args:
        address: "auto" for the cluster of this machine, "local" for a new one.

    Raises:
        EnvironmentProblem: Ray is not installed, the cluster is not there, or it is lost.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray must not send usage data
    try:
        import ray
    except ImportError:
        raise EnvironmentProblem(
            "--ray needs the package ray; install it: pip install 'crowd3d[ray]'"
        ) from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().split(". ")[0]
        raise EnvironmentProblem(f"there is no Ray cluster at {address!r}: {reason}") from None
    try:
        yield ray
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise EnvironmentProblem(f"Ray: {reason}") from None
    finally:
        ray.shutdown()  # ends all that this run has started in the cluster


@contextmanager
def spread_over(address: str | None) -> Iterator[Callable[[Engine], Engine]]:
    """For the length of a `with` block, a function that spreads an engine over a cluster.

    Args:
        address: see `cluster`; None leaves every engine as it is.

    Raises:
        EnvironmentProblem: see `cluster`.
        ConfigError: from the function, for an engine that does not run on processors.
    """
    if address is None:
        yield lambda engine: engine
        return
    with cluster(address) as ray:
        yield lambda engine: RayEngine(engine, ray)


def limit_threads(threads: int) -> None:
    """Keep torch and OpenCV in this process to so many threads."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


class RayEngine:
    """Runs another engine's networks on every core of a cluster.

    Answers are those of the engine itself. A batch whose core or machine is lost is given to another one.

    Args:
        engine: that also runs on the cluster, on one core for each batch.
        ray: the module, connected.

    Raises:
        ConfigError: the engine does not run on processors.
    """

    def __init__(self, engine: Engine, ray: Any) -> None:
        if engine.device != "cpu":
            raise ConfigError(
                f"--ray spreads a picture over processors, not over devices like {engine.device!r}"
            )
        self._engine = engine
        self._ray = ray
        self._remote = ray.remote(_answered).options(num_cpus=1, max_retries=_RETRIES)
        self.facts = engine.facts
        self.device = engine.device
        self.most_windows = engine.most_windows
        cores = int(ray.cluster_resources().get("CPU", 1))
        self.workers = max(1, min(cores, _MOST_WORKERS))

    def load(self, name: str, weights: str | Path = "embedded") -> Runner:
        """See `Engine.load`."""
        here = self._engine.load(name, weights)
        return _RemoteRunner(here.run, here.weights_hash, self, name, weights)

    def rest(self) -> None:
        """See `Engine.rest`."""
        self._engine.rest()

    def ask(self, *question: Any) -> Arrays:
        """The answer of `_answered` to the same arguments, from some core of the cluster."""
        try:
            found: Arrays = self._ray.get(self._remote.remote(self.facts, *question))
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, Crowd3dError):
                raise error.cause from None
            raise
        return found


@dataclass(frozen=True)
class _RemoteRunner(Runner):
    """A network whose batches are answered on the cluster.

    Attributes:
        engine: sends them there; name, weights: of the network, for the engines there.
    """

    engine: RayEngine
    name: str
    weights: str | Path

    def answer(self, function: Answer, pixels: Pixels, tiles: Sequence[Tile]) -> Arrays:
        """See `Runner.answer`."""
        network = self.name, self.weights, self.weights_hash
        return self.engine.ask(*network, function, pixels, tiles)


def _answered(
    facts: dict[str, Any],
    name: str,
    weights: str | Path,
    weights_hash: str,
    function: Answer,
    pixels: Pixels,
    tiles: Sequence[Tile],
) -> Arrays:
    """What a network says of a batch; runs in a process of the cluster.

    Raises:
        EnvironmentProblem: that process has another engine or other weights.
    """
    engine = _engine_there(facts["name"], facts["numbers"])
    network = engine.load(name, weights)
    for what, there, here in (
        ("engine", engine.facts, facts),
        ("weights", network.weights_hash[:16], weights_hash[:16]),
    ):
        if there != here:
            raise EnvironmentProblem(
                f"a machine of the Ray cluster has another {what} of {name} ({there}, here {here}); "
                "install the same versions everywhere"
            )
    return function(network, pixels, tiles)


@cache
def _engine_there(name: str, numbers: str) -> Engine:
    """The engine of a process of the cluster, on one core."""
    limit_threads(1)
    return torch_engine("cpu", numbers) if name == "torch" else openvino_engine(numbers)
