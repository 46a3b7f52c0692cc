"""What `reconstruct` and `batch` both may be told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from crowd3d.config import CHOICES
from crowd3d.picture.camera_hint import AUTO, CameraHint
from crowd3d.scene.camera import PROJECTIONS


def _is_renamed(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """`--refine` of version 0.1 is an error that tells the new name."""
    if value is not None:
        raise click.UsageError(
            "--refine is called --refine-crops now; to solve the whole scene together, use --refine-scene"
        )


_OPTIONS = (
    click.option(
        "--model",
        metavar="NAME|FILE",
        help="crowd3d-s, crowd3dnet or a .safetensors file of either.  [default: crowd3d-s]",
    ),
    click.option(
        "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."
    ),
    click.option(
        "--config", default="default", show_default=True, help="A preset's name or a YAML file."
    ),
    click.option("--focal-px", type=float, help="Focal length in pixels, if you know it."),
    click.option(
        "--fov", "fov_deg", type=float, help="Horizontal field of view in degrees, if you know it."
    ),
    click.option(
        "--camera",
        "camera_json",
        type=click.Path(path_type=Path),
        help="camera.json with the intrinsics.",
    ),
    click.option(
        "--projection",
        type=click.Choice([AUTO, *PROJECTIONS]),
        default=AUTO,
        show_default=True,
        help="Of panoramas; auto reads the picture's metadata.",
    ),
    click.option(
        "--keypoints",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Your own 2D poses instead of the detector: "
        "AlphaPose, OpenPose (file or folder), COCO, 3DCrowdNet.",
    ),
    click.option("--refine", callback=_is_renamed, expose_value=False, hidden=True),
    click.option(
        "--refine-pose/--no-refine-pose",
        default=None,
        help="Fit limbs to the keypoints after the lift.  [default: refine]",
    ),
    click.option(
        "--refine-crops",
        type=click.Choice(CHOICES["refine_crops"]),
        help="Network that looks again at people who overlap.  [default: none]",
    ),
    click.option(
        "--refine-scene/--no-refine-scene",
        default=None,
        help="Solve everybody's place, stature and posture together.  [default: no]",
    ),
    click.option(
        "--pose-expert",
        type=click.Choice(CHOICES["pose_expert"]),
        help="A second network's opinion of everybody's pose.  [default: none]",
    ),
    click.option(
        "--depth-prior",
        type=click.Choice(CHOICES["depth_prior"]),
        help="Let people's size in the picture speak for their distance.  [default: none]",
    ),
    click.option(
        "--fuse-looks/--no-fuse-looks",
        default=None,
        help="Pose from every look at a person, or from their keypoints joined.  [default: fuse]",
    ),
    click.option(
        "--max-planes",
        type=click.IntRange(1, 9),
        help="Look for up to so many levels of ground: terraces, platforms.  [default: 1]",
    ),
    click.option("--max-pixels", type=int, help="Refuse larger pictures.  [default: 4000000000]"),
)
_OF_CONFIG = (
    *("refine_pose", "refine_crops", "refine_scene"),
    *("pose_expert", "depth_prior", "fuse_looks", "max_planes", "max_pixels"),
)
_OF_CAMERA = ("focal_px", "fov_deg", "camera_json")


def reconstruct_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a command, which gets them together as `choices`.

    Those are keyword arguments of `crowd3d.reconstruct`: camera, config, model, device, keypoints.
    """

    @functools.wraps(command)
    def bundled(**values: Any) -> None:
        command(choices=_choices(values), **values)

    for option in reversed(_OPTIONS):
        bundled = option(bundled)
    return bundled


def _choices(values: dict[str, Any]) -> dict[str, Any]:
    """Takes the options above out of a command's values."""
    from crowd3d import config as configs

    camera = {name: values.pop(name) for name in _OF_CAMERA}
    if sum(known is not None for known in camera.values()) > 1:
        raise click.UsageError("give only one of --focal-px, --fov and --camera")
    chosen = {name: values.pop(name) for name in _OF_CONFIG}
    settings = configs.load(values.pop("config"))
    return {
        "camera": CameraHint(**camera, projection=values.pop("projection")),
        "config": settings.replace(**{k: v for k, v in chosen.items() if v is not None}),
        **{name: values.pop(name) for name in ("model", "device", "keypoints")},
    }
