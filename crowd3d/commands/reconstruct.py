"""crowd3d reconstruct: pictures in, scenes out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from crowd3d.commands.folders import folders_of, refuse_other_result
from crowd3d.commands.options import quiet_option, reconstruct_options
from crowd3d.commands.terminal import note, progress_bars, warn

_LARGE_BYTES = 2_000_000_000  # of memory and temporary file together


@click.command()
@click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the result; of several pictures each has its own in it.  [default: NAME_crowd3d]",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Spread each picture over this Ray cluster; auto is the one here.",
)
@click.option("--overwrite", is_flag=True, help="Replace the result of another run in the folder.")
@reconstruct_options
@quiet_option
def reconstruct(
    images: tuple[Path, ...],
    out: Path | None,
    ray: str | None,
    overwrite: bool,
    choices: dict[str, Any],
    quiet: bool,
) -> None:
    """Turn each IMAGE into a metric 3D scene.

    The scene of photos/panorama.jpg goes to panorama_crowd3d/ in the current folder, or where -o says.

    A result of another picture or of other settings is not overwritten without --overwrite. A run that was
    killed goes on when it is started again.
    """
    from crowd3d import api
    from crowd3d.scene.summary import closing_line

    folders = folders_of(images, out)
    if not overwrite:
        for image, folder in zip(images, folders, strict=True):
            refuse_other_result(folder, image, choices)
    for image, folder in zip(images, folders, strict=True):
        if not quiet:
            _tell_needs(image)
        with progress_bars(quiet) as progress:
            scene = api.reconstruct(image, out=folder, progress=progress, ray=ray, **choices)
        if not quiet:
            click.echo(closing_line(scene, folder))
            taken = scene.diagnostics["projection"]
            if taken["kind"] != "perspective":
                click.echo(f"projection: {taken['kind']} ({taken['source']})")
            warn(scene.diagnostics["warnings"])


def _tell_needs(image: Path) -> None:
    """Say what a large picture takes, before it is decoded."""
    import tiling

    with suppress(tiling.TilingError):  # told by the run itself
        with tiling.open_image(image) as source:
            needs = source.needs
        if needs.memory_bytes + needs.temporary_bytes > _LARGE_BYTES:
            megapixels = source.width * source.height / 1e6
            note(f"{image}: {megapixels:,.0f} megapixels take {needs.in_words}")
