"""The recipe of crowdnet-s as typed values, read from one YAML page."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowd3d.training.common.recipe import read_page
from crowd3d.training.crops.scene import SceneRecipe


@dataclass(frozen=True)
class Group:
    """Pictures of one kind, by their seeds: to learn from, to watch and calibrate by, and to judge by.

    Attributes:
        first_seed, pictures: of those that are learned from.
        validation_seed, validation_pictures: of those that decide when to stop, and the temperature.
        held_out_seed, held_out_pictures: of those that the table is made with.
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
    """How a head learns, by default rootnet-s.

    Attributes:
        average: of the weights, exponential.
        restart: step at which the learning rate, which has fallen to nothing, rises again; 0 for none.
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
        joints: weight of the joints' error in metres against the negative log-likelihood of the rotations.
        control_steps: of two short trainings, with all 2D poses and with the right ones alone.
        rootnet: how rootnet-s learns.
        groups: of pictures, by name.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def read_recipe(path: str | Path, **changes: Any) -> CrowdNetRecipe:
    """A recipe from YAML; `changes` that are not None override its top level.

    Raises:
        ConfigError: the file cannot be read, or holds an unknown key or a value of the wrong kind.
    """
    return read_page(CrowdNetRecipe, path, **changes)
