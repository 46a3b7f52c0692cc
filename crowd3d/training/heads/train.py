"""Makes the weights of heads-s, as `crowd3d train heads` does: renders, fits, measures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crowd3d.files.atomic import write_text
from crowd3d.files.weights import write_weights
from crowd3d.progress import Reporter
from crowd3d.training.common.renders import load_renders
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.common.textures import made_up
from crowd3d.training.common.threads import one_thread
from crowd3d.training.heads.crops import scene_of
from crowd3d.training.heads.fit import fit, told
from crowd3d.training.heads.recipe import Recipe


def train(
    recipe: Recipe,
    renders: Path,
    out: Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    progress: Reporter,
) -> dict[str, Any]:
    """Writes `heads-s.safetensors` and, beside it, `heads-s.json` with the recipe and the measurements.

    Args:
        renders: folder in which rendered scenes are kept; those that are there are not made again.
        out: there are also the log and, until the end, the checkpoint.
        device: on which the network learns; crops are made on the CPU.
        resume: go on with the unfinished run in `out`.

    Returns:
        What `heads-s.json` holds.

    Raises:
        ConfigError: a scene that cannot be rendered.
        OutputError: an unfinished run is there, or one of another recipe; or a folder cannot be written.
        DataError: a rendered picture is damaged.
    """
    run = RunFolder(out, "heads-s", resume=resume)
    with one_thread():
        textures = [
            made_up(recipe.crops.textures, recipe.crops.texture_px, seed)
            for seed in (recipe.seed, recipe.seed + 1)
        ]
        ours = [scene_of(render) for render in load_renders(recipe.scenes, renders, progress)]
        others = [scene_of(render) for render in load_renders(recipe.held_out, renders, progress)]
        progress.start("train", recipe.steps)
        network = fit(ours, textures[0], recipe, run, progress.advance, device)
        facts = {"recipe": asdict(recipe), "held_out": told(network, others, textures[1], recipe)}
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    write_weights(out / "heads-s.safetensors", tensors, {"facts": json.dumps(facts)})
    write_text(out / "heads-s.json", json.dumps(facts, indent=2) + "\n")
    run.finish()
    return facts
