"""The learning rate of a training, one step of it, and the average of its weights."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn


class Schedule(Protocol):
    """The part of a recipe that decides it."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup(self) -> int: ...
    @property
    def steps(self) -> int: ...


def learning_rate(recipe: Schedule, step: int) -> float:
    """Linear warm-up, then a half cosine to nothing."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def descend(optimizer: torch.optim.Optimizer, total: Tensor, most_norm: float) -> None:
    """One step against the gradient of a loss, that of each parameter group clipped to a norm."""
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(total)
    for group in optimizer.param_groups:
        torch.nn.utils.clip_grad_norm_(group["params"], most_norm)
    optimizer.step()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, most: float, step: int) -> None:
    """Exponential moving average of the weights, shorter in the first steps."""
    decay = min(most, (step + 1) / (step + 10))
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
