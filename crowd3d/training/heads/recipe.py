"""The recipe of heads-s: everything that decides its weights, as typed values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowd3d.errors import ConfigError
from crowd3d.training.common.light import LightRecipe
from crowd3d.training.common.recipe import read_page
from crowd3d.training.facing.recipe import Scenes, check_pictures

SHIPPED = "heads"  # the page of the embedded weights


@dataclass(frozen=True)
class CropRecipe:
    """What crops show. Names without a unit are probabilities; pairs are from and to.

    Attributes:
        side_px: of a crop, a multiple of 32.
        textures: how many made-up backgrounds there are, of `texture_px`.
        made_up: of a made-up background alone.
        about_somebody: of a crop of a scene about somebody's head, and not anywhere.
        head_px: heights of the head about which a crop is cut, evenly by the logarithm.
        meant_px: heights of heads that must be found; others may be.
        seen: share of a head that must be seen for it to count; a head of which less than `hidden` is seen does
            not count; those between may be found.
        reduced: of a picture that was smaller before, by `reduced_by`.
        marked: of a watermark.
    """

    side_px: int = 256
    textures: int = 300
    texture_px: int = 320
    made_up: float = 0.12
    about_somebody: float = 0.9
    head_px: tuple[float, float] = (5.0, 34.0)
    meant_px: tuple[float, float] = (4.0, 44.0)
    seen: float = 0.45
    hidden: float = 0.15
    reduced: float = 0.3
    reduced_by: tuple[float, float] = (1.3, 3.5)
    marked: float = 0.12


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights.

    Attributes:
        most_norm: of the gradient; a longer one is shortened.
        size, limbs: weights of a head's height and of where the body is, against finding it.
        hidden_limb: weight of a limb that is hidden against one that is seen; unseen_limb: of one outside.
        held_out: scenes of which the measurements are made; nothing is learned from them.
        judged: crops of them that are measured.
    """

    seed: int = 0
    steps: int = 4000
    batch: int = 12
    learning_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.01
    most_norm: float = 5.0
    size: float = 1.0
    limbs: float = 0.7
    hidden_limb: float = 0.4
    unseen_limb: float = 0.15
    crops: CropRecipe = field(default_factory=CropRecipe)
    light: LightRecipe = field(default_factory=LightRecipe)
    scenes: dict[str, Scenes] = field(default_factory=dict)
    held_out: dict[str, Scenes] = field(default_factory=dict)
    judged: int = 500


def read_recipe(page: str | Path = SHIPPED, **changes: Any) -> Recipe:
    """The recipe from a page of that name or a YAML file; arguments and errors as of `read_page`."""
    recipe = read_page(Recipe, page, **changes)
    check_pictures(page, scenes=recipe.scenes, held_out=recipe.held_out)
    side = recipe.crops.side_px
    if side < 64 or side % 32:
        raise ConfigError(f"{page}: side_px must be a multiple of 32 from 64, not {side}")
    return recipe
