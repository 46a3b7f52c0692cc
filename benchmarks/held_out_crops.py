"""Make the crops for the tests of crowdnet-s and rootnet-s: python benchmarks/held_out_crops.py --out DIR

This measures nothing; its output is in tests/data. It renders pictures in the style of the training recipe,
with seeds that were not used in training, and writes two small files. `crowdnet_pairs.npz` has windows that
show two people, once with the 2D pose of each. `rootnet_people.npz` has people of whom some sit, are small, or
are cut by the border.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from shared.crowdnet_pairs import (
    close_pairs,
    disturbed_poses,
    pair_rows,
    select,
    told_rows,
    true_poses,
)
from shared.held_out_pictures import RECIPE, settings

from crowd3d import lift
from crowd3d.picture import person_windows
from crowd3d.training.crops.data import chosen
from crowd3d.training.crops.prompts import detected_poses
from crowd3d.training.crops.recipe import read_recipe
from crowd3d.training.crops.scene import SceneRecipe, paint, rule_poses

Shard = dict[str, npt.NDArray[Any]]

PAIR_SEEDS, PEOPLE_SEEDS = range(96_000, 96_012), range(96_100, 96_106)
POSE_SEED, POSES = 8, 20_000
PAIRS, PEOPLE = 40, 120


def pairs_shard(recipe: SceneRecipe) -> Shard:
    """At most `PAIRS` pairs of people."""
    parts: list[Shard] = []
    lifter = lift.load()
    for _, setting, truth in settings(recipe, PAIR_SEEDS, rule_poses(POSES, POSE_SEED)):
        pairs = close_pairs(truth)
        if len(pairs) and sum(len(p["who"]) for p in parts) < 2 * PAIRS:
            parts.append(pair_rows(setting, truth, pairs, paint(setting), lifter))
    return joined(parts, 2 * PAIRS)


def people_shard(recipe: SceneRecipe) -> Shard:
    """At most `PEOPLE` people, drawn evenly from all pictures, in windows around modelled detector poses.

    Each person also has the true 2D pose (`right_`) and one with errors as in crowds (`wrong_`).
    """
    parts, lifter = [], lift.load()
    for seed, setting, truth in settings(recipe, PEOPLE_SEEDS, rule_poses(POSES, POSE_SEED)):
        rng = np.random.default_rng([seed, 16])
        who = chosen(truth, recipe, rng)
        poses = {
            "": detected_poses(truth, who, recipe, rng),
            "right_": true_poses(truth, who),
            "wrong_": disturbed_poses(truth, who, rng),
        }
        enough = [person_windows.shows_enough(p) for p in poses.values()]
        seen = np.all(enough, axis=0)
        poses = {k: p[seen] for k, p in poses.items()}
        parts.append(told_rows(setting, truth, who[seen], poses, paint(setting), lifter))
    rows = joined(parts, sum(len(part["who"]) for part in parts))
    drawn = np.random.default_rng(POSE_SEED).permutation(len(rows["who"])) < PEOPLE
    return select(rows, drawn)


def joined(parts: list[Shard], most: int) -> Shard:
    """Join several shards, and keep at most `most` rows."""
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return select(rows, np.asarray(np.arange(len(rows["who"])) < most))


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path, exists=True), required=True)
def main(out: Path) -> None:
    groups = read_recipe(RECIPE).groups
    made = {
        "crowdnet_pairs": pairs_shard(groups["plain"].scene),
        "rootnet_people": people_shard(groups["mixed"].scene),
    }
    for name, rows in made.items():
        small = {k: v.astype(np.float16) if "fisher" in k else v for k, v in rows.items()}
        np.savez_compressed(out / f"{name}.npz", allow_pickle=False, **small)
        click.echo(f"{name}: {len(rows['who'])} rows")


if __name__ == "__main__":
    main()
