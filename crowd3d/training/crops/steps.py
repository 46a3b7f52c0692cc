"""The training loop of a head on crops; its trunk is frozen, so that the trunk's maps are made once before."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from crowd3d.files.digests import key_of
from crowd3d.training.common.run_folder import Part, RunFolder
from crowd3d.training.common.schedule import descend, follow, learning_rate
from crowd3d.training.crops.examples import Examples
from crowd3d.training.crops.recipe import Learning
from crowd3d.version import __version__

_CLIP_NORM = 1.0
_LOG_EVERY, _SAVE_EVERY = 25, 100

Head = TypeVar("Head", bound=nn.Module)
Loss = Callable[[Head, Examples], tuple[Tensor, dict[str, Tensor]]]


def rate(recipe: Learning, step: int) -> float:
    """The learning rate; with a `restart`, it falls to nothing until there, and again until the end."""
    ends = recipe.restart if step < recipe.restart else recipe.steps
    return learning_rate(replace(recipe, steps=ends), step)


def train_head(
    make: Callable[[], Head],
    loss: Loss[Head],
    examples: Examples,
    recipe: Learning,
    run: RunFolder | None = None,
    check: tuple[Callable[[Head], dict[str, float]], str] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Head:
    """Train a head.

    Args:
        make: a fresh head.
        loss: of a head and a batch: what is made small, and numbers for the log.
        run: where checkpoints and the log are kept, and gone on from exactly; None keeps neither.
        check: a measurement and the name of one of its numbers. It is made with the averaged head at every
            checkpoint; the averaged weights at which that number was least are the result. Without a check
            the last ones are.

    Raises:
        OutputError: the checkpoint is damaged or of another recipe, or cannot be written.
    """
    torch.manual_seed(recipe.seed)
    network, average, best = make(), make(), make()
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=0.0, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
    )
    generator = torch.Generator().manual_seed(recipe.seed + 1)
    first = 0
    if run is not None:
        parts: dict[str, Part] = {"net": network, "average": average, "best": best}
        first = run.begin(
            _identity(examples, recipe), parts | {"optimizer": optimizer, "random": generator}
        )
    least = check[0](best)[check[1]] if check and first else float("inf")
    started = time.monotonic()
    for step in range(first, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(recipe, step)
        rows = examples.rows(torch.randint(len(examples), (recipe.batch,), generator=generator))
        total, terms = loss(network, rows)
        descend(optimizer, total, _CLIP_NORM)
        follow(average, network, recipe.average, step)
        done = step + 1 == recipe.steps
        if run is not None and ((step + 1) % _LOG_EVERY == 0 or done):
            numbers = {k: round(v.item(), 5) for k, v in terms.items()}
            run.log(step=step + 1, seconds=round(time.monotonic() - started, 1), **numbers)
        if (step + 1) % _SAVE_EVERY == 0 or done:
            numbers = check[0](average) if check else {}
            if not check or numbers[check[1]] < least:
                least = numbers[check[1]] if check else least
                best.load_state_dict(average.state_dict())
            if run is not None:
                run.log(step=step + 1, check={k: round(v, 3) for k, v in numbers.items()})
                run.save(step + 1)
        if on_step is not None:
            on_step()
    return best.eval()


def _identity(examples: Examples, recipe: Learning) -> str:
    """Hash of all that decides the weights: the recipe, and the examples by what is told and what is true."""
    told = hashlib.sha256()
    for values in (examples.keypoints, examples.rotations):
        told.update(values.numpy().tobytes())
    versions = [__version__, torch.__version__]
    return key_of({"recipe": asdict(recipe), "examples": told.hexdigest(), "versions": versions})
