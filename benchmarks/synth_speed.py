"""How fast crowds are rendered, and how much memory it takes: python benchmarks/synth_speed.py

Every case (preset, people, size) runs in a separate process, so that its peak memory can be measured.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

import click
import torch
from shared.machine import peak_mb, timed
from shared.results import Cell, Table, save_option, show

from crowd3d.synth import Truth, synthesize

CASES = ("plaza,300,6000x3000", "dense,1000,3000x1500", "largecrowd,300,12000x6000")
COLUMNS = {
    "preset, people, size": "{}",
    "people": "{:,}",
    "megapixels": "{:.1f}",
    "s": "{:.1f}",
    "processor s": "{:.1f}",
    "people a minute": "{:.0f}",
    "people a minute of one core's time": "{:.0f}",
    "peak memory MB": "{:.0f}",
    "picture MB": "{:.1f}",
}


def drawn(case: str, threads: int) -> list[Cell]:
    """Render one case into a temporary folder; returns its row of the table."""
    torch.set_num_threads(threads)
    preset, people, size = case.split(",")
    width, height = (int(side) for side in size.split("x"))
    options: dict[str, Any] = {"seed": 1, "size": (width, height), "preset_name": preset}
    with tempfile.TemporaryDirectory() as folder:
        times = timed(lambda: synthesize(folder, n_people=int(people), **options))
        bytes_written = (Path(folder) / "image.jpg").stat().st_size
        count = len(Truth.load(Path(folder) / "truth.npz"))
    seconds, cpu = times.best_s, times.median_processor_s
    return [
        case, count, width * height / 1e6, seconds, cpu, 60 * count / seconds, 60 * count / cpu,
        peak_mb(), bytes_written / 1e6,
    ]  # fmt: skip


@click.command(help=__doc__)
@click.option("--case", "cases", multiple=True, default=CASES, show_default=True)
@click.option("--threads", default=1, show_default=True)
@save_option
def main(cases: tuple[str, ...], threads: int, save: bool) -> None:
    torch.set_num_threads(threads)
    table = Table(COLUMNS, [])
    for case in cases:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            table.rows.append(pool.apply(drawn, (case, threads)))
        click.echo(f"{case}: drawn", err=True)
    show("synth_speed", [table], save=save)


if __name__ == "__main__":
    main()
