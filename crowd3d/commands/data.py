"""crowd3d data: check and convert the files of data sets."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Data sets: check their files, convert their pickles."""


@data.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_name", help="Format of the data set, such as coco.  [default: recognised]"
)
def check(path: Path, format_name: str | None) -> None:
    """Read the data set in PATH and tell what is in it, or its first mistake."""
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
    """Convert a .pkl, or a .npy of objects, to a .npz once, without running any code inside it."""
    from crowd3d.data.pickles import convert_pickle

    click.echo(convert_pickle(pickle_file, out))
