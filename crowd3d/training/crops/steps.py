"""The training loop that the heads on crops share: their trunk is frozen, so that its maps are made once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from crowd3d.training.common.checkpoint import Checkpoint
from crowd3d.training.common.schedule import descend, follow, learning_rate
from crowd3d.training.crops.examples import Examples
from crowd3d.training.crops.recipe import Learning

_CLIP_NORM = 1.0
_LOG_EVERY, _SAVE_EVERY = 25, 100

Head = TypeVar("Head", bound=nn.Module)
Loss = Callable[[Head, Examples], tuple[Tensor, dict[str, Tensor]]]


def rate(recipe: Learning, step: int) -> float:
    """The learning rate: before `restart`, if there is one, that of a training which ends there."""
    ends = recipe.restart if step < recipe.restart else recipe.steps
    return learning_rate(replace(recipe, steps=ends), step)


def train_head(
    make: Callable[[], Head],
    loss: Loss[Head],
    examples: Examples,
    recipe: Learning,
    folder: Path | None = None,
    name: str = "head",
    check: tuple[Callable[[Head], dict[str, float]], str] | None = None,
) -> Head:
    """Train a head; with a folder, keep a checkpoint and a log there and go on from it exactly.

    Args:
        make: a fresh head.
        loss: of a head and a batch: what is made small, and numbers for the log.
        folder: everything but the last weights goes there; its log is `name`_log.jsonl.
        check: called at every checkpoint with the averaged head. Its numbers go to the log, and the averaged
            weights at which the named one was least are the result; without it, the last are.
    """
    torch.manual_seed(recipe.seed)
    network, average, best = make(), make(), make()
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=0.0, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
    )
    generator = torch.Generator().manual_seed(recipe.seed + 1)
    state = Checkpoint(folder, f"{name}_log.jsonl", network, average, optimizer, generator)
    state.parts["best"] = best
    first = state.restore()
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
        if (step + 1) % _LOG_EVERY == 0 or done:
            numbers = {k: round(v.item(), 5) for k, v in terms.items()}
            state.log(step=step + 1, seconds=round(time.monotonic() - started, 1), **numbers)
        if (step + 1) % _SAVE_EVERY == 0 or done:
            numbers = check[0](average) if check else {}
            if not check or numbers[check[1]] < least:
                least = numbers[check[1]] if check else least
                best.load_state_dict(average.state_dict())
            state.log(step=step + 1, check={k: round(v, 3) for k, v in numbers.items()})
            state.save(step + 1)
    return best.eval()
