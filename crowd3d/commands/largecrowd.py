"""crowd3d largecrowd: folders of crowd pictures in, one predict.json out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_MANY_WARNINGS = 10  # more are counted, not listed


@click.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The predict.json to write.",
)
@click.option("--split", help="train or test.  [default: every picture]")
@click.option("--static-camera", is_flag=True, help="One camera for all frames of a scene.")
@click.option("--resume", is_flag=True, help="Go on with a run that was killed.")
@click.option("--minimal", is_flag=True, help="Leave out hvip2d and hvip3d.")
@click.option(
    "--ground",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Take SCENE/ground.npy and SCENE/cam_para.npy from here instead of fitting them.",
)
@click.option(
    "--body",
    metavar="FILE.npz",
    type=click.Path(path_type=Path),
    help="Your own SMPL model, to answer in its betas.  [default: the body open]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--config", default="largecrowd", show_default=True, help="A preset's name or a YAML file."
)
@click.option("--quiet", is_flag=True, help="No progress, no closing line.")
def largecrowd(
    root: Path,
    out: Path,
    split: str | None,
    static_camera: bool,
    resume: bool,
    minimal: bool,
    ground: Path | None,
    body: Path | None,
    device: str,
    config: str,
    quiet: bool,
) -> None:
    """Reconstruct every picture below ROOT and write one predict.json for the benchmark.

    Pictures lie in ROOT/images/SCENE/, in ROOT/SCENE/, or side by side as SCENE_NUMBER.jpg. Finished frames are
    kept in FILE.journal until the end.
    """
    from crowd3d.batch.largecrowd import Options, predict_folder
    from crowd3d.progress import Progress

    options = Options(static_camera, minimal, ground, body)
    with Progress(enabled=not quiet and sys.stderr.isatty()) as progress:
        summary = predict_folder(
            root,
            out,
            options,
            split=split,
            resume=resume,
            config=config,
            device=device,
            progress=progress,
        )
    if quiet:
        return
    click.echo(
        f"{summary.n_people} people in {summary.n_frames} pictures of {summary.n_scenes} scenes -> {out}"
    )
    for warning in summary.warnings[:_MANY_WARNINGS]:
        click.echo(f"warning: {warning}", err=True)
    if len(summary.warnings) > _MANY_WARNINGS:
        click.echo(
            f"warning: and {len(summary.warnings) - _MANY_WARNINGS} more of the kind", err=True
        )
