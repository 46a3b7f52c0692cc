"""The rendered scenes that glance-s learns from: pictures at several sizes, and everybody in them cut out."""

from __future__ import annotations

from collections.abc import Mapping
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

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

_LEVELS = 4  # of the pyramid: the picture and three halvings
_CUT_OUT_PX = 96  # height at which cut-outs are kept: more than is ever pasted
_CUT_OUT_VISIBLE = 0.75
_CUT_OUT_INSIDE = 0.95
_CUT_OUT_LEAST_PX = 24


class Scene(NamedTuple):
    """A picture and who is in it.

    Attributes:
        levels: the picture (H, W, 3) RGB, and its halvings.
        boxes_px: (N, 4) of people, xyxy in the picture; visibility: (N,).
        cut_outs: RGBA of those who are seen whole, from head to foot.
    """

    levels: list[Pixels]
    boxes_px: FloatArray
    visibility: FloatArray
    cut_outs: list[Pixels]


def load_scenes(group: Mapping[str, Scenes], renders: Path, progress: Reporter) -> list[Scene]:
    """Every scene of a group, by preset; those that are not in the folder `renders` are rendered into it.

    Raises:
        ConfigError: an unknown preset, or a size or number out of range.
        OutputError: a folder cannot be written, or holds a scene of another recipe.
        DataError: a picture is damaged.
    """
    for name in group:
        preset(name)  # an unknown one is told before hours of rendering
    progress.start("scenes", sum(len(scenes.numbers()) for scenes in group.values()))
    found = []
    for name, scenes in group.items():
        for seed in scenes.numbers():
            folder = renders / f"{name}-{seed}"
            _render(folder, name, seed, scenes)
            found.append(_read(folder))
            progress.advance()
    return found


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


def _read(folder: Path) -> Scene:
    truth = Truth.load(folder / "truth.npz")
    picture = cv2.imread(str(folder / "image.jpg"), cv2.IMREAD_COLOR)
    who = cv2.imread(str(folder / "segmentation.png"), cv2.IMREAD_UNCHANGED)
    if picture is None or who is None or picture.shape[:2] != who.shape:
        raise DataError(
            f"a picture in {folder} is damaged; delete the folder, and it is made again"
        )
    levels = [np.ascontiguousarray(picture[..., ::-1], np.uint8)]
    while len(levels) < _LEVELS:
        height, width = levels[-1].shape[:2]
        half = cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(half, np.uint8))
    cut_outs = _cut_outs(levels[0], np.asarray(who, np.uint16), truth)
    return Scene(levels, truth.boxes_px, truth.visibility, cut_outs)


def _cut_outs(picture: Pixels, who: npt.NDArray[np.uint16], truth: Truth) -> list[Pixels]:
    """RGBA of everybody who is seen whole, at most `_CUT_OUT_PX` high."""
    height = truth.boxes_px[:, 3] - truth.boxes_px[:, 1]
    whole = (truth.visibility > _CUT_OUT_VISIBLE) & (truth.inside > _CUT_OUT_INSIDE)
    found = []
    for row in np.flatnonzero(whole & (height >= _CUT_OUT_LEAST_PX)):
        x0, y0 = np.floor(truth.boxes_px[row, :2]).astype(int)
        x1, y1 = np.ceil(truth.boxes_px[row, 2:]).astype(int)
        mask = (who[y0:y1, x0:x1] == truth.id[row] + 1).astype(np.uint8) * 255
        rgba = np.dstack([picture[y0:y1, x0:x1], mask])
        share = min(1.0, _CUT_OUT_PX / rgba.shape[0])
        size = (max(1, round(rgba.shape[1] * share)), max(1, round(rgba.shape[0] * share)))
        found.append(np.asarray(cv2.resize(rgba, size, interpolation=cv2.INTER_AREA), np.uint8))
    return found
