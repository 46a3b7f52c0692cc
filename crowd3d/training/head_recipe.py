"""The recipe of the 3D heads as typed values, read from one YAML page."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crowd3d import config
from crowd3d.errors import ConfigError
from crowd3d.training.augment import AugmentRecipe
from crowd3d.training.head_keep import KeepRecipe
from crowd3d.training.head_loss import HeadLossWeights
from crowd3d.training.recipe import read_page
from crowd3d.training.tiles import TileRecipe


@dataclass(frozen=True)
class NetworkRecipe:
    """Size of `crowd3d.models.heads.HeadNet`."""

    appearance: int = 16
    point: int = 12
    hidden: int = 64
    width: int = 256
    depth: int = 2
    dropout: float = 0.1


@dataclass(frozen=True)
class HeadRecipe:
    """Everything that decides the weights."""

    seed: int = 0
    steps: int = 3000
    batch: int = 256  # people a step; with a trunk that is trained, whoever is in the tiles
    learning_rate: float = 1.0e-3
    warmup: int = 100
    weight_decay: float = 0.05
    average: float = 0.998  # of the weights, exponential
    no_appearance: float = 0.15  # share of people whose appearance is withheld
    feature_noise: float = 0.1  # on the trunk's features, in their standard deviations
    views: int = 2  # ways to see each tile, computed once; frozen trunk only
    train_trunk: bool = False
    trunk_learning_rate: float = 5.0e-6  # more, and its maps are gone within a few steps
    tiles_per_step: int = 16  # trained trunk only
    workers: int = 1  # processes that render
    log_every: int = 50
    check_every: int = 500
    checkpoint_minutes: float = 3.0
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    tiles: TileRecipe = field(default_factory=TileRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    keep: KeepRecipe = field(default_factory=KeepRecipe)
    loss: HeadLossWeights = field(default_factory=HeadLossWeights)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


# They change how long a run takes and what it tells, but no weight.
_INDIFFERENT = ("workers", "log_every", "check_every", "checkpoint_minutes")


def identity(recipe: HeadRecipe) -> dict[str, Any]:
    """What of a recipe decides the weights."""
    return {k: v for k, v in recipe.to_dict().items() if k not in _INDIFFERENT}


def find_recipe(name: str | Path) -> Path:
    """A file, or the name of a recipe that ships with the package: heads_cpu is heads_cpu_recipe.yaml.

    Raises:
        ConfigError: there is no such recipe; names the nearest one.
    """
    files = (f for f in config._presets().iterdir() if f.name.startswith("heads_"))
    shipped = {f.name.removesuffix("_recipe.yaml"): Path(str(f)) for f in files}
    if str(name) in shipped:
        return shipped[str(name)]
    if Path(name).is_file():
        return Path(name)
    near = difflib.get_close_matches(str(name), shipped, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"there is no recipe {name}; shipped are {', '.join(sorted(shipped))}{hint}")


def read_recipe(path: str | Path, *, tile_count: int | None = None, **changes: Any) -> HeadRecipe:
    """A recipe from YAML; `changes` that are not None override its top level, `tile_count` its
    tiles, of which a quarter as many validate.

    Raises:
        ConfigError: the file cannot be read, or holds an unknown key or a value of the wrong kind.
    """
    recipe = read_page(HeadRecipe, path, **changes)
    if tile_count is not None:
        held_out = min(recipe.tiles.held_out, max(1, tile_count // 4))
        tiles = replace(recipe.tiles, count=tile_count, held_out=held_out)
        recipe = replace(recipe, tiles=tiles)
    if min(recipe.steps, recipe.batch, recipe.tiles.count, recipe.tiles.held_out) < 1:
        raise ConfigError(f"{path}: steps, batch and numbers of tiles must be at least 1")
    if recipe.tiles.side_px % 32:
        raise ConfigError(f"{path}: side_px must be a multiple of 32, not {recipe.tiles.side_px}")
    return recipe
