"""crowd3d batch: many pictures in, a folder for each and one table out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from crowd3d.commands.options import quiet_option, reconstruct_options
from crowd3d.commands.terminal import note, progress_bars, warn
from crowd3d.errors import ImageError


@click.command()
@click.argument(
    "given", nargs=-1, required=True, metavar="ROOT|IMAGE...", type=click.Path(path_type=Path)
)
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for the results."
)
@click.option(
    "--shard",
    metavar="I/N",
    default="1/1",
    help="Do the I-th of N shares; every share may run on another machine.  [default: all]",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Pictures at a time; each takes 1 to 3 GB.  [default: 1; with --ray what fits]",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Threads of each worker.  [default: an equal share of the cores; with --ray 1]",
)
@click.option(
    "--ray", metavar="ADDRESS", help="Spread over this Ray cluster; auto is the one here."
)
@reconstruct_options
@quiet_option
def batch(
    given: tuple[Path, ...],
    out: Path,
    shard: str,
    workers: int | None,
    threads: int | None,
    ray: str | None,
    choices: dict[str, Any],
    quiet: bool,
) -> None:
    """Turn many pictures into 3D scenes and one table.

    They are all pictures below ROOT, and each IMAGE; the scene of ROOT/a/b.jpg goes to OUT/a/b/. A picture
    that fails does not stop the others; OUT/batch.csv tells of all. What is finished is not done again,
    unless the picture, the options or crowd3d have changed.
    """
    from tqdm import tqdm

    from crowd3d.batch.plan import parse_shard, passed_over, plan, told
    from crowd3d.batch.records import TABLE, Job
    from crowd3d.batch.run import FAILED, run

    def tell(kind: str, line: str) -> None:
        if kind == FAILED or not quiet:
            with tqdm.external_write_mode():  # above the bar
                if kind == FAILED:
                    note(f"failed: {line}")
                else:
                    click.echo(line)

    part = parse_shard(shard)
    tasks = plan(given, out)
    if left_out := told(passed_over(given)):
        warn([left_out])
    with progress_bars(quiet) as progress:
        summary = run(
            tasks,
            Job(**choices),
            out,
            shard=part,
            workers=workers,
            threads=threads,
            ray=ray,
            progress=progress,
            tell=tell,
        )
    if not quiet:
        click.echo(
            f"{summary.total} pictures: {summary.done} done, {summary.before} done before, "
            f"{summary.failed} failed -> {out / TABLE}"
        )
    if summary.failed:
        raise ImageError(
            f"{summary.failed} of {summary.total} pictures failed; {out / TABLE} tells why"
        )
