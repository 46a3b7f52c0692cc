"""crowd3d largecrowd: folders of crowd pictures in, one predict.json out."""

from __future__ import annotations

from pathlib import Path

import click

from crowd3d.commands.options import config_option, device_option, quiet_option
from crowd3d.commands.terminal import progress_bars, warn

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
    help="Your own SMPL model, to answer in its betas.  [default: the embedded body]",
)
@device_option
@config_option("largecrowd")
@quiet_option
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
    """Write one predict.json for a folder of crowd pictures.

    It is in the format of the LargeCrowd benchmark. Pictures lie in ROOT/images/SCENE/, in ROOT/SCENE/, or
    side by side as SCENE_NUMBER.jpg. Finished frames are kept in FILE.journal until the end.
    """
    from crowd3d.batch.largecrowd import Options, predict_folder

    options = Options(static_camera, minimal, ground, body)
    with progress_bars(quiet) as progress:
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
    warn(summary.warnings, at_most=_MANY_WARNINGS)
