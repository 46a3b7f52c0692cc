"""The recipe of the facing readout: everything that decides its weights, as typed values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowd3d.errors import ConfigError
from crowd3d.training.common.recipe import read_page

SHIPPED = "facing"  # the page of the embedded weights
FOLDS = 4  # parts of the scenes: each is judged by readouts of the others


@dataclass(frozen=True)
class Scenes:
    """Rendered pictures of one preset of `crowd3d synth`.

    Attributes:
        seeds: one picture each; "910-915" stands for six.
    """

    seeds: tuple[str, ...] = ()
    width: int = 1280
    height: int = 960
    people: int = 40

    def numbers(self) -> list[int]:
        """The seeds, one by one; raises ConfigError."""
        found = [re.fullmatch(r"(\d+)-(\d+)", pair) for pair in self.seeds]
        if not all(found):
            raise ConfigError(f"seeds must be pairs like '910-915', not {list(self.seeds)}")
        ends = [(int(pair[1]), int(pair[2])) for pair in found if pair]
        return [seed for first, last in ends for seed in range(first, last + 1)]


def check_pictures(page: str | Path, **groups: dict[str, Scenes]) -> None:
    """Raise ConfigError if a group of scenes of a recipe names no picture."""
    for key, group in groups.items():
        if not any(scenes.numbers() for scenes in group.values()):
            raise ConfigError(f"{page}: {key} names no picture")


@dataclass(frozen=True)
class WindowRecipe:
    """Who of a rendered picture is learned from, and how the windows about them are varied.

    Attributes:
        min_height_px, min_visible, min_inside: of a person; nobody who sits is used.
        scale_sd, shift_sd: how a detector's boxes err: the logarithm of their size, and their place in heights.
        gamma_sd, tint_sd, contrast_sd: of the logarithms of other light; saturation: from, to.
        poor_height_px: of people in the copies as of a poor camera, from, to; so are the next three.
        poor_gain, poor_offset: of that camera's light, 0..255; poor_quality: of its JPEG.
    """

    min_height_px: float = 70.0
    min_visible: float = 0.6
    min_inside: float = 0.8
    scale_sd: float = 0.10
    shift_sd: float = 0.03
    gamma_sd: float = 0.3
    tint_sd: float = 0.08
    contrast_sd: float = 0.25
    saturation: tuple[float, float] = (0.4, 1.3)
    poor_height_px: tuple[float, float] = (40.0, 130.0)
    poor_gain: tuple[float, float] = (0.4, 1.2)
    poor_offset: tuple[float, float] = (0.0, 50.0)
    poor_quality: tuple[float, float] = (25.0, 80.0)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights of the readout."""

    seed: int = 0
    steps: int = 3000
    batch: int = 256
    learning_rate: float = 1e-3
    warmup: int = 0
    weight_decay: float = 0.2
    most_norm: float = 5.0  # of the gradient; a longer one is shortened
    windows: WindowRecipe = field(default_factory=WindowRecipe)
    scenes: dict[str, Scenes] = field(default_factory=dict)


def read_recipe(page: str | Path = SHIPPED, **changes: Any) -> Recipe:
    """The recipe from a page of that name or a YAML file; arguments and errors as of `read_page`."""
    recipe = read_page(Recipe, page, **changes)
    pictures = sum(len(scenes.numbers()) for scenes in recipe.scenes.values())
    if pictures < FOLDS:
        raise ConfigError(f"{page}: scenes name {pictures} pictures; at least {FOLDS} are needed")
    return recipe
