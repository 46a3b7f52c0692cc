"""crowd3d models: networks and body models."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def models() -> None:
    """Networks and body models."""


@models.command("list")
def list_models() -> None:
    """Every network: job, licence, whether installed, where the published weights are had."""
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
    """Check the published checkpoint FILE of network NAME, and keep it as .safetensors.

    FILE is a .pth, .pt, .pkl or .tar of plain tensors; one that would have to run code is refused.
    Imported weights are kept in your data folder, or below the folder that CROWD3D_HOME names.
    """
    from crowd3d.models.importing import import_checkpoint

    click.echo(import_checkpoint(name, file, out))


@models.command("convert-smpl")
@click.argument("pickle_file", metavar="FILE.pkl", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="File to write.  [default: FILE.npz]"
)
def convert_smpl(pickle_file: Path, out: Path | None) -> None:
    """Convert your own SMPL .pkl to a .npz once, without running any code inside it."""
    from crowd3d.body.convert import convert_smpl_pickle

    click.echo(convert_smpl_pickle(pickle_file, out or pickle_file.with_suffix(".npz")))
