"""Whole scenes against their truth: python benchmarks/syncrowd.py --cache DIR

Twelve crowds made from seeds are rendered once (`crowd3d synth`), reconstructed in several ways and scored:
the metrics of `crowd3d evaluate`, pose, stature, camera, and who is found by height in the picture. Nothing is
tuned on these twelve.
"""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any

import click
from shared.score import Crowd, rendered, score, table
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


@click.command()
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("syncrowd"), show_default=True
)
@click.option(
    "--ways", default="default", show_default=True, help=f"From: {', '.join(WAYS)}; or all."
)
@click.option("--scenes", default="all", show_default=True, help="Names, comma separated.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Everything measured.")
def main(cache: Path, ways: str, scenes: str, json_path: Path | None) -> None:
    """Render what is missing, reconstruct, score, print tables."""
    names = list(WAYS) if ways == "all" else [w.strip() for w in ways.split(",")]
    crowds = [c for c in CROWDS if scenes == "all" or c.name in scenes.split(",")]
    measured: dict[str, dict[str, Any]] = {name: {} for name in names}
    for crowd in crowds:
        image, truth = rendered(crowd, cache)
        for name in names:
            start = time.perf_counter()
            answer = WAYS[name](image, truth)
            seconds = time.perf_counter() - start
            measured[name][crowd.name] = {**score(answer, truth), "seconds": seconds}
            click.echo(f"{crowd.name}, {name}: {seconds:.1f} s", err=True)
    click.echo(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}\n"
    )
    for name, rows in measured.items():
        click.echo(table(rows, name) + "\n")
    if json_path is not None:
        json_path.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
