"""The command line. Results go to files, progress to stderr, one closing line to stdout."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from crowd3d.errors import Crowd3dError, OutputError
from crowd3d.version import __version__


class _Group(click.Group):
    """Turns every error raised on purpose into one line and its exit code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Crowd3dError as error:
            click.echo(f"crowd3d: {' '.join(str(error).split())}", err=True)
            ctx.exit(error.exit_code)
        except MemoryError:
            click.echo("crowd3d: out of memory; try --config fast or a smaller picture", err=True)
            ctx.exit(3)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="crowd3d")
def main() -> None:
    """One huge photograph of a crowd in, one metric 3D scene out."""


@main.command()
@click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for the result."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--config", default="default", show_default=True, help="A preset's name or a YAML file."
)
@click.option("--focal-px", type=float, help="Focal length in pixels, if you know it.")
@click.option(
    "--fov", "fov_deg", type=float, help="Horizontal field of view in degrees, if you know it."
)
@click.option(
    "--camera",
    "camera_json",
    type=click.Path(path_type=Path),
    help="camera.json with the intrinsics.",
)
@click.option("--max-pixels", type=int, help="Refuse larger pictures.  [default: 4000000000]")
@click.option("--quiet", is_flag=True, help="No progress, no closing line.")
def reconstruct(
    images: tuple[Path, ...],
    out: Path,
    device: str,
    config: str,
    focal_px: float | None,
    fov_deg: float | None,
    camera_json: Path | None,
    max_pixels: int | None,
    quiet: bool,
) -> None:
    """Turn each IMAGE into a 3D scene in the folder given with -o."""
    from crowd3d import api
    from crowd3d import config as configs
    from crowd3d.camera_hint import CameraHint
    from crowd3d.progress import Progress

    if sum(option is not None for option in (focal_px, fov_deg, camera_json)) > 1:
        raise click.UsageError("give only one of --focal-px, --fov and --camera")
    settings = configs.load(config)
    if max_pixels is not None:
        settings = settings.replace(max_pixels=max_pixels)
    names = [image.stem for image in images]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise OutputError(
            f"two pictures are called {duplicates[0]!r}; run them into different folders"
        )
    for image in images:
        folder = out if len(images) == 1 else out / image.stem
        camera = CameraHint(focal_px=focal_px, fov_deg=fov_deg, camera_json=camera_json)
        with Progress(enabled=not quiet and sys.stderr.isatty()) as progress:
            scene = api.reconstruct(
                image, camera=camera, config=settings, device=device, out=folder, progress=progress
            )
        if not quiet:
            click.echo(api.closing_line(scene, folder))
            for warning in scene.diagnostics["warnings"]:
                click.echo(f"warning: {warning}", err=True)


def _size(_: click.Context, __: click.Parameter, value: str) -> tuple[int, int]:
    width, _x, height = value.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT, for example 6000x3000")
    return int(width), int(height)


@main.command()
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


@main.group()
def models() -> None:
    """Networks and body models."""


@models.command("convert-smpl")
@click.argument("pickle_file", metavar="FILE.pkl", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="  [default: FILE.npz]")
def convert_smpl(pickle_file: Path, out: Path | None) -> None:
    """Convert your own SMPL .pkl to a .npz once, without running any code inside it."""
    from crowd3d.body.convert import convert_smpl_pickle

    click.echo(convert_smpl_pickle(pickle_file, out or pickle_file.with_suffix(".npz")))


if __name__ == "__main__":
    main()
