"""crowd3d data: check and convert the files of data sets."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Check the files of data sets, convert pickles."""


@data.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_name", help="Format of the data set, such as coco.  [default: recognised]"
)
def check(path: Path, format_name: str | None) -> None:
    """Tell what the data set in PATH holds, or its first mistake."""
    from crowd3d.data import load

    found = load(path, format_name)
    people = sum(len(frame) for frame in found.frames.values())
    ignored = sum(int(frame.is_ignored.sum()) for frame in found.frames.values())
    scenes = len({frame.scene for frame in found.frames.values()})
    click.echo(
        f"{path}: {found.name}, {len(found)} pictures of {scenes} scenes, {people} people, "
        f"{ignored} of them ignored"
    )


@data.command()
@click.argument("pickle_file", metavar="FILE.pkl", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="File to write.  [default: FILE.npz]"
)
def convert(pickle_file: Path, out: Path | None) -> None:
    """Convert a pickle to .npz once, running no code in it.

    FILE.pkl may also be a .npy of objects.
    """
    from crowd3d.data.pickles import convert_pickle

    click.echo(convert_pickle(pickle_file, out))
