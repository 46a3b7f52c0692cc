"""crowd3d adapt: a network fitted to a scene."""

from __future__ import annotations

import sys
from pathlib import Path

import click


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
@click.option("--steps", default=300, show_default=True, type=click.IntRange(1))
@click.option(
    "--batch", default=8, show_default=True, type=click.IntRange(1), help="Patches a step."
)
@click.option("--learning-rate", default=5e-5, show_default=True, type=click.FloatRange(0, 1))
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same weights.")
@click.option("--resume", is_flag=True, help="Go on with an unfinished run.")
@click.option(
    "--config", default="default", show_default=True, help="A preset's name or a YAML file."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--focal-px", type=float, help="Focal length in pixels, if you know it.")
@click.option("--fov", "fov_deg", type=float, help="Horizontal field of view in degrees.")
@click.option("--camera", "camera_json", type=click.Path(path_type=Path), help="camera.json.")
@click.option("--quiet", is_flag=True, help="No progress, no closing line.")
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
    focal_px: float | None,
    fov_deg: float | None,
    camera_json: Path | None,
    quiet: bool,
) -> None:
    """Fit crowd3dnet to a SCENE by its own 2D poses, camera and ground; use it with reconstruct --model."""
    from crowd3d import config as configs
    from crowd3d.picture.camera_hint import CameraHint
    from crowd3d.progress import Progress
    from crowd3d.training.adapt.fit import Recipe
    from crowd3d.training.adapt.run import adapt_to_scene

    if sum(option is not None for option in (focal_px, fov_deg, camera_json)) > 1:
        raise click.UsageError("give only one of --focal-px, --fov and --camera")
    with Progress(enabled=not quiet and sys.stderr.isatty()) as progress:
        done = adapt_to_scene(
            scene,
            weights,
            out,
            Recipe(steps=steps, batch=batch, learning_rate=learning_rate, seed=seed),
            camera=CameraHint(focal_px, fov_deg, camera_json),
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
