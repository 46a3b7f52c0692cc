"""The recipe of the lift: everything that decides its weights, as typed values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowd3d.training.common.keypoint_noise import NoiseRecipe
from crowd3d.training.common.recipe import read_page
from crowd3d.training.lift.data import CameraRecipe, PopulationRecipe, PoseRecipe
from crowd3d.training.lift.loss import LossWeights

SHIPPED = "lift"  # the page of the embedded weights


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights of a lift."""

    seed: int = 0
    steps: int = 9000
    batch: int = 1024
    learning_rate: float = 1.5e-3
    warmup: int = 300
    weight_decay: float = 0.01
    average: float = 0.999
    held_out: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    network: dict[str, int] = field(default_factory=lambda: {"width": 512, "depth": 4})
    loss: LossWeights = field(default_factory=LossWeights)
    poses: PoseRecipe = field(default_factory=PoseRecipe)
    camera: CameraRecipe = field(default_factory=CameraRecipe)
    population: PopulationRecipe = field(default_factory=PopulationRecipe)
    noise: NoiseRecipe = field(default_factory=NoiseRecipe)


def read_recipe(page: str | Path = SHIPPED, **changes: Any) -> Recipe:
    """The lift's recipe from a page of that name or a YAML file; arguments and errors as of `read_page`."""
    return read_page(Recipe, page, **changes)
