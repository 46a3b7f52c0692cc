"""Fits the facing readout to people whose heading is known, and measures how well it tells that of others."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import torch
from scipy.stats import vonmises
from torch import Tensor

from crowd3d.detect import facing
from crowd3d.files.digests import key_of
from crowd3d.models.engine import torch_engine
from crowd3d.models.facing_readout import FacingReadout
from crowd3d.training.common.run_folder import Part, RunFolder
from crowd3d.training.common.schedule import descend, learning_rate
from crowd3d.training.facing.data import People, joined
from crowd3d.training.facing.recipe import FOLDS, Recipe
from crowd3d.version import __version__

_SAVE_EVERY, _LOG_EVERY = 500, 100


def likelihood_loss(answer: Tensor, heading: Tensor) -> Tensor:
    """Mean negative logarithm of the von Mises density whose natural parameters are (N, 2) at (N,) radians."""
    concentration = (answer.square().sum(dim=1) + 1e-12).sqrt()  # differentiable at 0
    log_normaliser = torch.log(torch.special.i0e(concentration)) + concentration
    towards_it = (answer * torch.stack([heading.sin(), heading.cos()], dim=1)).sum(dim=1)
    return (math.log(2 * math.pi) + log_normaliser - towards_it).mean()


def fit(
    people: People,
    recipe: Recipe,
    run: RunFolder | None = None,
    on_step: Callable[[], None] | None = None,
) -> FacingReadout:
    """The readout under which the headings of people are most likely.

    Args:
        run: where checkpoints and the log are kept, and gone on from exactly; None keeps neither.

    Raises:
        OutputError: the checkpoint is damaged or of another recipe, or cannot be written.
    """
    torch.manual_seed(recipe.seed)
    readout = FacingReadout(facing.N_FEATURES, facing.network(torch_engine()).weights_hash)
    readout.mean.copy_(people.seen.mean(dim=(0, 1)))
    readout.sd.copy_(people.seen.std(dim=(0, 1)) + 1e-3)
    optimizer = torch.optim.AdamW(readout.parameters(), weight_decay=recipe.weight_decay)
    first = 0
    if run is not None:
        random = torch.default_generator  # dropout takes its numbers from there
        parts: dict[str, Part] = {"readout": readout, "optimizer": optimizer, "random": random}
        first = run.begin(_identity(people, recipe), parts)
    for step in range(first, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        rows = torch.randint(len(people.heading), (recipe.batch,))
        loss = likelihood_loss(readout(people.seen[rows]), people.heading[rows])
        descend(optimizer, loss, recipe.most_norm)
        if run is not None:
            every = {"log_every": _LOG_EVERY, "save_every": _SAVE_EVERY}
            run.record(step + 1, recipe.steps, loss, **every)
        if on_step is not None:
            on_step()
    return readout.eval()


def _identity(people: People, recipe: Recipe) -> str:
    """Hash of all that decides the weights."""
    seen = hashlib.sha256(people.seen.numpy().tobytes()).hexdigest()
    versions = [__version__, torch.__version__]
    return key_of({"recipe": asdict(recipe), "seen": seen, "versions": versions})


@torch.no_grad()
def told(readout: FacingReadout, people: People) -> dict[str, float]:
    """How well headings are told: median error, how often 90 % angles hold, front and back told apart."""
    found, heading = readout(people.seen).double().numpy(), people.heading.double().numpy()
    off = np.abs(np.angle(np.exp(1j * (np.arctan2(*found.T) - heading))))
    holds = off <= vonmises.ppf(0.95, np.hypot(*found.T).clip(1e-3, 1e3))
    numbers = {}
    for quality, rows in (("sharp", ~people.is_poor.numpy()), ("poor", people.is_poor.numpy())):
        numbers[f"{quality} median_deg"] = round(float(np.degrees(np.median(off[rows]))), 2)
        numbers[f"{quality} holds_90"] = round(float(holds[rows].mean()), 3)
        for side, sign in (("front", 1), ("back", -1)):
            some = rows & (sign * np.cos(heading) > 0.5)
            right = (sign * found[some, 1] > 0).mean()
            numbers[f"{quality} {side}"] = round(float(right), 3)
    return numbers


def held_out(scenes: Sequence[People], recipe: Recipe, folds: int = FOLDS) -> dict[str, float]:
    """What readouts of other scenes tell of people: the means over folds of `told`."""
    tables = []
    for fold in range(folds):
        others = [scene for i, scene in enumerate(scenes) if i % folds != fold]
        tables.append(told(fit(joined(others), recipe), joined(scenes[fold::folds])))
    return {name: round(float(np.mean([table[name] for table in tables])), 3) for name in tables[0]}
