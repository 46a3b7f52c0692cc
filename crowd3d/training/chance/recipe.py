"""The recipe of the probability of a candidate: everything that decides it, as typed values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowd3d.training.common.recipe import read_page
from crowd3d.training.facing.recipe import Scenes, check_pictures

SHIPPED = "chance"  # the page of the embedded regression


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the regression.

    Attributes:
        min_center_score, min_head_score: of what counts as a look, lower than in a run.
        scenes, sparse: learned from, crowds and a few people; held_out: measured by.
    """

    min_center_score: float = 0.1
    min_head_score: float = 0.15
    scenes: dict[str, Scenes] = field(default_factory=dict)
    sparse: dict[str, Scenes] = field(default_factory=dict)
    held_out: dict[str, Scenes] = field(default_factory=dict)


def read_recipe(page: str | Path = SHIPPED, **changes: Any) -> Recipe:
    """The recipe from a page of that name or a YAML file; arguments and errors as of `read_page`."""
    recipe = read_page(Recipe, page, **changes)
    check_pictures(page, scenes=recipe.scenes, sparse=recipe.sparse, held_out=recipe.held_out)
    return recipe
