"""crowd3d reconstruct: pictures in, scenes out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from crowd3d.commands.options import reconstruct_options
from crowd3d.errors import OutputError


@click.command()
@click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for the result."
)
@reconstruct_options
@click.option("--quiet", is_flag=True, help="No progress, no closing line.")
def reconstruct(
    images: tuple[Path, ...],
    out: Path,
    choices: dict[str, Any],
    quiet: bool,
) -> None:
    """Turn each IMAGE into a 3D scene in the folder given with -o."""
    from crowd3d import api
    from crowd3d.progress import Progress
    from crowd3d.scene.summary import closing_line

    names = [image.stem for image in images]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise OutputError(
            f"two pictures are called {duplicates[0]!r}; run them into different folders"
        )
    for image in images:
        folder = out if len(images) == 1 else out / image.stem
        with Progress(enabled=not quiet and sys.stderr.isatty()) as progress:
            scene = api.reconstruct(image, out=folder, progress=progress, **choices)
        if not quiet:
            click.echo(closing_line(scene, folder))
            taken = scene.diagnostics["projection"]
            if taken["kind"] != "perspective":
                click.echo(f"projection: {taken['kind']} ({taken['source']})")
            for warning in scene.diagnostics["warnings"]:
                click.echo(f"warning: {warning}", err=True)
