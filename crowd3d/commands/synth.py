"""crowd3d synth: crowds made to order, with their truth."""

from __future__ import annotations

import sys
from pathlib import Path

import click


def _size(_: click.Context, __: click.Parameter, value: str) -> tuple[int, int]:
    width, _x, height = value.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT, for example 6000x3000")
    return int(width), int(height)


@click.command()
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--people", default=120, show_default=True, help="How many are wanted.")
@click.option(
    "--size", default="4000x2000", show_default=True, callback=_size, help="WIDTHxHEIGHT."
)
@click.option("--preset", default="plaza", show_default=True, help="plaza, street, stadium, ...")
@click.option("--quiet", is_flag=True, help="No progress, no closing line.")
def synth(
    out: Path, seed: int, people: int, size: tuple[int, int], preset: str, quiet: bool
) -> None:
    """Render a photograph of a crowd with its exact truth into a folder."""
    from crowd3d.progress import Progress
    from crowd3d.synth import synthesize

    with Progress(enabled=not quiet and sys.stderr.isatty()) as progress:
        truth = synthesize(
            out, seed=seed, size=size, n_people=people, preset_name=preset, progress=progress
        )
    if not quiet:
        click.echo(f"{out / 'image.jpg'}: {len(truth.id)} people, {size[0]} x {size[1]} px")
