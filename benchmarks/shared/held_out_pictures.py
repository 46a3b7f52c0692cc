"""Scenes in the style of the training recipe of crowdnet-s, with seeds that were not used in training."""

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
    """Yield seed, scene and truth of pictures that are not painted yet.

    Args:
        poses: the poses of people are drawn from these.
    """
    for seed in seeds:
        setting = sample_scene(recipe, seed, poses)
        yield seed, setting, truth_of(setting)
