"""Options that several commands share, each spelled once."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from crowd3d.config import CHOICES
from crowd3d.picture.camera_hint import AUTO, CameraHint
from crowd3d.scene.camera import PROJECTIONS

Command = Callable[..., Any]
Option = Callable[[Command], Command]


class NumberList(click.ParamType):  # type: ignore[type-arg]
    """Numbers with commas between them, so many of them."""

    name = "numbers"

    def __init__(self, count: int) -> None:
        self.count = count

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != self.count or not all(map(math.isfinite, numbers)):
            self.fail(f"{value!r} is not {self.count} numbers with commas between them", param, ctx)
        return numbers


def config_option(default: str = "default") -> Option:
    """The settings of a run; each command has a preset of its own."""
    return click.option(
        "--config",
        metavar="NAME|FILE",
        default=default,
        show_default=True,
        help="A preset's name or a YAML file.",
    )


device_option: Option = click.option(
    "--device",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda, cuda:1, mps.",
)
quiet_option: Option = click.option("--quiet", is_flag=True, help="Say nothing but errors.")
_CAMERA: tuple[Option, ...] = (
    click.option("--focal-px", type=float, help="Focal length in pixels, if you know it."),
    click.option(
        "--fov", "fov_deg", type=float, help="Horizontal field of view in degrees, if you know it."
    ),
    click.option(
        "--camera",
        "camera_json",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="A calibrated camera: camera.json, OpenCV, COLMAP, Kalibr or a 3 x 3 matrix.",
    ),
    click.option(
        "--camera-height",
        "height_m",
        metavar="M",
        type=float,
        help="Height of the camera above the ground in metres, if you know it.",
    ),
    click.option(
        "--gravity",
        metavar="X,Y,Z",
        type=NumberList(3),
        help="Direction down in the camera frame: x right, y down, z forward.",
    ),
    click.option(
        "--plane",
        metavar="NX,NY,NZ,D",
        type=NumberList(4),
        help="The ground n.X + d = 0 in the camera frame, metres: gravity and height at once.",
    ),
)
_GROUND = ("height_m", "gravity", "plane")


def _is_renamed(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """`--refine` of version 0.1 is an error that tells the new name."""
    if value is not None:
        raise click.UsageError(
            "--refine is called --refine-crops now; to solve the whole scene together, use --refine-scene"
        )


_RECONSTRUCT: tuple[Option, ...] = (
    click.option(
        "--model",
        metavar="NAME|FILE",
        help="crowd3d-s, crowd3dnet or a .safetensors file of either.  [default: crowd3d-s]",
    ),
    device_option,
    click.option(
        "--engine",
        type=click.Choice(CHOICES["engine"]),
        help="What runs the networks.  [default: auto, openvino-mixed on processors]",
    ),
    config_option(),
    *_CAMERA,
    click.option(
        "--projection",
        type=click.Choice([AUTO, *PROJECTIONS]),
        default=AUTO,
        show_default=True,
        help="Of the picture; auto reads its metadata, and takes perspective if there is none.",
    ),
    click.option(
        "--keypoints",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Your own 2D poses instead of the detector: "
        "AlphaPose, OpenPose, COCO, MMPose and others, see formats.md; a file or a folder.",
    ),
    click.option(
        "--head-detector",
        type=click.Choice(CHOICES["head_detector"]),
        help="Another network for heads; see licences.md.  [default: none]",
    ),
    click.option("--refine", callback=_is_renamed, expose_value=False, hidden=True),
    click.option(
        "--refine-pose/--no-refine-pose",
        default=None,
        help="Fit limbs to the keypoints after the lift.  [default: on]",
    ),
    click.option(
        "--refine-crops",
        type=click.Choice(CHOICES["refine_crops"]),
        help="Network that looks again at people who overlap.  [default: none]",
    ),
    click.option(
        "--refine-scene/--no-refine-scene",
        default=None,
        help="Solve everybody's place, stature and posture together.  [default: off]",
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
        help="Pose from every look at a person, or from their keypoints joined.  [default: on]",
    ),
    click.option(
        "--ground",
        type=click.Choice(CHOICES["ground"]),
        help="Shape of the ground, if you know it; stands are stairs and tribunes, levels have steps "
        "between them.  [default: auto, what the people tell]",
    ),
    click.option(
        "--regions",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="GeoJSON polygons in pixels that tell who stands on which level, see formats.md.",
    ),
    click.option(
        "--max-planes",
        type=click.IntRange(1, 9),
        help="Look for up to so many levels of ground: terraces, platforms.  [default: 1]",
    ),
    click.option(
        "--precision",
        type=click.FloatRange(0.8, 0.99),
        help="Share of those found who shall be people; less finds more.  [default: 0.9]",
    ),
    click.option(
        "--min-person-px", type=float, help="Nobody smaller is looked for.  [default: 25]"
    ),
    click.option("--max-tiles", type=click.IntRange(1), help="Stop looking after so many tiles."),
    click.option(
        "--max-minutes",
        type=click.FloatRange(0, min_open=True),
        help="Stop looking after so long. Another run may then find other people.",
    ),
    click.option("--max-pixels", type=int, help="Refuse larger pictures.  [default: 4000000000]"),
    click.option(
        "--memory",
        "memory_gb",
        metavar="GB",
        type=click.FloatRange(0, min_open=True),
        help="Refuse pictures with which the program takes more.",
    ),
    click.option(
        "--damaged",
        is_flag=True,
        default=None,
        help="Read what is left of a damaged picture; the result says how much is missing.",
    ),
)
_OF_CONFIG = (
    *("refine_pose", "refine_crops", "refine_scene"),
    *("pose_expert", "depth_prior", "fuse_looks", "ground", "max_planes", "max_pixels"),
    *(
        "min_person_px",
        "max_tiles",
        "max_minutes",
        "engine",
        "memory_gb",
        "head_detector",
        "damaged",
    ),
)


def camera_options(command: Command) -> Command:
    """Adds what a user may know of the camera; the command gets it together as the hint `camera`."""

    @functools.wraps(command)
    def bundled(**values: Any) -> None:
        command(camera=CameraHint(**_take_camera(values)), **values)

    return with_options(_CAMERA, bundled)


def reconstruct_options(command: Command) -> Command:
    """Adds what `reconstruct` and `batch` may be told; the command gets it together as `choices`.

    Those are keyword arguments of `crowd3d.reconstruct`: camera, config, model, device, keypoints.
    """

    @functools.wraps(command)
    def bundled(**values: Any) -> None:
        command(choices=_take_choices(values), **values)

    return with_options(_RECONSTRUCT, bundled)


def with_options(options: Iterable[Option], command: Command) -> Command:
    """The command with the options, listed in this order by --help."""
    for option in reversed(tuple(options)):
        command = option(command)
    return command


def _take_camera(values: dict[str, Any]) -> dict[str, Any]:
    """Takes the camera's options out of a command's values; raises UsageError if they compete."""
    camera = {name: values.pop(name) for name in ("focal_px", "fov_deg", "camera_json")}
    if sum(known is not None for known in camera.values()) > 1:
        raise click.UsageError("give only one of --focal-px, --fov and --camera")
    ground = {name: values.pop(name) for name in _GROUND}
    if ground["plane"] is not None and (ground["gravity"] or ground["height_m"]) is not None:
        raise click.UsageError("give either --plane or --gravity and --camera-height")
    return camera | ground


def _take_choices(values: dict[str, Any]) -> dict[str, Any]:
    """Takes the options of `reconstruct` out of a command's values."""
    from crowd3d import config as configs

    told = {name: values.pop(name) for name in ("projection", "regions")}
    camera = CameraHint(**_take_camera(values), **told)
    settings = configs.load(values.pop("config"))
    chosen = {name: values.pop(name) for name in _OF_CONFIG}
    if (precision := values.pop("precision")) is not None:
        from crowd3d.detect.chance import least_for

        chosen["min_probability"] = least_for(precision)
    return {
        "camera": camera,
        "config": settings.replace(**{k: v for k, v in chosen.items() if v is not None}),
        **{name: values.pop(name) for name in ("model", "device", "keypoints")},
    }
