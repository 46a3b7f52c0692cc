"""Makes `chance.json`, as `crowd3d train chance` does: renders, looks, fits, measures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crowd3d import config as configs
from crowd3d.files.atomic import write_text
from crowd3d.pipeline.networks import build_detector
from crowd3d.progress import Reporter
from crowd3d.training.chance.data import Examples, examples_of
from crowd3d.training.chance.fit import fit, told
from crowd3d.training.chance.recipe import Recipe
from crowd3d.training.common.renders import render_folders
from crowd3d.training.common.run_folder import make_folder
from crowd3d.training.facing.recipe import Scenes

KINDS = ("ground", "no_ground")  # of pictures: camera and ground are known, or not


def train(
    recipe: Recipe, renders: Path, out: Path, *, device: str = "cpu", progress: Reporter
) -> dict[str, Any]:
    """Writes `chance.json`: for each kind of picture the regression and what was measured, and the recipe.

    Args:
        renders: folder in which rendered scenes are kept; those that are there are not made again.
        device: on which the network looks.

    Returns:
        What `chance.json` holds.

    Raises:
        ConfigError: a scene that cannot be rendered.
        OutputError: a folder cannot be written.
        EnvironmentProblem: the device cannot be used.
    """
    make_folder(out)
    config = configs.load().replace(
        min_center_score=recipe.min_center_score, min_head_score=recipe.min_head_score
    )
    detector = build_detector(None, device, config)

    def look(group: Mapping[str, Scenes]) -> list[tuple[Examples, Examples]]:
        folders = render_folders(group, renders, progress)
        return [examples_of(folder, detector, config) for folder in folders]

    ours, others = look(recipe.scenes) + look(recipe.sparse), look(recipe.held_out)
    found: dict[str, Any] = {"recipe": asdict(recipe)}
    for i, kind in enumerate(KINDS):
        chance = fit([pair[i] for pair in ours])
        found[kind] = chance.to_dict() | {"held_out": told(chance, [pair[i] for pair in others])}
    write_text(out / "chance.json", json.dumps(found, indent=1) + "\n")
    return found
