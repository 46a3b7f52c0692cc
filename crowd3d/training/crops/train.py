"""Render, train and measure crowdnet-s and rootnet-s: python -m crowd3d.training.crops.train --help"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import save_file
from torch import nn

from crowd3d import body
from crowd3d.body.rig import Rig, rig_of
from crowd3d.models.crowdnet_s import CrowdNetS
from crowd3d.training.crops.data import write_shard
from crowd3d.training.crops.examples import Examples, Looks, load_examples
from crowd3d.training.crops.fit import (
    calibrate,
    coverage,
    fit,
    fit_extents,
    measure,
    measure_extents,
)
from crowd3d.training.crops.recipe import CrowdNetRecipe, read_recipe
from crowd3d.training.crops.scene import FloatArray, cast_poses, recorded_poses
from crowd3d.training.lift.fit import split
from crowd3d.training.lift.recipe import read_recipe as read_lift_recipe
from crowd3d.training.lift.train import load_clips

_FILE = click.Path(exists=True, path_type=Path)
_FOLDER = click.Path(path_type=Path)
PARTS = ("training", "validation", "held_out")
Recorded = dict[str, FloatArray]


def read_recorded(cmu: Path, deepmimic: Path, lift: Path) -> Recorded:
    """Recorded poses of each part, split as the lift's recipe splits motion."""
    clips = load_clips(cmu, deepmimic, rig_of(body.load("open", level="crowd")))
    parts = split(clips, read_lift_recipe(lift))
    return {name: recorded_poses(part) for name, part in zip(PARTS, parts, strict=True)}


def render(recipe: CrowdNetRecipe, shards: Path, recorded: Recorded | None = None) -> int:
    """Make all shards that are not there, one folder a group; number of rows of all."""
    rows = 0
    for name, group in recipe.groups.items():
        (shards / name).mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            poses = cast_poses(group.scene, recipe.seed, recorded[part] if recorded else None)
            seeds = group.seeds(part)
            rows += sum(write_shard(shards / name, group.scene, seed, poses) for seed in seeds)
    return rows


def places(recipe: CrowdNetRecipe, shards: Path, part: str) -> list[tuple[Path, range]]:
    """Folders and seeds of a part, as `load_examples` takes them."""
    return [(shards / name, group.seeds(part)) for name, group in recipe.groups.items()]


def save_head(network: nn.Module, facts: dict[str, Any], path: Path) -> None:
    """Write half-precision weights with everything known about them, and that as a page beside them."""
    state = {k: v.detach().to(torch.float16).contiguous() for k, v in network.state_dict().items()}
    save_file(state, str(path), metadata={"facts": json.dumps(facts)})
    path.with_suffix(".json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def train(
    recipe: CrowdNetRecipe, shards: Path, out: Path, recorded: Recorded | None = None
) -> dict[str, Any]:
    """Render or go on, train or go on, measure; writes both networks' weights and pages into `out`."""
    started = time.monotonic()
    render(recipe, shards, recorded)
    rig = rig_of(body.load("open", level="crowd"))
    watched = load_examples(places(recipe, shards, "validation"))
    examples = load_examples(places(recipe, shards, "training"), Looks(), recipe.seed)
    sizes = fit_extents(
        examples, recipe.rootnet, out / "rootnet-s", check=lambda n: measure_extents(n, watched)
    )
    network = fit(
        examples, rig, recipe, out / "crowdnet-s", check=lambda n: measure(n, watched, rig)
    )
    calibrate(network, watched)
    judged = {name: load_examples(p) for name, p in held_out(recipe, shards).items()}
    facts: dict[str, Any] = {"recipe": recipe.to_dict(), "examples": len(examples)}
    told = {k: rounded(measure_extents(sizes, e)) for k, e in judged.items()}
    save_head(sizes, facts | {"held_out": told}, out / "rootnet-s.safetensors")
    tables = {k: rounded(measure(network, e, rig)) for k, e in judged.items()}
    facts["held_out"] = tables
    facts["coverage_of_90"] = {k: round(coverage(network, e), 3) for k, e in judged.items()}
    # Before the controls, which take time.
    save_head(network, facts, out / "crowdnet-s.safetensors")
    facts["robustness"] = robustness(network, examples, rig, recipe, shards)
    facts["seconds"] = round(time.monotonic() - started, 1)
    save_head(network, facts, out / "crowdnet-s.safetensors")
    return {"crowdnet-s": facts["held_out"], "rootnet-s": told}


def held_out(recipe: CrowdNetRecipe, shards: Path) -> dict[str, list[tuple[Path, range]]]:
    """Held-out pictures of each group."""
    return {n: [(shards / n, group.seeds("held_out"))] for n, group in recipe.groups.items()}


def robustness(
    network: CrowdNetS, examples: Examples, rig: Rig, recipe: CrowdNetRecipe, shards: Path
) -> dict[str, Any]:
    """How much worse wrong 2D poses make the answers: of the network, and of two heads after fewer steps.

    One of these two learns from all 2D poses, the control from those without errors alone. All are judged by
    the held-out pictures that have both kinds.
    """
    groups = [p for name, p in held_out(recipe, shards).items() if recipe.groups[name].scene.right]
    if not groups:
        return {}
    judged = load_examples([place for part in groups for place in part])
    found: dict[str, Any] = {"network": rise(network, judged, rig)}
    if recipe.control_steps:
        fewer = dataclasses.replace(recipe, steps=recipe.control_steps, restart=0)
        right = examples.picked(torch.nonzero(examples.right > 0)[:, 0])
        found["control_steps"] = recipe.control_steps
        for name, rows in (("with_errors", examples), ("without_errors", right)):
            found[name] = rise(fit(rows, rig, fewer), judged, rig)
    return found


def rise(network: CrowdNetS, judged: Examples, rig: Rig) -> dict[str, float]:
    """MPJPE told right 2D poses and wrong ones, and by how much the latter is more."""
    rows = [judged.picked(torch.nonzero(judged.right == kind)[:, 0]) for kind in (1, 0)]
    right, wrong = (measure(network, part, rig)["after_mpjpe_mm"] for part in rows)
    return rounded({"right_mm": right, "wrong_mm": wrong, "rise": wrong / right - 1})


def rounded(table: dict[str, float]) -> dict[str, float]:
    """Numbers for a page."""
    return {key: round(value, 4) for key, value in table.items()}


@click.command()
@click.option("--recipe", required=True, type=_FILE, help="YAML page.")
@click.option("--mocap", "cmu", type=_FILE, help="CMU ASF/AMC; needed if the recipe asks for it.")
@click.option("--deepmimic", type=_FILE, help="JSON clips; likewise.")
@click.option("--lift-recipe", type=_FILE, help="YAML page that splits motion; likewise.")
@click.option("--shards", required=True, type=_FOLDER, help="Cache of rendered crops.")
@click.option("--out", required=True, type=_FOLDER, help="Weights, log, checkpoint.")
@click.option("--steps", type=int, default=None, help="Instead of the recipe's number of steps.")
def main(
    recipe: Path,
    cmu: Path | None,
    deepmimic: Path | None,
    lift_recipe: Path | None,
    shards: Path,
    out: Path,
    steps: int | None,
) -> None:
    """Train crowdnet-s and rootnet-s. A run that was stopped goes on if started again with the same folders."""
    recorded = None
    if cmu and deepmimic and lift_recipe:
        recorded = read_recorded(cmu, deepmimic, lift_recipe)
    facts = train(read_recipe(recipe, steps=steps), shards, out, recorded)
    click.echo(json.dumps(facts))


if __name__ == "__main__":
    main()
