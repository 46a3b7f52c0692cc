"""Measuring a benchmark: the machine it ran on, times, and peak memory."""

from __future__ import annotations

import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch

_CPU_FACTS = Path("/proc/cpuinfo")  # on Linux; on other systems `platform` is used
_CHILD = Path(__file__).with_name("child.py")


def machine_line() -> str:
    """Processor, cores, threads that torch uses, load and versions, but not the machine's name."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{processor()}, {os.cpu_count()} cores ({torch.get_num_threads()} used){load}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    )


def processor() -> str:
    """The model name of the processor if the system gives it, else its general name."""
    if _CPU_FACTS.exists():
        for line in _CPU_FACTS.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def peak_mb() -> float:
    """The peak memory of this process since its start, in MB."""
    return _in_mb(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _in_mb(maxrss: int) -> float:
    """Megabytes of a `ru_maxrss`, which is in bytes on macOS and in KiB elsewhere."""
    return maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@dataclass(frozen=True)
class Spent:
    """What a command took: seconds by the clock and of the processor, and memory."""

    seconds: float
    processor_s: float
    peak_mb: float


def run(command: Sequence[str]) -> Spent:
    """Run a command in a process of its own, and measure it.

    Raises:
        click.ClickException: the command failed.
    """
    start = time.perf_counter()
    measured = [sys.executable, str(_CHILD), *command]
    done = subprocess.run(measured, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise click.ClickException(
            f"{shlex.join(command)}: ended with exit code {done.returncode}: {last}"
        )
    maxrss, processor_s = done.stdout.split()[-2:]
    return Spent(seconds, float(processor_s), _in_mb(int(maxrss)))


@dataclass
class Times:
    """Seconds of every run of one job.

    Attributes:
        wall_s: elapsed (wall-clock) time.
        processor_s: processor time, which other programs disturb less.
    """

    wall_s: list[float]
    processor_s: list[float]

    @property
    def best_s(self) -> float:
        """Wall-clock time of the fastest run."""
        return min(self.wall_s)

    @property
    def median_s(self) -> float:
        """Median wall-clock time."""
        return statistics.median(self.wall_s)

    @property
    def median_processor_s(self) -> float:
        """Median processor time."""
        return statistics.median(self.processor_s)


def timed(work: Callable[[], object]) -> Times:
    """Time a single run without warm-up, for work that takes seconds."""
    return repeated(work, 1, warm_up=0)


def repeated(work: Callable[[], object], repeats: int, *, warm_up: int = 1) -> Times:
    """Time several runs, after `warm_up` runs that are not counted."""
    return taking_turns({"": work}, repeats, warm_up=warm_up)[""]


def taking_turns(
    jobs: dict[str, Callable[[], object]], repeats: int, *, warm_up: int = 1
) -> dict[str, Times]:
    """Time several jobs in turn: each runs once in every round, so that a busy machine slows all alike.

    Args:
        jobs: functions to time, by name.
        repeats: number of rounds that count.
        warm_up: number of rounds before, which do not count.
    """
    times = {name: Times([], []) for name in jobs}
    for turn in range(warm_up + repeats):
        for name, work in jobs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            if turn >= warm_up:
                times[name].wall_s.append(time.perf_counter() - wall)
                times[name].processor_s.append(time.process_time() - cpu)
    return times
