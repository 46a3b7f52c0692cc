"""Scores of complete scenes against their truth: python benchmarks/syncrowd.py --cache DIR

Twelve crowds are rendered once from seeds (as by `crowd3d synth`), reconstructed in one or several ways, and
scored: the metrics of `crowd3d evaluate`, pose, stature and camera. Nothing is tuned on these twelve. People
must be found if they are over 60 px tall and at least 30 % visible. For one way, the means of each kind of
scene are printed and saved (`syncrowd.json`); for several ways, the means of each way (`syncrowd_ways.json`).
"""

from __future__ import annotations

import time
from pathlib import Path

import click
from shared.choices import named
from shared.rendered import Crowd, chosen, rendered
from shared.results import save_option, show
from shared.score import Row, means_table, scene_table, score
from shared.ways import WAYS

CROWDS = (
    Crowd("largecrowd-1", "largecrowd", (9600, 3240), 250, 101),
    Crowd("largecrowd-2", "largecrowd", (9600, 3240), 250, 102),
    Crowd("largecrowd-3", "largecrowd", (9600, 3240), 350, 103),
    Crowd("largecrowd-4", "largecrowd", (9600, 3240), 350, 104),
    Crowd("wide-1", "wide", (6000, 3000), 150, 201),
    Crowd("wide-2", "wide", (6000, 3000), 150, 202),
    Crowd("street-1", "street", (4000, 2250), 60, 301),
    Crowd("street-2", "street", (4000, 2250), 60, 302),
    Crowd("phone", "phone", (4000, 3000), 40, 401),
    Crowd("telephoto", "telephoto", (6000, 4000), 120, 501),
    Crowd("terraced", "terrace", (6000, 3000), 150, 601),
    Crowd("dense", "dense", (9600, 5400), 1000, 701),
)


def by_kind(rows: dict[str, Row]) -> dict[str, dict[str, Row]]:
    """Group scenes of the same kind ("street-1", "street-2": "street, 2 scenes"), and add a group of all."""
    kinds: dict[str, dict[str, Row]] = {}
    for name, row in rows.items():
        kinds.setdefault(name.partition("-")[0], {})[name] = row
    groups = {
        kind if len(scenes) == 1 else f"{kind}, {len(scenes)} scenes": scenes
        for kind, scenes in kinds.items()
    }
    return groups | {f"mean of {len(rows)}": rows}


@click.command(help=__doc__)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("syncrowd"), show_default=True
)
@click.option(
    "--ways", default="default", show_default=True, help=f"From: {', '.join(WAYS)}; or all."
)
@click.option("--scenes", default="all", show_default=True, help="Names, comma separated.")
@save_option
def main(cache: Path, ways: str, scenes: str, save: bool) -> None:
    names = named(ways, WAYS, "way")
    measured: dict[str, dict[str, Row]] = {name: {} for name in names}
    for crowd in chosen(CROWDS, scenes):
        image, truth = rendered(crowd, cache)
        for name in names:
            start = time.perf_counter()
            answer = WAYS[name](image, truth)
            seconds = time.perf_counter() - start
            measured[name][crowd.name] = {**score(answer, truth), "seconds": seconds}
            click.echo(f"{crowd.name}, {name}: {seconds:.1f} s", err=True)
    for name, rows in measured.items():
        click.echo(scene_table(rows, title=name).markdown() + "\n")
    if len(names) == 1:
        show("syncrowd", [means_table(by_kind(measured[names[0]]))], save=save)
    else:
        show("syncrowd_ways", [means_table(measured, heading="way")], save=save)


if __name__ == "__main__":
    main()
