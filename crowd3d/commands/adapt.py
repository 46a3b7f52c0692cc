"""crowd3d adapt: a network fitted to a scene."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crowd3d.commands.options import camera_options, config_option, device_option, quiet_option
from crowd3d.commands.terminal import progress_bars

if TYPE_CHECKING:
    from crowd3d.picture.camera_hint import CameraHint


@click.command()
@click.option(
    "--scene",
    required=True,
    metavar="IMAGE|FOLDER",
    type=click.Path(path_type=Path),
    help="A picture, or a folder of pictures of one place.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="crowd3dnet as .safetensors.  [default: the imported ones]",
)
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help=".safetensors to write."
)
@click.option(
    "--steps", default=300, show_default=True, type=click.IntRange(1), help="Steps of the fit."
)
@click.option(
    "--batch", default=8, show_default=True, type=click.IntRange(1), help="Patches in a step."
)
@click.option(
    "--learning-rate",
    default=5e-5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="How far the weights move in a step.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same weights.")
@click.option("--resume", is_flag=True, help="Go on with an unfinished run.")
@config_option()
@device_option
@camera_options
@quiet_option
def adapt(
    scene: Path,
    weights: Path | None,
    out: Path,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    resume: bool,
    config: str,
    device: str,
    camera: CameraHint,
    quiet: bool,
) -> None:
    """Fit crowd3dnet to one place, without labels.

    It learns from the 2D poses, camera and ground that are found in the pictures of --scene. Use what it writes
    with `crowd3d reconstruct --model`.
    """
    from crowd3d import config as configs
    from crowd3d.training.adapt.fit import Recipe
    from crowd3d.training.adapt.run import adapt_to_scene

    with progress_bars(quiet) as progress:
        done = adapt_to_scene(
            scene,
            weights,
            out,
            Recipe(steps=steps, batch=batch, learning_rate=learning_rate, seed=seed),
            camera=camera,
            config=configs.load(config),
            device=device,
            resume=resume,
            progress=progress,
        )
    if not quiet:
        click.echo(
            f"{out}: {done.steps} steps on {done.n_labels} people in {done.n_patches} patches, loss"
            f" {done.first_loss:.2f} -> {done.last_loss:.2f}"
        )
