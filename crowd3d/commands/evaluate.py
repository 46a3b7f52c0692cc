"""crowd3d evaluate: score predictions against the truth, or check the file they are in."""

from __future__ import annotations

from pathlib import Path

import click

from crowd3d.commands.terminal import warn

_MANY_WARNINGS = 10  # more are counted, not listed


@click.command()
@click.argument("pred", type=click.Path(path_type=Path))
@click.argument("gt", required=False, type=click.Path(path_type=Path))
@click.option(
    "--flavour",
    type=click.Choice(["scene", "largecrowd"]),
    default="scene",
    show_default=True,
    help="largecrowd: as the benchmark's authors define the numbers; scene: with their defects repaired.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write every number here."
)
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), help="Write a page with plots here."
)
@click.option("--check", is_flag=True, help="Only check that PRED is an exact predict.json.")
@click.option(
    "--body",
    metavar="FILE.npz",
    type=click.Path(path_type=Path),
    help="Your own SMPL model that PRED is told in.  [default: the embedded body]",
)
@click.option("--vertices", is_flag=True, help="Compare vertices too; both must be of one body.")
@click.option("--seed", default=0, show_default=True, help="Seed of the confidence intervals.")
def evaluate(
    pred: Path,
    gt: Path | None,
    flavour: str,
    json_file: Path | None,
    html_file: Path | None,
    check: bool,
    body: Path | None,
    vertices: bool,
    seed: int,
) -> None:
    """Score the predictions PRED against the truth GT.

    PRED is a predict.json, the folder of a run, a folder of such folders, or a file of 2D poses. GT is a data
    set (see `crowd3d data check`), a truth.npz of `crowd3d synth`, or a folder with one.
    """
    from crowd3d.errors import DataError
    from crowd3d.evaluate import report_html, table
    from crowd3d.evaluate.dataset import evaluate as run
    from crowd3d.evaluate.metrics.scene import Flavour
    from crowd3d.files import atomic, strict_json

    if check:
        _check(pred)
    if gt is None:
        if check:
            return
        raise DataError("give the truth to compare with, or --check to look at the file alone")
    chosen: Flavour = "largecrowd" if flavour == "largecrowd" else "scene"
    result = run(pred, gt, chosen, body=body, with_vertices=vertices, seed=seed)
    for line in table.lines(result):
        click.echo(line)
    if json_file is not None:
        atomic.write_text(json_file, strict_json.dumps(table.to_dict(result), indent=1))
    if html_file is not None:
        report_html.write(result, html_file, f"{pred.name} against {gt.name}")


def _check(path: Path) -> None:
    from crowd3d.evaluate.check import by_kind, check_predict

    found = check_predict(path)
    bodies = ", ".join(found.bodies) or "none"
    click.echo(
        f"{path}: well formed, {found.people} people in {found.pictures} pictures, body {bodies}"
    )
    warn(by_kind(found.warnings), at_most=_MANY_WARNINGS)
