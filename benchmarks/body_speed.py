"""How long skinning a crowd takes, for each level of the embedded body: python benchmarks/body_speed.py

Poses and shapes are random. Best and median are wall-clock times of several runs; other running programs make
them longer.
"""

from __future__ import annotations

import click
import torch
from shared.machine import Times, repeated
from shared.results import Table, save_option, show

from crowd3d import body


def skinning(level: str, people: int, repeats: int) -> Times:
    """Run times of posing `people` people."""
    model = body.load("open", level)
    generator = torch.Generator().manual_seed(0)
    pose = 0.4 * torch.randn(people, 24, 3, generator=generator)
    betas = torch.randn(people, 10, generator=generator)
    transl = torch.randn(people, 3, generator=generator)
    with torch.inference_mode():
        return repeated(lambda: model(pose, betas, transl), repeats)


def table(people: int, repeats: int) -> Table:
    """A table with a line for each level of the body."""
    columns = {"body": "{}", "vertices": "{:,}", "people": "{:,}"}
    columns |= {"best s": "{:.3f}", "median s": "{:.3f}"}
    result = Table(columns, [])
    for level in body.LEVELS:
        times = skinning(level, people, repeats)
        vertices = body.load("open", level).n_vertices
        result.rows.append([level, vertices, people, times.best_s, times.median_s])
    return result


@click.command(help=__doc__)
@click.option("--people", default=1000, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--repeats", default=7, show_default=True)
@save_option
def main(people: int, threads: int, repeats: int, save: bool) -> None:
    torch.set_num_threads(threads)
    show("body_speed", [table(people, repeats)], save=save)


if __name__ == "__main__":
    main()
