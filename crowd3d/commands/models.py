"""crowd3d models: networks and body models."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def models() -> None:
    """Networks and body models."""


@models.command("convert-smpl")
@click.argument("pickle_file", metavar="FILE.pkl", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="  [default: FILE.npz]")
def convert_smpl(pickle_file: Path, out: Path | None) -> None:
    """Convert your own SMPL .pkl to a .npz once, without running any code inside it."""
    from crowd3d.body.convert import convert_smpl_pickle

    click.echo(convert_smpl_pickle(pickle_file, out or pickle_file.with_suffix(".npz")))
