"""crowd3d train: makes the weights that ship with the package, or others of the same networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from crowd3d.commands.options import Command, device_option, quiet_option, with_options
from crowd3d.commands.terminal import progress_bars

_FOLDER = click.Path(file_okay=False, path_type=Path)
_MOTION = click.Path(exists=True, file_okay=False, path_type=Path)
_RENDERS = click.option(
    "--renders",
    type=_FOLDER,
    help="Rendered pictures, kept for the next run.  [default: OUT/renders]",
)


def _common(recipe: str) -> Callable[[Command], Command]:
    """Options of every training; `recipe` is the page of the shipped weights."""
    options = (
        click.option(
            "-o", "--out", required=True, type=_FOLDER, help="Folder: weights, log, checkpoint."
        ),
        click.option(
            "--recipe",
            default=recipe,
            show_default=True,
            metavar="NAME|FILE",
            help="A shipped recipe, or a YAML file.",
        ),
        click.option("--steps", type=click.IntRange(1), help="Instead of the recipe's."),
        click.option("--resume", is_flag=True, help="Go on with the unfinished run in OUT."),
        device_option,
        quiet_option,
    )

    return lambda command: with_options(options, command)


@click.group()
def train() -> None:
    """Make the weights that ship, each by a recipe of one page.

    A run that was stopped goes on with --resume, and ends with the same weights.
    """


@train.command()
@click.option("--mocap", required=True, type=_MOTION, help="CMU motion capture, ASF and AMC.")
@click.option("--deepmimic", required=True, type=_MOTION, help="DeepMimic's clips, JSON.")
@_common("lift")
def lift(
    mocap: Path,
    deepmimic: Path,
    out: Path,
    recipe: str,
    steps: int | None,
    resume: bool,
    device: str,
    quiet: bool,
) -> None:
    """Train the lift, from motion capture.

    Writes lift.safetensors and lift.json.
    """
    from crowd3d.pipeline.networks import choose_device
    from crowd3d.training.lift.recipe import read_recipe
    from crowd3d.training.lift.train import train as train_lift

    page = read_recipe(recipe, steps=steps)
    with progress_bars(quiet) as progress:
        facts = train_lift(
            page,
            mocap,
            deepmimic,
            out,
            device=choose_device(device),
            resume=resume,
            progress=progress,
        )
    if not quiet:
        found = facts["held_out"]
        click.echo(
            f"{out / 'lift.safetensors'}: PA-MPJPE {found['pa_mpjpe_mm']:.1f} mm, heading off by"
            f" {found['heading_median_deg']:.1f} degrees (median) on held-out motion"
        )


@train.command()
@click.option("--mocap", type=_MOTION, help="CMU motion capture, if the recipe asks for it.")
@click.option("--deepmimic", type=_MOTION, help="DeepMimic's clips, likewise.")
@click.option(
    "--lift-recipe",
    default="lift",
    show_default=True,
    metavar="NAME|FILE",
    help="Recipe of the lift: which motion to train by, and which to judge by.",
)
@_RENDERS
@_common("crowdnet_s")
def crops(
    mocap: Path | None,
    deepmimic: Path | None,
    lift_recipe: str,
    renders: Path | None,
    out: Path,
    recipe: str,
    steps: int | None,
    resume: bool,
    device: str,
    quiet: bool,
) -> None:
    """Train crowdnet-s and rootnet-s, from rendered people.

    Writes one .safetensors and one .json each.
    """
    from crowd3d.errors import ConfigError
    from crowd3d.pipeline.networks import choose_device
    from crowd3d.training.crops.recipe import read_recipe
    from crowd3d.training.crops.train import needs_recorded, read_recorded
    from crowd3d.training.crops.train import train as train_crops
    from crowd3d.training.lift.recipe import read_recipe as read_lift_recipe

    page, recorded = read_recipe(recipe, steps=steps), None
    if needs_recorded(page):
        motion = read_lift_recipe(lift_recipe)
        if mocap is None or deepmimic is None:
            raise ConfigError(
                f"the recipe {recipe} asks for recorded poses: give --mocap and --deepmimic"
            )
        recorded = read_recorded(mocap, deepmimic, motion)
    with progress_bars(quiet) as progress:
        found = train_crops(
            page,
            renders or out / "renders",
            out,
            recorded,
            device=choose_device(device),
            resume=resume,
            progress=progress,
        )
    if not quiet:
        tables = found["crowdnet-s"].items()
        gains = (
            f"{t['before_mpjpe_mm']:.1f} -> {t['after_mpjpe_mm']:.1f} mm ({n})" for n, t in tables
        )
        click.echo(
            f"{out}: crowdnet-s.safetensors and rootnet-s.safetensors; MPJPE on held-out pictures"
            f" {', '.join(gains)}"
        )


@train.command()
@_RENDERS
@_common("facing")
def facing(
    renders: Path | None,
    out: Path,
    recipe: str,
    steps: int | None,
    resume: bool,
    device: str,
    quiet: bool,
) -> None:
    """Train the readout of where people face.

    Writes facing.safetensors and facing.json.
    """
    from crowd3d.pipeline.networks import choose_device
    from crowd3d.training.facing.recipe import read_recipe
    from crowd3d.training.facing.train import train as train_facing

    page = read_recipe(recipe, steps=steps)
    with progress_bars(quiet) as progress:
        facts = train_facing(
            page,
            renders or out / "renders",
            out,
            device=choose_device(device),
            resume=resume,
            progress=progress,
        )
    if not quiet:
        found = facts["held_out"]
        click.echo(
            f"{out / 'facing.safetensors'}: heading off by {found['sharp median_deg']:.1f} degrees (median) in"
            f" other scenes, {found['poor median_deg']:.1f} through a poor camera"
        )


@train.command()
@_RENDERS
@_common("glance")
def glance(
    renders: Path | None,
    out: Path,
    recipe: str,
    steps: int | None,
    resume: bool,
    device: str,
    quiet: bool,
) -> None:
    """Train glance-s, which says where somebody could be.

    Writes glance-s.safetensors and glance-s.json.
    """
    from crowd3d.pipeline.networks import choose_device
    from crowd3d.training.glance.recipe import read_recipe
    from crowd3d.training.glance.train import train as train_glance

    page = read_recipe(recipe, steps=steps)
    with progress_bars(quiet) as progress:
        facts = train_glance(
            page,
            renders or out / "renders",
            out,
            device=choose_device(device),
            resume=resume,
            progress=progress,
        )
    if not quiet:
        share = facts["held_out"]["0.99"]["blocks"]
        click.echo(
            f"{out / 'glance-s.safetensors'}: keeps 99 % of people in other scenes and"
            f" {share:.0%} of where nobody is"
        )


@train.command()
@_RENDERS
@_common("heads")
def heads(
    renders: Path | None,
    out: Path,
    recipe: str,
    steps: int | None,
    resume: bool,
    device: str,
    quiet: bool,
) -> None:
    """Train heads-s, which finds people by their heads.

    Writes heads-s.safetensors and heads-s.json.
    """
    from crowd3d.pipeline.networks import choose_device
    from crowd3d.training.heads.recipe import read_recipe
    from crowd3d.training.heads.train import train as train_heads

    page = read_recipe(recipe, steps=steps)
    with progress_bars(quiet) as progress:
        facts = train_heads(
            page,
            renders or out / "renders",
            out,
            device=choose_device(device),
            resume=resume,
            progress=progress,
        )
    if not quiet:
        found = facts["held_out"]["0.95"]["recall"]
        click.echo(
            f"{out / 'heads-s.safetensors'}: finds {found:.0%} of the heads in other scenes,"
            " 95 % of what it finds being heads"
        )


@train.command()
@_RENDERS
@click.option("-o", "--out", required=True, type=_FOLDER, help="Folder for chance.json.")
@click.option(
    "--recipe",
    default="chance",
    show_default=True,
    metavar="NAME|FILE",
    help="A shipped recipe, or a YAML file.",
)
@device_option
@quiet_option
def chance(renders: Path | None, out: Path, recipe: str, device: str, quiet: bool) -> None:
    """Fit the probability that a candidate is a person.

    Writes chance.json.
    """
    from crowd3d.training.chance.recipe import read_recipe
    from crowd3d.training.chance.train import train as train_chance

    page = read_recipe(recipe)
    with progress_bars(quiet) as progress:
        facts = train_chance(
            page, renders or out / "renders", out, device=device, progress=progress
        )
    if not quiet:
        found = facts["ground"]["held_out"]["precision 0.95"]
        click.echo(
            f"{out / 'chance.json'}: {found['recall']:.0%} of the people in other scenes are more probable than"
            f" {found['threshold']:.2f}, and 95 % of all that is so probable are people"
        )
