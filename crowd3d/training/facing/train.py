"""Makes the weights of the facing readout, as `crowd3d train facing` does: renders, fits, measures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crowd3d.errors import DataError
from crowd3d.files.atomic import write_text
from crowd3d.files.weights import write_weights
from crowd3d.progress import Reporter
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.common.threads import one_thread
from crowd3d.training.facing.data import joined, load_scenes
from crowd3d.training.facing.fit import fit, held_out
from crowd3d.training.facing.recipe import FOLDS, Recipe


def train(
    recipe: Recipe,
    renders: Path,
    out: Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    progress: Reporter,
) -> dict[str, Any]:
    """Writes `facing.safetensors` and, beside it, `facing.json` with the recipe and the measurements.

    Args:
        renders: folder in which rendered scenes are kept; those that are there are not made again.
        out: there are also the log and, until the end, the checkpoint.
        device: on which the frozen network runs; the readout is fitted on the CPU.
        resume: go on with the unfinished run in `out`.

    Returns:
        What `facing.json` holds.

    Raises:
        ConfigError: a scene that cannot be rendered.
        OutputError: an unfinished run is there, or one of another recipe; or a folder cannot be written.
        DataError: too few scenes show anybody.
    """
    run = RunFolder(out, "facing", resume=resume)
    with one_thread():
        scenes = load_scenes(recipe, renders, device, progress)
        seen = [scene for scene in scenes if len(scene.heading)]
        if len(seen) < FOLDS:
            raise DataError(
                f"only {len(seen)} scenes show anybody; {FOLDS} are needed to be judged by"
            )
        progress.start("train", recipe.steps)
        readout = fit(joined(seen), recipe, run, progress.advance)
        facts = {
            "recipe": asdict(recipe),
            "windows": sum(len(scene.heading) for scene in seen),
            "held_out": held_out(seen, recipe),
        }
    tensors = {
        name: value if name in ("mean", "sd") else value.half()
        for name, value in readout.state_dict().items()
    }
    metadata = {"network": readout.network, "facts": json.dumps(facts)}
    write_weights(out / "facing.safetensors", tensors, metadata)
    write_text(out / "facing.json", json.dumps(facts, indent=2) + "\n")
    run.finish()
    return facts
