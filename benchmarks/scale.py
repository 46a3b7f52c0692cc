"""How one picture's time falls with the number of cores: python benchmarks/scale.py PICTURE

The picture is reconstructed on one core and on two (as many as `--cores` says), each time in a process of its
own that is kept to them. Every stage takes a + b / n seconds on n cores: b is shared among them, a is not. From
that follow the seconds for more cores than there are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import torch
from shared.results import Cell, Table, save_option, show
from speed import Stages

from crowd3d import reconstruct

_PREDICTED = (4, 8, 16)
Seconds = dict[str, float]


def measured(image: Path, cores: int) -> Seconds:
    """Seconds of each stage on so many cores, in a process of its own."""
    command = [sys.executable, __file__, str(image), "--inside", str(cores)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: Seconds = json.loads(done.stdout.splitlines()[-1])
    return found


def inside(image: Path, cores: int) -> Seconds:
    """Seconds of each stage in this process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    torch.set_num_threads(cores)
    stages = Stages()
    stages.start("open", 1)
    with tempfile.TemporaryDirectory() as folder:
        reconstruct(image, out=folder, progress=stages)
    stages.end()
    seconds: Seconds = {}
    for stage, _, spent in stages.rows:
        seconds[stage] = seconds.get(stage, 0.0) + spent
    return seconds


def shared_part(on_one: float, on_some: float, cores: int) -> tuple[float, float]:
    """a and b of a + b / n seconds, from the seconds on one core and on several; neither is negative."""
    b = max((on_one - on_some) / (1 - 1 / cores), 0.0)
    return max(on_one - b, 0.0), min(b, on_one)


def table(one: Seconds, some: Seconds, cores: int) -> Table:
    """A line for each stage, and one for all of them."""
    numbers = (1, cores, *_PREDICTED)
    columns = {"stage": "{}"}
    columns |= {f"{n} core{'s' if n > 1 else ''}, s": "{:.1f}" for n in numbers[:2]}
    columns |= {f"{n} cores, s (predicted)": "{:.1f}" for n in _PREDICTED}
    rows: list[list[Cell]] = []
    sums = [0.0] * len(numbers)
    for stage in one:
        a, b = shared_part(one[stage], some.get(stage, 0.0), cores)
        line = [one[stage], some.get(stage, 0.0), *(a + b / n for n in _PREDICTED)]
        rows.append([stage, *line])
        sums = [total + value for total, value in zip(sums, line, strict=True)]
    rows.append(["all", *sums])
    rows.append(["times as fast", *(sums[0] / total for total in sums)])
    return Table(columns, rows)


@click.command(help=__doc__)
@click.argument("picture", type=click.Path(exists=True, path_type=Path))
@click.option("--cores", type=click.IntRange(2), default=2, show_default=True)
@click.option("--inside", "here", type=int, hidden=True)
@save_option
def main(picture: Path, cores: int, here: int | None, save: bool) -> None:
    if here is not None:
        click.echo(json.dumps(inside(picture, here)))
        return
    one, some = measured(picture, 1), measured(picture, cores)
    show("scale", [table(one, some, cores)], save=save)


if __name__ == "__main__":
    main()
