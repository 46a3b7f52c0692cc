"""The recipe of crowdnet-s as typed values, read from one YAML page."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crowd3d.errors import ConfigError
from crowd3d.training.crowdnet_data import SceneRecipe


@dataclass(frozen=True)
class CrowdNetRecipe:
    """Everything that decides the weights of crowdnet-s.

    Attributes:
        first_seed, pictures: seeds of the rendered pictures that it learns from.
        validation_seed, validation_pictures: of those that draw the learning curve.
        held_out_seed, held_out_pictures: of those that the table is made with.
        joints: weight of the joints' error in metres against the negative log-likelihood of the rotations.
        average: of the weights, exponential.
    """

    seed: int = 0
    first_seed: int = 70_000
    pictures: int = 200
    validation_seed: int = 90_000
    validation_pictures: int = 6
    held_out_seed: int = 95_000
    held_out_pictures: int = 16
    steps: int = 1600
    batch: int = 128
    learning_rate: float = 1.0e-3
    warmup: int = 100
    weight_decay: float = 0.02
    average: float = 0.995
    joints: float = 15.0
    network: dict[str, int] = field(default_factory=lambda: {"width": 160, "depth": 4})
    scene: SceneRecipe = field(default_factory=SceneRecipe)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def read_recipe(path: str | Path, **changes: Any) -> CrowdNetRecipe:
    """A recipe from YAML; `changes` that are not None override its top level.

    Raises:
        ConfigError: the file cannot be read, or holds an unknown key.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the recipe {path}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"the recipe {path} must hold keys and values")
    values |= {key: value for key, value in changes.items() if value is not None}
    scene = _checked(SceneRecipe, values.pop("scene", None) or {}, f"{path}, scene")
    values = _checked(CrowdNetRecipe, values, str(path))
    return CrowdNetRecipe(**values, scene=SceneRecipe(**scene))


def _checked(cls: type[Any], values: dict[str, Any], where: str) -> dict[str, Any]:
    """Known keys only; lists become tuples."""
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}"
        )
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
