"""Makes the weights of the lift, as `crowd3d train lift` does: motion capture in, a measured network out."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from crowd3d import body
from crowd3d.body.rig import Rig, rig_of
from crowd3d.data.cmu import Clip, body_directions, load_cmu
from crowd3d.data.deepmimic import load_deepmimic
from crowd3d.errors import DataError
from crowd3d.files.atomic import write_text
from crowd3d.files.weights import write_weights
from crowd3d.lift.lifter import ARCHITECTURE
from crowd3d.models.lift_net import LiftNet
from crowd3d.progress import Reporter
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.lift.data import build_bank
from crowd3d.training.lift.fit import as_recorded, calibrate, fit, fixed_batch, measure, split
from crowd3d.training.lift.recipe import Recipe

_WATCHED, _CALIBRATED_BY, _JUDGED_BY = 2048, 3000, 8192  # people


def load_clips(cmu: str | Path, deepmimic: str | Path, rig: Rig) -> list[Clip]:
    """All motions of both folders on the body's skeleton; raises MocapError."""
    directions = body_directions(rig.joints[0].double().cpu().numpy())
    return load_cmu(cmu, directions) + load_deepmimic(deepmimic, directions)


def save_lift(net: LiftNet, shape: dict[str, int], facts: dict[str, Any], path: Path) -> None:
    """Write half-precision weights with everything known about them; raises OutputError."""
    state = {name: value.to(torch.float16) for name, value in net.state_dict().items()}
    known = {"shape": json.dumps(shape), "facts": json.dumps(facts)}
    write_weights(path, state, {"architecture": ARCHITECTURE, **known})


def train(
    recipe: Recipe,
    cmu: Path,
    deepmimic: Path,
    out: Path,
    *,
    device: str,
    resume: bool = False,
    progress: Reporter,
) -> dict[str, Any]:
    """Writes `lift.safetensors` and, beside it, `lift.json` with the recipe and the measurements.

    Args:
        cmu: folder of ASF and AMC files; deepmimic: folder of JSON clips.
        out: there are also the log and, until the end, the checkpoint.
        device: as torch names it.
        resume: go on with the unfinished run in `out`.

    Returns:
        What `lift.json` holds.

    Raises:
        OutputError: an unfinished run is there, or one of another recipe; or the folder cannot be written.
        MocapError, DataError: motion that cannot be read, or that lacks what the recipe sets apart.
    """
    run = RunFolder(out, "lift", resume=resume)
    rig = rig_of(body.load("open", level="crowd")).to(device)
    training, validation, held_out = split(load_clips(cmu, deepmimic, rig), recipe)
    for name, clips in (("validation", validation), ("held_out", held_out)):
        if not clips:
            raise DataError(f"{cmu} and {deepmimic} hold none of the recipe's motions of {name!r}")
    progress.start("train", recipe.steps)
    bank = build_bank(training, recipe.poses, rig, recipe.seed).to(device)
    watched = fixed_batch(validation, recipe.poses, rig, recipe, _WATCHED, recipe.seed + 2)
    started = time.monotonic()
    net = fit(
        rig,
        bank,
        recipe,
        run,
        check=lambda net: measure(net, watched, rig),
        on_step=progress.advance,
    )
    known = fixed_batch(validation, recipe.poses, rig, recipe, _CALIBRATED_BY, recipe.seed + 3)
    calibrate(net, known)
    unseen = fixed_batch(held_out, as_recorded(held_out), rig, recipe, _JUDGED_BY, recipe.seed + 4)
    table = measure(net, unseen, rig)
    facts: dict[str, Any] = {
        "recipe": asdict(recipe),
        "held_out": {k: round(v, 3) for k, v in table.items()},
    }
    save_lift(net, recipe.network, facts, out / "lift.safetensors")
    facts["seconds"] = round(time.monotonic() - started, 1)
    write_text(out / "lift.json", json.dumps(facts, indent=2) + "\n")
    run.finish()
    return facts
