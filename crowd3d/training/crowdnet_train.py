"""Render, train and measure crowdnet-s: python -m crowd3d.training.crowdnet_train --help"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import save_file

from crowd3d import body
from crowd3d.lift_rig import rig_of
from crowd3d.models.crowdnet_s import CrowdNetS
from crowd3d.training.crowdnet_data import rule_poses, write_shard
from crowd3d.training.crowdnet_fit import fit, load_examples, measure
from crowd3d.training.crowdnet_recipe import CrowdNetRecipe, read_recipe

_FILE = click.Path(exists=True, path_type=Path)
_FOLDER = click.Path(path_type=Path)


def seeds_of(recipe: CrowdNetRecipe) -> dict[str, range]:
    """Seeds of the pictures to learn from, to watch and to judge by."""
    named = {
        "training": (recipe.first_seed, recipe.pictures),
        "validation": (recipe.validation_seed, recipe.validation_pictures),
        "held_out": (recipe.held_out_seed, recipe.held_out_pictures),
    }
    return {name: range(first, first + count) for name, (first, count) in named.items()}


def render(recipe: CrowdNetRecipe, shards: Path) -> int:
    """Make all shards that are not there; number of rows of all."""
    shards.mkdir(parents=True, exist_ok=True)
    poses = rule_poses(recipe.scene.poses, recipe.seed)
    seeds = [seed for group in seeds_of(recipe).values() for seed in group]
    return sum(write_shard(shards, recipe.scene, seed, poses) for seed in seeds)


def save_crowdnet(network: CrowdNetS, facts: dict[str, Any], path: Path) -> None:
    """Write half-precision weights with everything known about them."""
    state = {k: v.detach().to(torch.float16).contiguous() for k, v in network.state_dict().items()}
    save_file(state, str(path), metadata={"facts": json.dumps(facts)})


def train(recipe: CrowdNetRecipe, shards: Path, out: Path) -> dict[str, Any]:
    """Render or go on, train or go on, measure; writes `crowdnet-s.safetensors` and its `.json` into `out`."""
    started = time.monotonic()
    render(recipe, shards)
    rig, seeds = rig_of(body.load("open", level="crowd")), seeds_of(recipe)
    watched = load_examples(shards, seeds["validation"])
    examples = load_examples(shards, seeds["training"])
    network = fit(examples, rig, recipe, out, check=lambda n: measure(n, watched, rig))
    table = measure(network, load_examples(shards, seeds["held_out"]), rig)
    facts: dict[str, Any] = {
        "recipe": recipe.to_dict(),
        "examples": len(examples),
        "held_out": {k: round(v, 3) for k, v in table.items()},
    }
    save_crowdnet(network, facts, out / "crowdnet-s.safetensors")
    facts["seconds"] = round(time.monotonic() - started, 1)
    (out / "crowdnet-s.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


@click.command()
@click.option("--recipe", required=True, type=_FILE, help="YAML page.")
@click.option("--shards", required=True, type=_FOLDER, help="Cache of rendered crops.")
@click.option("--out", required=True, type=_FOLDER, help="Weights, log, checkpoint.")
@click.option("--steps", type=int, default=None, help="Instead of the recipe's number of steps.")
@click.option("--pictures", type=int, default=None, help="Instead of the recipe's number.")
def main(recipe: Path, shards: Path, out: Path, steps: int | None, pictures: int | None) -> None:
    """Train crowdnet-s. A run that was stopped goes on when started again with the same folders."""
    facts = train(read_recipe(recipe, steps=steps, pictures=pictures), shards, out)
    click.echo(json.dumps(facts["held_out"]))


if __name__ == "__main__":
    main()
