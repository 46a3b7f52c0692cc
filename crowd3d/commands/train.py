"""crowd3d train: the 3D heads of the network, from renders made on the way."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Weights, log, checkpoint."
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the folder.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop so long after tiles are ready.",
)
@click.option("--steps", type=click.IntRange(min=1), help="Instead of the recipe's.")
@click.option(
    "--tiles", type=click.IntRange(min=1), help="Tiles to learn from; fewer validate too."
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes that render.")
@click.option(
    "--motion",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of CMU motion capture (ASF, AMC) to take most poses from.",
)
@click.option("--quiet", is_flag=True, help="No progress, no closing line.")
def train(
    recipe: Path,
    out: Path,
    resume: bool,
    device: str,
    minutes: float | None,
    steps: int | None,
    tiles: int | None,
    workers: int | None,
    motion: Path | None,
    quiet: bool,
) -> None:
    """Train the 3D heads by a RECIPE (a YAML file, or the name of a shipped one: heads_cpu, heads_gpu).

    Writes heads.safetensors, heads.json with held-out numbers, train_log.jsonl, train.html and a checkpoint
    every few minutes; tiles that were rendered stay in the folder and are used again.
    """
    from crowd3d.networks import choose_device
    from crowd3d.progress import Progress
    from crowd3d.training.head_recipe import find_recipe, read_recipe
    from crowd3d.training.head_train import Training, check_folder, write_results

    page = read_recipe(find_recipe(recipe), steps=steps, tile_count=tiles, workers=workers)
    check_folder(out, resume)
    with Progress(enabled=not quiet and sys.stderr.isatty()) as progress:
        training = Training(page, out, motion, choose_device(device), progress)
        facts = training(minutes)
    write_results(training, facts)
    if not quiet:
        alone, now = facts["lift_alone"], facts["with_heads"]
        click.echo(
            f"{out / 'heads.safetensors'}: {facts['steps']} steps; {facts['held_out_people']} held-out"
            f" people: PA-MPJPE {alone['pa_mpjpe_mm']:.1f} -> {now['pa_mpjpe_mm']:.1f} mm, heading off by"
            f" over 90 deg {alone['heading_over_90_percent']:.1f} -> {now['heading_over_90_percent']:.1f} %"
        )
