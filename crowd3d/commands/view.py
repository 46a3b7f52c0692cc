"""crowd3d view: look at a finished scene."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from crowd3d.commands.terminal import warn
from crowd3d.errors import EnvironmentProblem, OutputError

_PAGE = "report.html"


@click.command()
@click.argument("scene_dir", type=click.Path(path_type=Path))
@click.option("--no-browser", is_flag=True, help="Only tell what is in it, and where its page is.")
def view(scene_dir: Path, no_browser: bool) -> None:
    """Show a scene: its page in the browser, its warnings here.

    The page in SCENE_DIR is `report.html`, which `crowd3d reconstruct` wrote; it needs no network.
    """
    from crowd3d.scene.scene import Scene
    from crowd3d.scene.summary import closing_line

    scene = Scene.load(scene_dir)
    page = scene_dir / _PAGE
    if not page.is_file():
        raise OutputError(
            f"{scene_dir} has no {_PAGE}; make it with `crowd3d export {scene_dir} -o FOLDER`"
        )
    click.echo(closing_line(scene, page))
    warn(scene.diagnostics.get("warnings", []))
    if not no_browser and not webbrowser.open(page.resolve().as_uri()):
        raise EnvironmentProblem(
            f"no browser can be opened here; open {page} in one, or use --no-browser"
        )
