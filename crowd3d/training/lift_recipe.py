"""The recipe of a lift as typed values, read from one YAML page."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crowd3d.errors import ConfigError
from crowd3d.training.keypoint_noise import NoiseRecipe
from crowd3d.training.lift_data import CameraRecipe, PopulationRecipe, PoseRecipe
from crowd3d.training.lift_loss import LossWeights


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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def read_recipe(path: str | Path, **changes: Any) -> Recipe:
    """A recipe from YAML; `changes` override its top level.

    Raises:
        ConfigError: the file cannot be read, or holds an unknown key or a value of the wrong type.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the recipe {path}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"the recipe {path} must hold keys and values")
    values |= {key: value for key, value in changes.items() if value is not None}
    recipe: Recipe = _build(Recipe, values, str(path))
    return recipe


def _build(cls: type[Any], values: dict[str, Any], where: str) -> Any:
    """A dataclass from nested plain values; lists become tuples, unknown keys are errors."""
    parts = {"loss": LossWeights, "poses": PoseRecipe, "camera": CameraRecipe}
    parts |= {"population": PopulationRecipe, "noise": NoiseRecipe} if cls is Recipe else {}
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}"
        )
    made = {}
    for key, value in values.items():
        if cls is Recipe and key in parts:
            value = _build(parts[key], value or {}, f"{where}, {key}")
        made[key] = tuple(value) if isinstance(value, list) else value
    return cls(**made)
