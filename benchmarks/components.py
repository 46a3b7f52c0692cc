"""What each component adds in a crowd: python benchmarks/components.py --cache DIR

Crowds in which about three of ten people overlap somebody (box IoU of 0.3 and more) are rendered once, found
once by the default network, and told by the pipeline without and with each component. Seconds are those of
finding everybody plus those of the component's own run from there. Components whose weights are not there are
named and left out. Nothing is tuned on these crowds.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import roma
import torch
from shared.score import (
    LIMBS,
    MIN_VISIBLE,
    Column,
    Crowd,
    cell_of,
    matched,
    mean_of,
    rendered,
    score,
    table,
)
from shared.ways import answer_of

from crowd3d import Scene, evaluate
from crowd3d import config as configs
from crowd3d.config import Config
from crowd3d.errors import Crowd3dError
from crowd3d.maths import posterior
from crowd3d.picture.crops import Crops
from crowd3d.pipeline import assemble
from crowd3d.pipeline.find import Seen, find_people
from crowd3d.pipeline.networks import build_detector
from crowd3d.progress import Progress
from crowd3d.synth import Truth
from crowd3d.training.lift.metrics import JUDGED
from tiling import box_iou, open_image

CROWDS = (
    Crowd("largecrowd", "largecrowd", (6000, 2000), 80, 815),
    Crowd("plaza", "plaza", (4800, 2400), 180, 812),
    Crowd("park", "park", (4000, 2250), 90, 818),
    Crowd("street", "street", (4000, 2250), 60, 814),
    Crowd("wide", "wide", (5000, 2500), 120, 821),
)
OVERLAP_IOU = 0.3
_MASS = 0.9


ALONE: dict[str, Any] = {"refine_crops": "none", "depth_prior": "none", "fuse_looks": False}
ROWS: dict[str, dict[str, Any]] = {
    "default network alone": {},
    **{f"+ refiner {name}": {"refine_crops": name} for name in ("crowdnet-s", "3dcrowdnet")},
    **{f"+ depth prior {name}": {"depth_prior": name} for name in ("body", "rootnet", "rootnet-s")},
    "+ posterior fusion": {"fuse_looks": True},
}


def everything(missing: dict[str, str]) -> dict[str, Any]:
    """The settings of all rows that run, of two of one kind the first."""
    together: dict[str, Any] = {}
    for name, settings in ROWS.items():
        if name not in missing:
            together = settings | together
    return together


def overlapping(truth: Truth) -> npt.NDArray[np.bool_]:
    """(N,) whose box meets somebody else's with an IoU of `OVERLAP_IOU`, of people who can be seen."""
    seen = np.flatnonzero((truth.visibility >= MIN_VISIBLE) & (truth.inside >= 0.5))
    i, j = (seen[index] for index in np.triu_indices(len(seen), 1))
    close = box_iou(truth.boxes_px[i], truth.boxes_px[j]) >= OVERLAP_IOU
    answer = np.zeros(len(truth), bool)
    answer[i[close]] = answer[j[close]] = True
    return answer


def overlap_rate(truth: Truth) -> float:
    """Share of overlapping people among those who can be seen."""
    seen = (truth.visibility >= MIN_VISIBLE) & (truth.inside >= 0.5)
    return float(overlapping(truth)[seen].mean())


def judge(scene: Scene, truth: Truth) -> dict[str, Any]:
    """The numbers of `syncrowd`, and those of overlapping people and of the error bars."""
    answer = answer_of(scene)
    row = score(answer, truth)
    pairs = matched(answer.keypoints_px, truth)
    if not len(pairs) or answer.keypoints_m is None:
        return row
    true, pred = pairs.T
    errors_mm = evaluate.pa_mpjpe_mm(
        answer.keypoints_m[pred][:, LIMBS], truth.keypoints_m[true][:, LIMBS]
    )
    row["pa_overlapping_mm"] = float(np.nanmean(errors_mm[overlapping(truth)[true]]))
    row["coverage"] = float(inside(scene, truth, true, pred).mean())
    row["position_m"] = float(
        np.median(np.linalg.norm(answer.torso_m[pred] - truth.torso_m[true], axis=1))
    )
    return row


def inside(
    scene: Scene, truth: Truth, true: npt.NDArray[np.int64], pred: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """(K, J) whether the true rotation lies within the angle that claims 90 % of the probability."""
    fisher = torch.from_numpy(scene.people.fisher[pred][:, list(JUDGED)])
    rotation = roma.rotvec_to_rotmat(torch.from_numpy(truth.pose[true][:, list(JUDGED)]))
    error = posterior.angle_between(posterior.mode(fisher), rotation)
    return np.asarray((error < posterior.credible_angle(fisher, _MASS)).numpy())


_COLUMNS: dict[str, Column] = {
    "PA-MPJPE mm": lambda r: r.get("pa_mpjpe_mm"),
    "of overlapping": lambda r: r.get("pa_overlapping_mm"),
    "PPDS": lambda r: r["scene"]["PPDS"],
    "position": lambda r: r.get("position"),
    "position m": lambda r: r.get("position_m"),
    "90 % holds": lambda r: r.get("coverage"),
    "focal": lambda r: r["focal"],
    "height": lambda r: r["height"],
    "s": lambda r: r["seconds"],
}


def summary(measured: dict[str, dict[str, Any]]) -> str:
    """Markdown: a line for each row, means over the scenes."""
    lines = ["| | " + " | ".join(_COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for name, scenes in measured.items():
        means = [mean_of([column(row) for row in scenes.values()]) for column in _COLUMNS.values()]
        lines.append(f"| {name} | " + " | ".join(map(cell_of, means)) + " |")
    return "\n".join(lines)


def machine() -> str:
    """One line on what measured."""
    processor = platform.processor() or platform.machine()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{processor}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, load {load:.1f}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def run_scene(
    crowd: Crowd, cache: Path, missing: dict[str, str]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The rows of one crowd, and facts of it."""
    image, truth = rendered(crowd, cache)
    config = configs.load("default")
    answers: dict[str, dict[str, Any]] = {}
    with open_image(image) as source:
        start = time.perf_counter()
        detector = build_detector(None, "cpu", config)
        seen = find_people(source, detector, None, config, Progress(enabled=False))
        found_s = time.perf_counter() - start
        crops = Crops(source)
        for name in (*ROWS, "all"):
            if name in missing:
                continue
            settings = ROWS[name] if name in ROWS else everything(missing)
            try:
                scene, seconds = _told(crowd, seen, config.replace(**(ALONE | settings)), crops)
            except (Crowd3dError, ImportError) as error:
                missing[name] = " ".join(str(error).split())
                click.echo(f"{name}: {missing[name]}", err=True)
                continue
            answers[name] = {**judge(scene, truth), "seconds": found_s + seconds, "own_s": seconds}
            click.echo(f"{crowd.name}, {name}: {found_s:.1f} + {seconds:.1f} s", err=True)
    facts = {"overlap": overlap_rate(truth), "people": len(truth), "find_s": found_s}
    return answers, facts


def _told(crowd: Crowd, seen: Seen, config: Config, crops: Crops) -> tuple[Scene, float]:
    start = time.perf_counter()
    scene = assemble.to_scene(crowd.name, replace(seen), None, config, crops.size_px, crops=crops)
    return scene, time.perf_counter() - start


@click.command()
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("components"), show_default=True
)
@click.option("--scenes", default="all", show_default=True, help="Names, comma separated.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Everything measured.")
def main(cache: Path, scenes: str, json_path: Path | None) -> None:
    """Render what is missing, tell each crowd in several ways, print the table."""
    names = {crowd.name for crowd in CROWDS}
    wanted = names if scenes == "all" else {name.strip() for name in scenes.split(",")}
    if wanted - names:
        raise click.BadParameter(f"no such scene: {', '.join(sorted(wanted - names))}")
    missing: dict[str, str] = {}
    measured: dict[str, dict[str, Any]] = {name: {} for name in (*ROWS, "all")}
    facts: dict[str, dict[str, Any]] = {}
    for crowd in (c for c in CROWDS if c.name in wanted):
        answers, facts[crowd.name] = run_scene(crowd, cache, missing)
        for name, row in answers.items():
            measured[name][crowd.name] = row
    measured = {name: by_scene for name, by_scene in measured.items() if by_scene}
    rate = mean_of([fact["overlap"] for fact in facts.values()])
    of_each = ", ".join(f"{name} {fact['overlap']:.0%}" for name, fact in facts.items())
    click.echo(f"{machine()}\n{rate:.0%} of people overlap ({of_each})\n")
    click.echo(summary(measured) + "\n")
    for name, by_scene in measured.items():
        click.echo(table(by_scene, name, _COLUMNS) + "\n")
    for name, reason in missing.items():
        click.echo(f"left out: {name}: {reason}")
    if json_path is not None:
        result = {"machine": machine(), "scenes": facts, "rows": measured, "left_out": missing}
        json_path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
