"""The recipe of glance-s: everything that decides its weights, as typed values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowd3d.errors import ConfigError
from crowd3d.training.common.light import LightRecipe
from crowd3d.training.common.recipe import read_page
from crowd3d.training.facing.recipe import Scenes, check_pictures

SHIPPED = "glance"  # the page of the embedded weights


@dataclass(frozen=True)
class CropRecipe:
    """What crops show. Names without a unit are probabilities; pairs are from and to.

    Attributes:
        side_px: of a crop, a multiple of 16.
        textures: how many made-up backgrounds there are, of `texture_px`.
        made_up: of a made-up background instead of one out of a scene.
        pasted: of cut-out people pasted in; up to `most_pasted`.
        crowded: of a crowd among those; up to `crowd` people.
        behind: of a person whose lower part is behind something.
        covered: of something in front of them.
        height_px: of people, evenly by the logarithm.
        meant_px: those who must be found; the others are neither here nor there.
        min_visible: of a person who must be found.
        min_contrast: likewise, as the deviation of the light in their box, of 255.
        blend: most that a pasted person takes on of the colour around.
    """

    side_px: int = 128
    textures: int = 400
    texture_px: int = 256
    made_up: float = 0.45
    pasted: float = 0.6
    most_pasted: int = 8
    crowded: float = 0.2
    crowd: int = 40
    behind: float = 0.15
    covered: float = 0.2
    height_px: tuple[float, float] = (18.0, 64.0)
    meant_px: tuple[float, float] = (20.0, 60.0)
    min_visible: float = 0.3
    min_contrast: float = 3.0
    blend: float = 0.5


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights.

    Attributes:
        most_norm: of the gradient; a longer one is shortened.
        nobody: weight of the cells where nobody is against that of people.
        emphasis: how much more a person counts who is missed than one who is found.
        every_cell: weight of all cells of a person against that of the best one.
        held_out: scenes of which the measurements are made; nothing is learned from them.
        judged: crops of them that are measured.
    """

    seed: int = 0
    steps: int = 4000
    batch: int = 32
    learning_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.01
    most_norm: float = 5.0
    nobody: float = 2.0
    emphasis: float = 2.0
    every_cell: float = 0.2
    crops: CropRecipe = field(default_factory=CropRecipe)
    light: LightRecipe = field(default_factory=LightRecipe)
    scenes: dict[str, Scenes] = field(default_factory=dict)
    held_out: dict[str, Scenes] = field(default_factory=dict)
    judged: int = 1000


def read_recipe(page: str | Path = SHIPPED, **changes: Any) -> Recipe:
    """The recipe from a page of that name or a YAML file; arguments and errors as of `read_page`."""
    recipe = read_page(Recipe, page, **changes)
    check_pictures(page, scenes=recipe.scenes, held_out=recipe.held_out)
    side = recipe.crops.side_px
    if side < 32 or side % 16:
        raise ConfigError(f"{page}: side_px must be a multiple of 16 from 32, not {side}")
    return recipe
