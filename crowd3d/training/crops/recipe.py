"""The recipe of crowdnet-s and rootnet-s: everything that decides their weights, as typed values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowd3d.training.common.recipe import read_page
from crowd3d.training.crops.scene import SceneRecipe

SHIPPED = "crowdnet_s"  # the page of the embedded weights


@dataclass(frozen=True)
class Group:
    """Pictures of one kind: first seed and number of those in each part.

    Attributes:
        first_seed, pictures: what is learned from.
        validation_seed, validation_pictures: what decides when to stop, and the temperature.
        held_out_seed, held_out_pictures: what the result is judged by; training never sees them.
        scene: what they show.
    """

    first_seed: int = 70_000
    pictures: int = 100
    validation_seed: int = 90_000
    validation_pictures: int = 5
    held_out_seed: int = 95_000
    held_out_pictures: int = 8
    scene: SceneRecipe = field(default_factory=SceneRecipe)

    def seeds(self, part: str) -> range:
        """Seeds of "training", "validation" or "held_out"."""
        first, count = {
            "training": (self.first_seed, self.pictures),
            "validation": (self.validation_seed, self.validation_pictures),
            "held_out": (self.held_out_seed, self.held_out_pictures),
        }[part]
        return range(first, first + count)


@dataclass(frozen=True)
class Learning:
    """How a head learns; the defaults are those of rootnet-s.

    Attributes:
        average: how much of the averaged weights stays in each step.
        restart: step at which the learning rate, which has fallen to nothing, starts anew; 0 for none.
    """

    seed: int = 0
    steps: int = 1200
    batch: int = 128
    learning_rate: float = 2.0e-3
    warmup: int = 50
    weight_decay: float = 0.02
    average: float = 0.99
    restart: int = 0


@dataclass(frozen=True)
class CrowdNetRecipe(Learning):
    """Everything that decides the weights of crowdnet-s and rootnet-s, which share their pictures.

    Attributes:
        joints: weight of the joints' error in metres; that of the rotations' negative log-likelihood is 1.
        control_steps: of two short trainings at the end, one with all 2D poses and one with those without an
            error alone, which tell what learning from wrong ones is worth; 0 for none.
        network: sizes of crowdnet-s.
        rootnet: how rootnet-s learns.
        groups: kinds of pictures, by name.
    """

    steps: int = 1600
    learning_rate: float = 1.0e-3
    warmup: int = 100
    average: float = 0.995
    joints: float = 15.0
    control_steps: int = 0
    network: dict[str, int] = field(default_factory=lambda: {"width": 160, "depth": 4})
    rootnet: Learning = field(default_factory=Learning)
    groups: dict[str, Group] = field(default_factory=lambda: {"plain": Group()})


def read_recipe(
    page: str | Path = SHIPPED, *, steps: int | None = None, **changes: Any
) -> CrowdNetRecipe:
    """The recipe from a page of that name or a YAML file; arguments and errors as of `read_page`.

    Args:
        steps: of both networks, instead of the page's.
    """
    recipe = read_page(CrowdNetRecipe, page, steps=steps, **changes)
    if steps is None:
        return recipe
    return dataclasses.replace(recipe, rootnet=dataclasses.replace(recipe.rootnet, steps=steps))
