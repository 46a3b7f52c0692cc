"""Makes the weights of crowdnet-s and rootnet-s, as `crowd3d train crops` does: renders, trains, measures."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from crowd3d import body
from crowd3d.body.rig import Rig, rig_of
from crowd3d.errors import ConfigError, DataError
from crowd3d.files.atomic import write_text
from crowd3d.files.weights import write_weights
from crowd3d.models.crowdnet_s import CrowdNetS
from crowd3d.progress import Reporter
from crowd3d.training.common.run_folder import RunFolder, claim
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
from crowd3d.training.crops.recipe import CrowdNetRecipe
from crowd3d.training.crops.scene import FloatArray, cast_poses, recorded_poses
from crowd3d.training.lift.fit import split
from crowd3d.training.lift.recipe import Recipe as LiftRecipe
from crowd3d.training.lift.train import load_clips

PARTS = ("training", "validation", "held_out")
Recorded = dict[str, FloatArray]


def train(
    recipe: CrowdNetRecipe,
    renders: Path,
    out: Path,
    recorded: Recorded | None = None,
    *,
    device: str = "cpu",
    resume: bool = False,
    progress: Reporter,
) -> dict[str, Any]:
    """Writes `crowdnet-s.safetensors`, `rootnet-s.safetensors` and, beside each, a page with its measurements.

    Args:
        renders: folder in which rendered crops are kept; those that are there are not made again.
        out: there are also the logs and, until the end, the checkpoints.
        recorded: poses of motion capture by part, see `read_recorded`; needed if the recipe asks for any.
        device: on which the frozen trunk runs; the heads are trained on the CPU.
        resume: go on with the unfinished run in `out`.

    Returns:
        What both networks are worth on held-out pictures, by name and group.

    Raises:
        ConfigError: the recipe asks for recorded poses that are not given.
        OutputError: an unfinished run is there, or one of another recipe; or a folder cannot be written.
        DataError: the pictures show nobody.
    """
    if needs_recorded(recipe) and recorded is None:
        raise ConfigError("the recipe asks for recorded poses: give --mocap and --deepmimic")
    started = time.monotonic()
    runs = {name: RunFolder(out, name, resume=resume) for name in ("rootnet-s", "crowdnet-s")}
    render(recipe, renders, recorded, progress)
    rig = rig_of(body.load("open", level="crowd"))
    watched = load_examples(places(recipe, renders, "validation"), device=device)
    examples = load_examples(places(recipe, renders, "training"), Looks(), recipe.seed, device)
    judged = {n: load_examples(p, device=device) for n, p in held_out(recipe, renders).items()}
    progress.start("rootnet", recipe.rootnet.steps)
    sizes = fit_extents(
        examples,
        recipe.rootnet,
        runs["rootnet-s"],
        check=lambda network: measure_extents(network, watched),
        on_step=progress.advance,
    )
    progress.start("crowdnet", recipe.steps)
    network = fit(
        examples,
        rig,
        recipe,
        runs["crowdnet-s"],
        check=lambda network: measure(network, watched, rig),
        on_step=progress.advance,
    )
    calibrate(network, watched)
    facts: dict[str, Any] = {"recipe": dataclasses.asdict(recipe), "examples": len(examples)}
    told = {k: rounded(measure_extents(sizes, e)) for k, e in judged.items()}
    save_head(sizes, facts | {"held_out": told}, out / "rootnet-s.safetensors")
    facts["held_out"] = {k: rounded(measure(network, e, rig)) for k, e in judged.items()}
    facts["coverage_of_90"] = {k: round(coverage(network, e), 3) for k, e in judged.items()}
    # Written already here: the two short trainings of `robustness` take their time.
    save_head(network, facts, out / "crowdnet-s.safetensors")
    facts["robustness"] = robustness(network, examples, rig, recipe, renders, device)
    facts["seconds"] = round(time.monotonic() - started, 1)
    save_head(network, facts, out / "crowdnet-s.safetensors")
    for run in runs.values():
        run.finish()
    return {"crowdnet-s": facts["held_out"], "rootnet-s": told}


def needs_recorded(recipe: CrowdNetRecipe) -> bool:
    """Whether some of the people it renders stand in recorded poses."""
    return any(group.scene.recorded > 0 for group in recipe.groups.values())


def read_recorded(cmu: Path, deepmimic: Path, lift: LiftRecipe) -> Recorded:
    """Recorded poses of each part, split as the lift's recipe splits motion; raises MocapError, DataError."""
    clips = load_clips(cmu, deepmimic, rig_of(body.load("open", level="crowd")))
    parts = split(clips, lift)
    for name, part in zip(PARTS, parts, strict=True):
        if not part:
            raise DataError(f"{cmu} and {deepmimic} hold no motion for the {name} pictures")
    return {name: recorded_poses(part) for name, part in zip(PARTS, parts, strict=True)}


def render(
    recipe: CrowdNetRecipe, renders: Path, recorded: Recorded | None, progress: Reporter
) -> int:
    """Make all shards that are not there, one folder a group; number of rows of all.

    Raises:
        OutputError: a folder is of another recipe, or cannot be written.
    """
    count = sum(len(group.seeds(part)) for group in recipe.groups.values() for part in PARTS)
    progress.start("render", count)
    rows = 0
    for name, group in recipe.groups.items():
        claim(renders / name, {"seed": recipe.seed, "scene": dataclasses.asdict(group.scene)})
        for part in PARTS:
            poses = cast_poses(group.scene, recipe.seed, recorded[part] if recorded else None)
            for seed in group.seeds(part):
                rows += write_shard(renders / name, group.scene, seed, poses)
                progress.advance()
    return rows


def places(recipe: CrowdNetRecipe, renders: Path, part: str) -> list[tuple[Path, range]]:
    """Folders and seeds of a part, as `load_examples` takes them."""
    return [(renders / name, group.seeds(part)) for name, group in recipe.groups.items()]


def held_out(recipe: CrowdNetRecipe, renders: Path) -> dict[str, list[tuple[Path, range]]]:
    """Folder and seeds of each group's held-out pictures, as `load_examples` takes them."""
    return {n: [(renders / n, group.seeds("held_out"))] for n, group in recipe.groups.items()}


def save_head(network: nn.Module, facts: dict[str, Any], path: Path) -> None:
    """Write half-precision weights with everything known about them, and that as a page beside them."""
    state = {name: value.to(torch.float16) for name, value in network.state_dict().items()}
    write_weights(path, state, {"facts": json.dumps(facts)})
    write_text(path.with_suffix(".json"), json.dumps(facts, indent=2) + "\n")


def robustness(
    network: CrowdNetS,
    examples: Examples,
    rig: Rig,
    recipe: CrowdNetRecipe,
    renders: Path,
    device: str,
) -> dict[str, Any]:
    """How much worse the answers get when wrong 2D poses are told, on held-out pictures that have both kinds.

    Also of two heads after fewer steps: "with_errors" learns from all 2D poses, "without_errors" only from
    those that are right. Their difference is what learning from wrong ones is worth.
    """
    groups = [p for name, p in held_out(recipe, renders).items() if recipe.groups[name].scene.right]
    if not groups:
        return {}
    judged = load_examples([place for part in groups for place in part], device=device)
    found: dict[str, Any] = {"network": rise(network, judged, rig)}
    if recipe.control_steps:
        fewer = dataclasses.replace(recipe, steps=recipe.control_steps, restart=0)
        right = examples.picked(torch.nonzero(examples.right > 0)[:, 0])
        found["control_steps"] = recipe.control_steps
        for name, rows in (("with_errors", examples), ("without_errors", right)):
            found[name] = rise(fit(rows, rig, fewer), judged, rig)
    return found


def rise(network: CrowdNetS, judged: Examples, rig: Rig) -> dict[str, float]:
    """MPJPE when told right 2D poses, when told wrong ones, and how much more that is, as a share."""
    rows = [judged.picked(torch.nonzero(judged.right == kind)[:, 0]) for kind in (1, 0)]
    right, wrong = (measure(network, part, rig)["after_mpjpe_mm"] for part in rows)
    return rounded({"right_mm": right, "wrong_mm": wrong, "rise": wrong / right - 1})


def rounded(table: dict[str, float]) -> dict[str, float]:
    """Numbers for a page."""
    return {key: round(value, 4) for key, value in table.items()}
