"""Ground that is not one level plane: complete scenes, and the fit of camera and ground alone.

    OMP_NUM_THREADS=1 python benchmarks/ground_surface.py --cache DIR

Eight scenes are rendered once from seeds (as by `crowd3d synth`) and reconstructed twice with the default
settings: with the focal length in the picture's EXIF, as a 35 mm equivalent in whole millimetres, and without.
Nothing is tuned on them. "ground" is the shape that was found. People must be found if they are over 60 px tall
and at least 30 % visible. "feet m": median error in the height of the ground below those who were found; "in
90 %": whether the true focal length lies in the 90 % interval.

Then as many crowds on uneven ground as `--generated` says, and as many on level ground, each told by keypoints
with the noise of a detector: camera and ground are fitted with the focal length unknown, and known exactly.
Errors are medians over scenes, "in 90 %" the shares of scenes whose truth lies in the 90 % region, "said open"
the share of those reported to leave the focal length undetermined. Times are processor time, medians of three;
of 2,000 people some are told several times.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
from shared.exif_copies import with_focal_length
from shared.ground_fits import NOTHING, fits_table, times_table
from shared.rendered import Crowd, chosen, rendered
from shared.results import Cell, Table, save_option, show
from shared.score import (
    COLUMNS,
    SECONDS,
    Column,
    Row,
    matched,
    means_table,
    scene_table,
    score,
    with_place,
)
from shared.undrawn import LEVEL_PLACES, UNEVEN_PLACES, undrawn_crowds
from shared.uneven import SCENES, above_m
from shared.ways import answer_of

import crowd3d
from crowd3d import Scene
from crowd3d.synth import Truth

FROM_EXIF, UNKNOWN = "focal length from EXIF", "focal length unknown"
NO_SCENES = "none"
_USUAL = ("PPDS", "PA-PPDS", "recall", "precision", "position / distance", "focal length")
SCORES = (
    *(column for column in COLUMNS if column.heading in _USUAL),
    Column("focal in 90 %", "{:.2f}", lambda row: row["focal_in_90"]),
    Column("gravity, degrees", "{:.2f}", lambda row: row["gravity_deg"]),
    Column("feet m", "{:.2f}", lambda row: row["feet_m"]),
    SECONDS,
)
_FIRST_UNEVEN, _FIRST_LEVEL = 7000, 8000  # seeds that nothing else uses


def measured(crowd: Crowd, cache: Path, out: Path | None) -> dict[str, Row]:
    """Both reconstructions of a scene, scored.

    Args:
        out: folder for the files of the reconstructions; None keeps none.
    """
    picture, truth = rendered(crowd, cache)
    pictures = {FROM_EXIF: with_focal_length(picture, float(truth.focal_px)), UNKNOWN: picture}
    rows = {}
    for way, path in pictures.items():
        folder = None if out is None else out / f"{crowd.name}, {way}"
        start = time.perf_counter()
        scene = crowd3d.reconstruct(path, out=folder)
        seconds = time.perf_counter() - start
        rows[way] = {**scored(scene, truth), "seconds": seconds}
        click.echo(f"{crowd.name}, {way}: {seconds:.1f} s", err=True)
    return rows


def scored(scene: Scene, truth: Truth) -> Row:
    """The usual scores of a scene, and those of its ground."""
    answer = answer_of(scene)
    true, found = with_place(answer, matched(answer.keypoints_px, truth)).T
    above = above_m(truth, scene.people.hvip_m[found], true)
    report = scene.diagnostics["camera_report"] or {}
    low, high = report.get("focal_interval_90_px", (np.nan, np.nan))
    return {
        **score(answer, truth),
        "ground": scene.ground.kind if scene.planes else NOTHING,
        "feet_m": float(np.median(np.abs(above))) if len(above) else None,
        "focal_in_90": float(low <= truth.focal_px <= high),
    }


def surface_table(rows: dict[str, Row], title: str) -> Table:
    """A line for each scene, and their means."""
    each = scene_table(rows, SCORES, title)
    mean = means_table({f"mean of {len(rows)}": rows}, SCORES)
    kinds: list[Cell] = [*(row["ground"] for row in rows.values()), None]
    heading, *others = each.columns
    forms = {heading: "{}", "ground": "{}"} | {name: each.columns[name] for name in others}
    lines = zip([*each.rows, *mean.rows], kinds, strict=True)
    return Table(forms, [[name, kind, *cells] for (name, *cells), kind in lines], title)


@click.command(help=__doc__)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("ground_surface"), show_default=True
)
@click.option("--scenes", default="all", show_default=True, help="Names, comma separated; or none.")
@click.option(
    "--generated", default=100, show_default=True, help="Crowds of each kind; 0 for none."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the reconstructed scenes.")
@save_option
def main(cache: Path, scenes: str, generated: int, out: Path | None, save: bool) -> None:
    crowds = [] if scenes == NO_SCENES else chosen(SCENES, scenes)
    rows = {crowd.name: measured(crowd, cache, out) for crowd in crowds}
    tables = []
    if rows:
        ways = (FROM_EXIF, UNKNOWN)
        tables = [surface_table({n: r[way] for n, r in rows.items()}, way) for way in ways]
        show("ground_surface", tables, save=save)
    if generated:
        uneven = undrawn_crowds(UNEVEN_PLACES, generated, _FIRST_UNEVEN)
        level = undrawn_crowds(LEVEL_PLACES, generated, _FIRST_LEVEL)
        shapes = [
            fits_table(uneven, "all uneven", "Crowds on uneven ground, told by their keypoints."),
            fits_table(level, "all level", "Crowds on level ground, told by their keypoints."),
            times_table(),
        ]
        show("ground_shapes", shapes, save=save)


if __name__ == "__main__":
    main()
