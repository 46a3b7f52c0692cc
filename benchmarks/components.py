"""What each optional component adds in a crowd: python benchmarks/components.py --cache DIR

In these crowds, about three of ten people overlap another person (boxes with an IoU of 0.3 or more). Each crowd
is rendered once, and searched once by the default network. From there, scenes are made without and with each
component. Seconds are for finding everybody plus for making the scene with the component. Components whose
weights are not installed are named and left out. Nothing is tuned on these crowds.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from shared import stages
from shared.rendered import Crowd, chosen, rendered
from shared.results import Table, save_option, show
from shared.score import (
    FOCAL,
    HEIGHT,
    LIMBS,
    PA_MPJPE,
    POSITION,
    PPDS,
    SECONDS,
    Column,
    Row,
    intervals_hold,
    matched,
    means_table,
    scene_table,
    score,
    visible_people,
    with_place,
)
from shared.ways import answer_of

from crowd3d import Scene, evaluate
from crowd3d.config import Config
from crowd3d.errors import Crowd3dError
from crowd3d.picture.crops import Crops
from crowd3d.pipeline.find import Seen
from crowd3d.synth import Truth
from tiling import box_iou, open_image

CROWDS = (
    Crowd("largecrowd", "largecrowd", (6000, 2000), 80, 815),
    Crowd("plaza", "plaza", (4800, 2400), 180, 812),
    Crowd("park", "park", (4000, 2250), 90, 818),
    Crowd("street", "street", (4000, 2250), 60, 814),
    Crowd("wide", "wide", (5000, 2500), 120, 821),
)
OVERLAP_IOU = 0.3

ALONE: dict[str, Any] = {"refine_crops": "none", "depth_prior": "none", "fuse_looks": False}
ROWS: dict[str, dict[str, Any]] = {
    "default network alone": {},
    **{f"+ crop network {name}": {"refine_crops": name} for name in ("crowdnet-s", "3dcrowdnet")},
    **{f"+ depth prior {name}": {"depth_prior": name} for name in ("body", "rootnet", "rootnet-s")},
    "+ posterior fusion": {"fuse_looks": True},
}
ALL = "all"  # row with all components together


def everything(missing: dict[str, str]) -> dict[str, Any]:
    """The settings of all rows that can run, together; if two rows set the same key, the first one counts."""
    together: dict[str, Any] = {}
    for name, settings in ROWS.items():
        if name not in missing:
            together = settings | together
    return together


def overlapping(truth: Truth) -> npt.NDArray[np.bool_]:
    """(N,) whether a box has an IoU of at least `OVERLAP_IOU` with another; both people must be visible."""
    seen = np.flatnonzero(visible_people(truth))
    i, j = (seen[index] for index in np.triu_indices(len(seen), 1))
    close = box_iou(truth.boxes_px[i], truth.boxes_px[j]) >= OVERLAP_IOU
    answer = np.zeros(len(truth), bool)
    answer[i[close]] = answer[j[close]] = True
    return answer


def overlap_rate(truth: Truth) -> float:
    """Share of overlapping people among the visible people."""
    return float(overlapping(truth)[visible_people(truth)].mean())


def judge(scene: Scene, truth: Truth) -> Row:
    """The scores of syncrowd.py, and also PA-MPJPE of overlapping people and coverage of the 90 % intervals."""
    answer = answer_of(scene)
    row = score(answer, truth)
    pairs = with_place(answer, matched(answer.keypoints_px, truth))
    if not len(pairs) or answer.keypoints_m is None:
        return row
    true, pred = pairs.T
    errors_mm = evaluate.pa_mpjpe_mm(
        answer.keypoints_m[pred][:, LIMBS], truth.keypoints_m[true][:, LIMBS]
    )
    row["pa_overlapping_mm"] = float(np.nanmean(errors_mm[overlapping(truth)[true]]))
    row["holds_percent"] = 100 * float(intervals_hold(scene, truth, true, pred).mean())
    return row


COLUMNS = (
    PA_MPJPE,
    Column("of overlapping people", "{:.1f}", lambda r: r.get("pa_overlapping_mm")),
    PPDS,
    POSITION,
    Column("position m", "{:.2f}", lambda r: r.get("position_m")),
    Column("90 % interval holds", "{:.1f} %", lambda r: r.get("holds_percent")),
    FOCAL,
    HEIGHT,
    SECONDS,
)


def run_scene(
    crowd: Crowd, cache: Path, missing: dict[str, str]
) -> tuple[dict[str, Row], dict[str, float]]:
    """The rows of one crowd, and facts about it; components that cannot run are added to `missing`."""
    image, truth = rendered(crowd, cache)
    rows: dict[str, Row] = {}
    with open_image(image) as source:
        start = time.perf_counter()
        seen = stages.find(source)
        found_s = time.perf_counter() - start
        crops = Crops(source)
        for name in (*ROWS, ALL):
            if name in missing:
                continue
            settings = ROWS[name] if name in ROWS else everything(missing)
            config = stages.DEFAULT.replace(**(ALONE | settings))
            try:
                scene, seconds = _timed_scene(crowd, seen, config, crops)
            except (Crowd3dError, ImportError) as error:
                missing[name] = " ".join(str(error).split())
                click.echo(f"{name}: {missing[name]}", err=True)
                continue
            rows[name] = {**judge(scene, truth), "seconds": found_s + seconds}
            click.echo(f"{crowd.name}, {name}: {found_s:.1f} + {seconds:.1f} s", err=True)
    return rows, {"people": len(truth), "overlap": overlap_rate(truth)}


def _timed_scene(crowd: Crowd, seen: Seen, config: Config, crops: Crops) -> tuple[Scene, float]:
    start = time.perf_counter()
    scene = stages.scene_of(crowd.name, seen, crops.size_px, config, crops)
    return scene, time.perf_counter() - start


def crowds_table(facts: dict[str, dict[str, float]]) -> Table:
    """A table of how crowded each scene is."""
    lines = {name: [fact["people"], 100 * fact["overlap"]] for name, fact in facts.items()}
    people = [fact["people"] for fact in facts.values()]
    rates = [100 * fact["overlap"] for fact in facts.values()]
    lines["all, mean"] = [sum(people), float(np.mean(rates))]
    columns = {"scene": "{}", "people": "{}", "of whom overlap": "{:.0f} %"}
    return Table(columns, [[name, *line] for name, line in lines.items()])


@click.command(help=__doc__)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("components"), show_default=True
)
@click.option("--scenes", default="all", show_default=True, help="Names, comma separated.")
@save_option
def main(cache: Path, scenes: str, save: bool) -> None:
    missing: dict[str, str] = {}
    measured: dict[str, dict[str, Row]] = {name: {} for name in (*ROWS, ALL)}
    facts: dict[str, dict[str, float]] = {}
    for crowd in chosen(CROWDS, scenes):
        rows, facts[crowd.name] = run_scene(crowd, cache, missing)
        for name, row in rows.items():
            measured[name][crowd.name] = row
    measured = {name: by_scene for name, by_scene in measured.items() if by_scene}
    for name, by_scene in measured.items():
        click.echo(scene_table(by_scene, COLUMNS, name).markdown() + "\n")
    for name, reason in missing.items():
        click.echo(f"left out: {name}: {reason}")
    show("components", [means_table(measured, COLUMNS, "with"), crowds_table(facts)], save=save)


if __name__ == "__main__":
    main()
