"""Pictures in the style of the recipe of crowdnet-s, of seeds that training never saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crowd3d.synth.draw.render import Setting
from crowd3d.synth.truth import Truth, truth_of
from crowd3d.training.crops.scene import SceneRecipe, sample_scene

RECIPE = Path(__file__).parents[2] / "configs" / "recipes" / "crowdnet_s.yaml"


def settings(
    recipe: SceneRecipe, seeds: range, poses: npt.NDArray[np.float64]
) -> Iterator[tuple[int, Setting, Truth]]:
    """Seed, scene and truth of pictures that are not painted yet; `poses` are drawn from."""
    for seed in seeds:
        setting = sample_scene(recipe, seed, poses)
        yield seed, setting, truth_of(setting)
