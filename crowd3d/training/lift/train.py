"""Train the lift from motion capture: python -m crowd3d.training.lift.train --help"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import save_file

from crowd3d import body
from crowd3d.body.rig import Rig, rig_of
from crowd3d.data.cmu import Clip, body_directions, load_cmu
from crowd3d.data.deepmimic import load_deepmimic
from crowd3d.lift.lifter import ARCHITECTURE
from crowd3d.models.lift_net import LiftNet
from crowd3d.training.lift.data import build_bank
from crowd3d.training.lift.fit import as_recorded, calibrate, fit, fixed_batch, measure, split
from crowd3d.training.lift.recipe import Recipe, read_recipe


def load_clips(cmu: str | Path, deepmimic: str | Path, rig: Rig) -> list[Clip]:
    """All motions of both folders on the body's skeleton."""
    directions = body_directions(rig.joints[0].double().cpu().numpy())
    return load_cmu(cmu, directions) + load_deepmimic(deepmimic, directions)


def save_lift(net: LiftNet, shape: dict[str, int], facts: dict[str, Any], path: Path) -> None:
    """Write half-precision weights with everything known about them."""
    state = {
        k: v.detach().to("cpu", torch.float16).contiguous() for k, v in net.state_dict().items()
    }
    metadata = {
        "architecture": ARCHITECTURE,
        "shape": json.dumps(shape),
        "facts": json.dumps(facts),
    }
    save_file(state, str(path), metadata=metadata)


def train(recipe: Recipe, cmu: Path, deepmimic: Path, out: Path, device: str) -> dict[str, Any]:
    """Train or go on, calibrate, measure; writes `lift.safetensors` and `lift.json` into `out`."""
    rig = rig_of(body.load("open", level="crowd")).to(device)
    training, validation, held_out = split(load_clips(cmu, deepmimic, rig), recipe)
    bank = build_bank(training, recipe.poses, rig, recipe.seed).to(device)
    watched = fixed_batch(validation, recipe.poses, rig, recipe, 2048, recipe.seed + 2)
    started = time.monotonic()
    net = fit(rig, bank, recipe, out, check=lambda net: measure(net, watched, rig))
    calibrate(net, fixed_batch(validation, recipe.poses, rig, recipe, 3000, recipe.seed + 3))
    unseen = fixed_batch(held_out, as_recorded(held_out), rig, recipe, 8192, recipe.seed + 4)
    table = measure(net, unseen, rig)
    facts: dict[str, Any] = {
        "recipe": recipe.to_dict(),
        "held_out": {k: round(v, 3) for k, v in table.items()},
    }
    save_lift(net, recipe.network, facts, out / "lift.safetensors")
    facts["seconds"] = round(time.monotonic() - started, 1)
    (out / "lift.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


@click.command()
@click.option(
    "--mocap",
    "cmu",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="CMU ASF/AMC.",
)
@click.option(
    "--deepmimic", required=True, type=click.Path(exists=True, path_type=Path), help="JSON clips."
)
@click.option(
    "--recipe", required=True, type=click.Path(exists=True, path_type=Path), help="YAML page."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Weights, log, checkpoint."
)
@click.option("--steps", type=int, default=None, help="Instead of the recipe's number of steps.")
@click.option("--device", default="auto", help="auto, cpu or cuda.")
def main(
    cmu: Path, deepmimic: Path, recipe: Path, out: Path, steps: int | None, device: str
) -> None:
    """Train the lift. A run that was stopped goes on when started again with the same --out."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = train(read_recipe(recipe, steps=steps), cmu, deepmimic, out, device)
    click.echo(json.dumps(facts["held_out"]))


if __name__ == "__main__":
    main()
