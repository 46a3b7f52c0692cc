"""crowd3d models: networks and body models."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def models() -> None:
    """List networks, import published weights, convert bodies."""


@models.command("list")
def list_models() -> None:
    """List the networks: job, licence, whether installed.

    Of those that are published elsewhere also where their weights are had.
    """
    from crowd3d.models import catalog

    width = max(map(len, catalog.CATALOG))
    for entry in catalog.CATALOG.values():
        state = "installed" if catalog.is_installed(entry.name) else "not installed"
        click.echo(f"{entry.name:<{width}}  {state:<13}  {entry.job}")
        source = f"; weights: {entry.source}" if entry.source else ""
        click.echo(f"{'':<{width}}  {'':<13}  {entry.licence}{source}")
    click.echo(f"imported weights are kept in {catalog.installed_path('NAME')}")


@models.command("import")
@click.argument("name", metavar="NAME")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="File to write.  [default: in your data folder]",
)
def import_model(name: str, file: Path, out: Path | None) -> None:
    """Check a published checkpoint, and keep it as .safetensors.

    NAME is a network of `crowd3d models list`. FILE is a .pth, .pt, .pkl or .tar of plain tensors; one that
    would have to run code is refused. Imported weights are kept in your data folder, or below the folder that
    CROWD3D_HOME names.
    """
    from crowd3d.models.importing import import_checkpoint

    click.echo(import_checkpoint(name, file, out))


@models.command("convert-smpl")
@click.argument("pickle_file", metavar="FILE.pkl", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="File to write.  [default: FILE.npz]"
)
def convert_smpl(pickle_file: Path, out: Path | None) -> None:
    """Convert your own SMPL .pkl to .npz, running no code in it."""
    from crowd3d.body.convert import convert_smpl_pickle

    click.echo(convert_smpl_pickle(pickle_file, out or pickle_file.with_suffix(".npz")))
