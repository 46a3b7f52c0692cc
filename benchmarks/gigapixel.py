"""What pictures of up to two gigapixels take, and who is found: python benchmarks/gigapixel.py --cache DIR

Pictures are made once, and each is reconstructed by `crowd3d reconstruct` in a process of its own. `panorama`
is the bundled demo; the people found in it should be found in its copies too: one in an empty picture (`wide`),
or many side by side (`mosaic`; each has a camera of its own, so only being found counts, and not the place).
`render` pictures are crowds with a truth, as in syncrowd.py; "recall" is then that of people over 60 px.
`empty`, `noise` and `foliage` show nobody.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyvips
from shared import machine, surfaces
from shared.copies import found_again
from shared.rendered import Crowd, rendered
from shared.results import Table, save_option, show, with_earlier
from shared.results import keep as keep_results
from shared.score import PPDS, SMALL_PX, Column, Row, percent, recall, scene_table, score
from shared.surfaces import Size
from shared.ways import answer_of

from crowd3d import Scene
from crowd3d.scene.people import People
from crowd3d.synth import Truth
from crowd3d.version import __version__

DEMO = Path(__file__).parents[1] / "docs" / "demo" / "plaza.jpg"
DEMO_PX = (4000, 2000)
REFERENCE = "panorama"
WIDE, GIGA, QUICK = (32000, 16000), (40000, 25000), (8000, 5000)
OUTSIDE_GREY = 114  # the grey that detectors are trained with around a picture


@dataclass(frozen=True)
class Picture:
    """A picture without a truth.

    Attributes:
        draw: makes it.
        corners_px: top-left corner of each copy of the panorama in it.
        quick: whether it belongs to the quick run.
    """

    name: str
    draw: Callable[[], pyvips.Image]
    corners_px: tuple[tuple[int, int], ...] = ()
    quick: bool = False


def panorama() -> pyvips.Image:
    """The bundled demo."""
    return pyvips.Image.new_from_file(str(DEMO))


def wide(
    name: str, ground: Callable[[Size], pyvips.Image], size: Size, quick: bool = False
) -> Picture:
    """The panorama in the middle of an empty picture."""
    corner = surfaces.middle(size, DEMO_PX)
    return Picture(name, lambda: surfaces.in_the_middle(panorama(), ground(size)), (corner,), quick)


def mosaic(name: str, columns: int, rows: int, quick: bool = False) -> Picture:
    """Copies of the panorama side by side."""
    width, height = DEMO_PX
    corners = tuple((x * width, y * height) for y in range(rows) for x in range(columns))
    return Picture(name, lambda: surfaces.mosaic(panorama(), columns, rows), corners, quick)


def nobody(kind: str, draw: Callable[[Size, int], pyvips.Image]) -> tuple[Picture, Picture]:
    """An empty picture of 40 megapixels, and one of a gigapixel."""
    return (
        Picture(f"{kind}-40m", lambda: draw(QUICK, 1), quick=True),
        Picture(f"{kind}-1g", lambda: draw(GIGA, 1)),
    )


def _grey(size: Size) -> pyvips.Image:
    return surfaces.plain(size, OUTSIDE_GREY)


PICTURES: tuple[Picture | Crowd, ...] = (
    Picture(REFERENCE, panorama, ((0, 0),), quick=True),
    wide("wide-quick", _grey, (8000, 6000), quick=True),
    wide("wide-grey", _grey, WIDE),
    wide("wide-black", lambda size: surfaces.plain(size, 0), WIDE),
    wide("wide-asphalt", lambda size: surfaces.asphalt(size, 1), WIDE),
    mosaic("mosaic-50m", 3, 2, quick=True),
    mosaic("mosaic-200m", 5, 5),
    mosaic("mosaic-1g", 11, 11),
    mosaic("mosaic-2g", 16, 19),
    Crowd("render-1", "gigapixel", (30000, 15000), 1000, 1),
    Crowd("render-2", "gigapixel", (30000, 15000), 1000, 2),
    *nobody("empty", surfaces.empty_place),
    *nobody("noise", surfaces.noise),
    *nobody("foliage", surfaces.foliage),
)
ALIASES = {"wide": "wide-grey"}

COLUMNS = (
    Column("megapixels", "{:,.0f}", lambda r: r["megapixels"]),
    Column("people", "{:,.0f}", lambda r: r.get("people")),
    Column("found", "{:,.0f}", lambda r: r["answers"]),
    Column("recall", "{:.1f} %", percent("recall")),
    Column("recall 25-60 px", "{:.1f} %", percent("recall_25_60")),
    Column("false", "{:,.0f}", lambda r: r.get("false")),
    Column("PPDS", PPDS.form, lambda r: PPDS.value(r) if "scene" in r else None),
    Column("tiles", "{:,.0f}", lambda r: r["tiles"]),
    Column("s", "{:,.0f}", lambda r: r["seconds"]),
    Column("processor s", "{:,.0f}", lambda r: r["processor_s"]),
    Column("peak memory MB", "{:,.0f}", lambda r: r["peak_mb"]),
    Column("looked at", "{:.1f} %", percent("looked_at")),
)


def chosen(names: str) -> list[Picture | Crowd]:
    """The pictures of a comma-separated list, "quick" or "all"; the panorama is among them if it is needed.

    Raises:
        click.BadParameter: there is no picture with that name.
    """
    if names == "all":
        return list(PICTURES)
    if names == "quick":
        return [p for p in PICTURES if isinstance(p, Picture) and p.quick]
    asked = {ALIASES.get(name.strip(), name.strip()) for name in names.split(",")}
    unknown = asked - {picture.name for picture in PICTURES}
    if unknown:
        raise click.BadParameter(f"no such picture: {', '.join(sorted(unknown))}")
    taken = [picture for picture in PICTURES if picture.name in asked]
    if any(isinstance(p, Picture) and p.corners_px for p in taken):
        taken = [p for p in PICTURES if p in taken or p.name == REFERENCE]
    return taken


def made(picture: Picture, cache: Path) -> Path:
    """The file of a picture; it is made only if it is not in the folder `cache` yet."""
    if picture.name == REFERENCE:  # as it is bundled, not compressed again
        return DEMO
    path = cache / f"{picture.name}.jpg"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        surfaces.save(picture.draw(), path)
    return path


def reconstructed(image: Path, options: list[str], keep: Path | None) -> tuple[Scene, Row]:
    """The scene of a picture, and what it took: the part of a row that needs no truth.

    Args:
        options: of `crowd3d reconstruct`.
        keep: folder for the result; None if nobody wants it.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = keep or Path(folder)
        if out.exists():  # what a killed run left would be gone on with
            shutil.rmtree(out)
        command = [sys.executable, "-m", "crowd3d", "reconstruct", str(image), "-o", str(out)]
        spent = machine.run([*command, "--quiet", *options])
        scene = Scene.load(out)
    return scene, {
        "megapixels": scene.camera.width * scene.camera.height / 1e6,
        "answers": len(scene.people),
        "tiles": scene.diagnostics.get("tiles"),
        "seconds": spent.seconds,
        "processor_s": spent.processor_s,
        "peak_mb": spent.peak_mb,
        "looked_at": looked_at(scene.diagnostics),
    }


def looked_at(diagnostics: dict[str, Any]) -> float | None:
    """Share of the picture that was looked at; None in a scene that does not say so."""
    coverage = diagnostics.get("coverage")
    if isinstance(coverage, dict):
        coverage = coverage.get("share")
    return float(coverage) if isinstance(coverage, int | float) else None


def compared(people: People, known: People, picture: Picture) -> Row:
    """How many of the panorama's people are found in its copies, and how many are nobody's."""
    found = found_again(people, known, picture.corners_px, DEMO_PX)
    height_px = np.tile(known.box_px[:, 3] - known.box_px[:, 1], (len(found), 1))
    return {
        "people": found.size,
        "recall": float(found.mean()) if found.size else None,
        "recall_25_60": recall(found, height_px, *SMALL_PX),
        "false": len(people) - int(found.sum()),
    }


def scored(scene: Scene, truth: Truth) -> Row:
    """The scores of a scene against its truth, under the names that `COLUMNS` show."""
    row = score(answer_of(scene), truth)
    true_ones = round(row["precision"] * row["answers"])
    return row | {"recall": row["recall_60"], "false": row["answers"] - true_ones}


def table(rows: dict[str, Row]) -> Table:
    """A line for each picture, with the version that was measured."""
    plain = scene_table(rows, COLUMNS, heading="picture")
    cells = [[*row, __version__] for row in plain.rows]
    return Table(plain.columns | {"version": "{}"}, cells, plain.title)


@click.command(help=__doc__)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("gigapixel"), show_default=True
)
@click.option(
    "--pictures",
    default="quick",
    show_default=True,
    help=f"From: {', '.join(p.name for p in PICTURES)}; or quick, or all.",
)
@click.option("--options", default="", help="Of crowd3d reconstruct, such as '--config fast'.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    help="Folder for the scenes; those of the same names are replaced.",
)
@save_option
def main(cache: Path, pictures: str, options: str, keep: Path | None, save: bool) -> None:
    rows: dict[str, Row] = {}
    known = People.empty()
    for picture in chosen(pictures):
        folder = keep / picture.name if keep else None
        if isinstance(picture, Crowd):
            image, truth = rendered(picture, cache)
        else:
            image = made(picture, cache)
        scene, row = reconstructed(image, shlex.split(options), folder)
        if isinstance(picture, Crowd):
            row |= scored(scene, truth)
        elif picture.name == REFERENCE:
            known = scene.people
        else:
            row |= compared(scene.people, known, picture)
        rows[picture.name] = row
        click.echo(table({picture.name: row}).markdown() + "\n", err=True)
        if save:  # the next picture may take an hour
            order = [p.name for p in PICTURES]
            keep_results("gigapixel", [with_earlier("gigapixel", table(rows), order)])
    show("gigapixel", [table(rows)], save=False)


if __name__ == "__main__":
    main()
