"""Writes everything that a run leaves in its folder, all files or none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.export import glb, predict_json, tables
from crowd3d.export import report as page
from crowd3d.export.bodies import crowd_mesh
from crowd3d.export.overlay import draw_overlay
from crowd3d.export.topview import draw_topview
from crowd3d.files import atomic
from crowd3d.progress import Reporter
from crowd3d.scene import level_regions, storage
from crowd3d.scene.scene import Scene

FILES = (
    "scene.json",
    "people.npz",
    "predict.json",
    "people.csv",
    "people.geojson",
    "scene.glb",
    "overlay.jpg",
    "topview.png",
    "report.html",
)
REGIONS = "regions.geojson"  # only of several levels


def write_all(
    scene: Scene,
    picture_rgb: npt.NDArray[np.uint8],
    out_dir: str | Path,
    body: Any,
    *,
    photo_ground: bool = False,
    report: Reporter | None = None,
) -> list[Path]:
    """Write all files of a run; they take their names together once all are complete.

    Args:
        picture_rgb: (H, W, 3) the photograph, or a smaller version of it.
        out_dir: created if missing; other files in it stay.
        body: the `crowd3d.body.BodyModel` named in the scene, at its coarse level.
        photo_ground: lay the photograph on the ground of scene.glb.
        report: told when a file is complete.

    Returns:
        The paths, in the order of `FILES`; that of `REGIONS` last, if planes have regions.

    Raises:
        OutputError: the folder cannot be written to; it then holds what it held before.
    """
    folder = Path(out_dir)
    mesh = crowd_mesh(scene, body)
    overlay = draw_overlay(scene, mesh, picture_rgb)
    topview = draw_topview(scene)
    laid = picture_rgb if photo_ground else None
    regions = [REGIONS] if any(plane.region is not None for plane in scene.planes) else []
    with atomic.staged(folder, last=storage.SCENE_FILE) as stage:
        writers: tuple[Callable[[], object], ...] = (
            lambda: storage.write(scene, stage),
            lambda: predict_json.write(scene, stage / "predict.json"),
            lambda: tables.write_csv(scene, stage / "people.csv"),
            lambda: tables.write_geojson(scene, stage / "people.geojson"),
            lambda: glb.write(scene, mesh, stage / "scene.glb", laid),
            lambda: atomic.write_bytes(stage / "overlay.jpg", page.encode(overlay, ".jpg")),
            lambda: atomic.write_bytes(stage / "topview.png", page.encode(topview, ".png")),
            lambda: page.write(scene, mesh, overlay, topview, stage / "report.html"),
            *(partial(level_regions.write, scene, stage / name) for name in regions),
        )
        if report is not None:
            report.start("write", len(writers))
        for write in writers:
            write()
            if report is not None:
                report.advance()
    return [folder / name for name in (*FILES, *regions)]
