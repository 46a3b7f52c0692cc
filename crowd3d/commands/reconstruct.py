"""crowd3d reconstruct: pictures in, scenes out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from crowd3d.camera import PROJECTIONS
from crowd3d.camera_hint import AUTO
from crowd3d.config import CHOICES
from crowd3d.errors import OutputError


@click.command()
@click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for the result."
)
@click.option(
    "--model",
    metavar="NAME|FILE",
    help="crowd3d-s, crowd3dnet or a .safetensors file of either.  [default: crowd3d-s]",
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
@click.option(
    "--projection",
    type=click.Choice([AUTO, *PROJECTIONS]),
    default=AUTO,
    show_default=True,
    help="Of panoramas; auto reads the picture's metadata.",
)
@click.option(
    "--keypoints",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Your own 2D poses instead of the detector: AlphaPose, OpenPose (file or folder), COCO, 3DCrowdNet.",
)
@click.option(
    "--refine",
    "refiner",
    type=click.Choice(CHOICES["refiner"]),
    help="Network that looks again at people who overlap.  [default: none]",
)
@click.option(
    "--depth-prior",
    type=click.Choice(CHOICES["depth_prior"]),
    help="Let people's size in the picture speak for their distance.  [default: none]",
)
@click.option(
    "--fuse-looks/--no-fuse-looks",
    default=None,
    help="Pose from every look at a person, or from their keypoints joined.  [default: fuse]",
)
@click.option(
    "--max-planes",
    type=click.IntRange(1, 9),
    help="Look for up to so many levels of ground: terraces, platforms.  [default: 1]",
)
@click.option("--max-pixels", type=int, help="Refuse larger pictures.  [default: 4000000000]")
@click.option("--quiet", is_flag=True, help="No progress, no closing line.")
def reconstruct(
    images: tuple[Path, ...],
    out: Path,
    model: str | None,
    device: str,
    config: str,
    focal_px: float | None,
    fov_deg: float | None,
    camera_json: Path | None,
    projection: str,
    keypoints: Path | None,
    refiner: str | None,
    depth_prior: str | None,
    fuse_looks: bool | None,
    max_planes: int | None,
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
    chosen = {
        "refiner": refiner,
        "depth_prior": depth_prior,
        "fuse_looks": fuse_looks,
        "max_planes": max_planes,
        "max_pixels": max_pixels,
    }
    settings = settings.replace(**{k: v for k, v in chosen.items() if v is not None})
    names = [image.stem for image in images]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise OutputError(
            f"two pictures are called {duplicates[0]!r}; run them into different folders"
        )
    for image in images:
        folder = out if len(images) == 1 else out / image.stem
        camera = CameraHint(focal_px, fov_deg, camera_json, projection)
        with Progress(enabled=not quiet and sys.stderr.isatty()) as progress:
            scene = api.reconstruct(
                image,
                camera=camera,
                config=settings,
                model=model,
                device=device,
                out=folder,
                progress=progress,
                keypoints=keypoints,
            )
        if not quiet:
            click.echo(api.closing_line(scene, folder))
            taken = scene.diagnostics["projection"]
            if taken["kind"] != "perspective":
                click.echo(f"projection: {taken['kind']} ({taken['source']})")
            for warning in scene.diagnostics["warnings"]:
                click.echo(f"warning: {warning}", err=True)
