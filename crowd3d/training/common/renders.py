"""Rendered pictures that networks learn from: made once, kept in a folder, read with their truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.errors import DataError
from crowd3d.progress import Reporter
from crowd3d.synth import Truth, synthesize
from crowd3d.synth.place.presets import preset
from crowd3d.training.common.run_folder import claim
from crowd3d.training.facing.recipe import Scenes

Pixels = npt.NDArray[np.uint8]


class Render(NamedTuple):
    """A picture (H, W, 3) RGB, whose pixels they are (H, W; 0 nobody, else the id + 1), and the truth."""

    picture: Pixels
    who: npt.NDArray[np.uint16]
    truth: Truth


def load_renders(
    group: Mapping[str, Scenes], renders: Path, progress: Reporter
) -> Iterator[Render]:
    """Every picture of a group; arguments and errors as of `render_folders`.

    Raises:
        DataError: a picture is damaged.
    """
    return map(_read, render_folders(group, renders, progress))


def render_folders(
    group: Mapping[str, Scenes], renders: Path, progress: Reporter
) -> Iterator[Path]:
    """The folder of every picture of a group, by preset; those that are not in `renders` are rendered into it.

    Raises:
        ConfigError: an unknown preset, or a size or number out of range.
        OutputError: a folder cannot be written, or holds a scene of another recipe.
    """
    for name in group:
        preset(name)  # an unknown one is told before hours of rendering
    progress.start("scenes", sum(len(scenes.numbers()) for scenes in group.values()))
    for name, scenes in group.items():
        for seed in scenes.numbers():
            folder = renders / f"{name}-{seed}"
            _render(folder, name, seed, scenes)
            yield folder
            progress.advance()


def halvings(picture: Pixels, count: int) -> list[Pixels]:
    """The picture and its halvings, `count` in all."""
    levels = [np.ascontiguousarray(picture, np.uint8)]
    while len(levels) < count:
        height, width = levels[-1].shape[:2]
        half = cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(half, np.uint8))
    return levels


def _render(folder: Path, name: str, seed: int, scenes: Scenes) -> None:
    """Make a scene of a preset unless it is there."""
    size = (scenes.width, scenes.height)
    recipe = {"preset": name, "seed": seed, "size": size, "people": scenes.people}
    claim(folder, recipe | {"segmentation": True})
    if not (folder / "camera.json").exists():  # written last
        synthesize(
            folder,
            seed=seed,
            size=size,
            n_people=scenes.people,
            preset_name=name,
            segmentation=True,
        )


def _read(folder: Path) -> Render:
    truth = Truth.load(folder / "truth.npz")
    picture = cv2.imread(str(folder / "image.jpg"), cv2.IMREAD_COLOR)
    who = cv2.imread(str(folder / "segmentation.png"), cv2.IMREAD_UNCHANGED)
    if picture is None or who is None or picture.shape[:2] != who.shape:
        raise DataError(
            f"a picture in {folder} is damaged; delete the folder, and it is made again"
        )
    return Render(
        np.ascontiguousarray(picture[..., ::-1], np.uint8), np.asarray(who, np.uint16), truth
    )
