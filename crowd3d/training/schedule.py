"""How fast a training learns, and how its averaged network follows."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import nn


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


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, most: float, step: int) -> None:
    """Exponential moving average of the weights, shorter in the first steps."""
    decay = min(most, (step + 1) / (step + 10))
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
