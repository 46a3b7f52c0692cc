"""crowd3d synth: crowds made to order, with their truth."""

from __future__ import annotations

import re
from pathlib import Path

import click

from crowd3d.commands.options import quiet_option
from crowd3d.commands.terminal import progress_bars
from optim.fisheye import KINDS as FISHEYES

MINI = "largecrowd-mini"  # a data set rather than one picture; its sizes are its own
# Size in pixels and people where they are not said; what is not named here is _PLAIN.
_PLAIN = ((4000, 2000), 120)
_OF_PRESET = {
    "gigapixel": ((30_000, 15_000), 1000),
    "festival": ((4000, 2600), 500),
    "parade": ((4000, 2600), 500),
    "platform": ((4000, 2600), 200),
    "far": ((4000, 2600), 500),
    "stands": ((4000, 2600), 500),
}


def _size(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    width, _x, height = value.lower().partition("x")
    if not re.fullmatch(r"[0-9]{1,9}x[0-9]{1,9}", value.lower()):
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT, for example 6000x3000")
    return int(width), int(height)


@click.command()
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the picture and its truth.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--people",
    type=int,
    default=None,
    show_default="120; stands, dense and far crowds, gigapixels more",
    help="How many people are wanted.",
)
@click.option(
    "--size",
    default=None,
    show_default="4000x2000; stands, dense and far crowds, gigapixels more",
    callback=_size,
    help="WIDTHxHEIGHT in pixels, up to 65500 each.",
)
@click.option(
    "--preset",
    default="plaza",
    show_default=True,
    help="plaza, street, festival, gigapixel, ..., stands, stairs, hillside, rolling, stage, split; or "
    "largecrowd-mini, a folder of two scenes.",
)
@click.option(
    "--projection",
    type=click.Choice(["perspective", *FISHEYES]),
    default="perspective",
    show_default=True,
    help="Of the camera.",
)
@click.option(
    "--fov",
    "fov_deg",
    type=float,
    help="Horizontal field of view, 15 to 110 degrees; of a fisheye 60 to 220, usually 180.",
)
@click.option("--height", "height_m", type=float, help="Height of the camera, 1.2 to 60 metres.")
@click.option(
    "--pitch", "pitch_deg", type=float, help="Downward tilt of the camera, -5 to 90 degrees."
)
@click.option("--roll", "roll_deg", type=float, help="Roll of the camera in degrees.")
@click.option("--segmentation", is_flag=True, help="Write segmentation.png, who is in each pixel.")
@click.option(
    "--motion",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of CMU motion capture (ASF, AMC) to take most poses from.",
)
@click.option(
    "--rasterizer",
    type=click.Choice(["embree", "pytorch3d", "auto"]),
    default="embree",
    show_default=True,
    help="embree on the CPU, pytorch3d on a GPU; auto is pytorch3d where that can be used.",
)
@quiet_option
def synth(
    out: Path,
    seed: int,
    people: int | None,
    size: tuple[int, int] | None,
    preset: str,
    segmentation: bool,
    motion: Path | None,
    rasterizer: str,
    quiet: bool,
    projection: str,
    **camera: float | None,
) -> None:
    """Render a photograph of a crowd, with its exact truth.

    What is not said of the camera is drawn at random within the preset's limits, the same for the same seed.
    """
    from crowd3d.synth import synthesize, with_camera
    from crowd3d.synth.place.presets import preset as preset_of

    if preset == MINI:
        _mini(out, seed, quiet)
        return
    usual_size, usual_people = _OF_PRESET.get(preset, _PLAIN)
    size = size or usual_size
    with progress_bars(quiet) as progress:
        truth = synthesize(
            out,
            seed=seed,
            size=size,
            n_people=usual_people if people is None else people,
            preset_name=with_camera(preset_of(preset), projection=projection, **camera),
            segmentation=segmentation,
            rasterizer=rasterizer,
            motion=motion,
            progress=progress,
        )
    if not quiet:
        click.echo(f"{out / 'image.jpg'}: {len(truth.id)} people, {size[0]} x {size[1]} px")


def _mini(out: Path, seed: int, quiet: bool) -> None:
    from crowd3d.synth.mini import synthesize_largecrowd

    with progress_bars(quiet) as progress:
        pictures = synthesize_largecrowd(out, seed=seed, progress=progress)
    if not quiet:
        click.echo(f"{out}: {len(pictures)} pictures in the layout of LargeCrowd")
