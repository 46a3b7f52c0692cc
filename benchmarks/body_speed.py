"""How long skinning a crowd takes: python benchmarks/body_speed.py [--people 1000] [--threads 2]

Prints the best and the median of several runs for each level of the embedded body, on random poses
and shapes, and writes JSON.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from pathlib import Path

import click
import torch

from crowd3d import body


def seconds(level: str, people: int, repeats: int) -> list[float]:
    """Run times of posing so many people, after one run that warms up."""
    model = body.load("open", level)
    generator = torch.Generator().manual_seed(0)
    pose = 0.4 * torch.randn(people, 24, 3, generator=generator)
    betas = torch.randn(people, 10, generator=generator)
    transl = torch.randn(people, 3, generator=generator)
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            model(pose, betas, transl)
            times.append(time.perf_counter() - start)
    return times[1:]


@click.command()
@click.option("--people", default=1000, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--repeats", default=7, show_default=True)
@click.option("--out", default="body_speed.json", type=click.Path(path_type=Path))
def main(people: int, threads: int, repeats: int, out: Path) -> None:
    """Time linear blend skinning."""
    torch.set_num_threads(threads)
    rows = {}
    for level in body.LEVELS:
        times = seconds(level, people, repeats)
        n_vertices = body.load("open", level).n_vertices
        rows[level] = {"best_s": min(times), "median_s": statistics.median(times)}
        click.echo(
            f"{level:6} {n_vertices:6,} vertices  {people} people: best {min(times):.3f} s, "
            f"median {statistics.median(times):.3f} s"
        )
    report = {"people": people, "threads": threads, "machine": platform.machine(), "rows": rows}
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
