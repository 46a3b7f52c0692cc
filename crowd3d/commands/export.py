"""crowd3d export: a stored scene's files again, with another body if wished."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crowd3d.commands.options import quiet_option
from crowd3d.commands.terminal import warn
from crowd3d.errors import BodyError, OutputError, SceneError, printable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from crowd3d.body import BodyModel
    from crowd3d.scene.scene import Scene


@click.command()
@click.argument("scene_dir", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for the files."
)
@click.option(
    "--body",
    "body_path",
    metavar="FILE.npz",
    type=click.Path(path_type=Path),
    help="Your own SMPL model, to tell the scene in its parameters.  [default: the scene's body]",
)
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    help="The photograph, for the overlay.  [default: bodies on grey]",
)
@click.option(
    "--photo-ground",
    is_flag=True,
    help="Lay the photograph on the ground of scene.glb; needs --image.  [default: grey]",
)
@quiet_option
def export(
    scene_dir: Path,
    out: Path,
    body_path: Path | None,
    image: Path | None,
    photo_ground: bool,
    quiet: bool,
) -> None:
    """Write a scene's files again, for another body if wished.

    The scene is in SCENE_DIR; its files go to another folder. With --body, everybody keeps pose and
    foothold, and gets that body's shape of the same stature and bone lengths; predict.json then holds its
    betas. A .pkl is converted once by `crowd3d models convert-smpl`.
    """
    from crowd3d import body as bodies
    from crowd3d.export import write_all
    from crowd3d.export.rebody import rebody
    from crowd3d.scene.scene import Scene
    from crowd3d.scene.summary import headcount

    if photo_ground and image is None:
        raise click.UsageError("--photo-ground needs the photograph: give it with --image")
    if out.resolve() == scene_dir.resolve():
        raise OutputError(f"{out} holds the scene itself; choose another folder for the result")
    scene = Scene.load(scene_dir)
    body = bodies.load(body_path) if body_path is not None else _own_body(scene)
    if body.name != scene.body:
        scene = rebody(scene, _own_body(scene), body)
    write_all(scene, _picture(scene, image), out, body, photo_ground=photo_ground)
    if not quiet:
        line = f"{scene.image_name}: {headcount(scene.people)} as {scene.body} -> {out}"
        click.echo(printable(line))
        warn(scene.diagnostics.get("warnings", []))


def _own_body(scene: Scene) -> BodyModel:
    """The body the scene was made with."""
    from crowd3d import body as bodies

    if scene.body != "open":
        raise BodyError(
            f"the scene is told in the body {scene.body!r}, a file of yours: give it with --body, or "
            "start from the folder that `crowd3d reconstruct` wrote"
        )
    return bodies.load("open", "crowd")


def _picture(scene: Scene, image: Path | None) -> npt.NDArray[np.uint8]:
    """The photograph, or a grey picture of its shape."""
    import numpy as np

    import tiling
    from crowd3d.config import Config
    from crowd3d.picture.opening import translated_errors

    size = scene.camera.width, scene.camera.height
    longest = Config().overlay_px
    if image is None:
        scale = min(1.0, longest / max(size))
        return np.full((round(size[1] * scale), round(size[0] * scale), 3), 128, np.uint8)
    with translated_errors(), tiling.open_image(image, max_pixels=Config().max_pixels) as source:
        if (source.width, source.height) != size:
            raise SceneError(
                f"{image} has {source.width} x {source.height} px, the scene {size[0]} x {size[1]}"
            )
        return source.thumbnail(longest)
