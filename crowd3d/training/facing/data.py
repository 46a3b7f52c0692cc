"""Makes what the facing readout learns from: features of windows about rendered people, and their headings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import tiling
from crowd3d.detect import facing
from crowd3d.export.floorplan import body_facing
from crowd3d.models.engine import torch_engine
from crowd3d.picture.windows import FLAT
from crowd3d.progress import Reporter
from crowd3d.synth import Truth, synthesize
from crowd3d.synth.place.presets import preset
from crowd3d.training.common.run_folder import claim
from crowd3d.training.facing.recipe import Recipe, Scenes, WindowRecipe

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

_WINDOWS_PER_PASS = 8


class People(NamedTuple):
    """What is seen of N people, and where they face.

    Attributes:
        seen: (N, 2, F) features of windows and of their mirror images.
        heading: (N,) radians, see `heading_rad`.
        is_poor: (N,) windows as of a poor camera.
    """

    seen: Tensor
    heading: Tensor
    is_poor: Tensor


def load_scenes(recipe: Recipe, renders: Path, device: str, progress: Reporter) -> list[People]:
    """The people of every scene of a recipe; scenes that are not in the folder `renders` are rendered into it.

    Raises:
        ConfigError: an unknown preset, or a size or number out of range.
        OutputError: a folder cannot be written, or holds a scene of another recipe.
    """
    for name in recipe.scenes:
        preset(name)  # an unknown one is told before hours of rendering
    progress.start("scenes", sum(len(scenes.numbers()) for scenes in recipe.scenes.values()))
    found = []
    for name, scenes in recipe.scenes.items():
        for seed in scenes.numbers():
            folder = renders / f"{name}-{seed}"
            render(folder, name, seed, scenes)
            found.append(scene_people(folder, seed, recipe.windows, device))
            progress.advance()
    return found


def render(folder: Path, name: str, seed: int, scenes: Scenes) -> None:
    """Make a scene of a preset unless it is there; errors as of `load_scenes`."""
    size = (scenes.width, scenes.height)
    claim(folder, {"preset": name, "seed": seed, "size": size, "people": scenes.people})
    if not (folder / "camera.json").exists():  # written last
        synthesize(folder, seed=seed, size=size, n_people=scenes.people, preset_name=name)


def scene_people(folder: Path, seed: int, recipe: WindowRecipe, device: str = "cpu") -> People:
    """The people of a scene, each four times: as rendered and in another light, sharp and poor."""
    truth, rng = Truth.load(folder / "truth.npz"), np.random.default_rng(seed)
    tall = truth.boxes_px[:, 3] - truth.boxes_px[:, 1] > recipe.min_height_px
    seen = (truth.visibility > recipe.min_visible) & (truth.inside > recipe.min_inside)
    rows = np.flatnonzero(tall & seen & ~truth.seated)
    pixels: list[Pixels] = []
    with tiling.open_image(folder / "image.jpg", max_pixels=10**9) as source:
        source.prepare()
        for row in rows:
            for is_relit in (False, True):
                box = jittered(truth.boxes_px[row], recipe, rng)
                window = FLAT.read(source, facing.person_window(box))
                sharp = relit(window, recipe, rng) if is_relit else window
                pixels += [sharp, poor_copy(sharp, recipe, rng)]
    network = facing.network(torch_engine(device))
    step = _WINDOWS_PER_PASS
    parts = [
        facing.both_ways(network, np.stack(pixels[i : i + step]))
        for i in range(0, len(pixels), step)
    ]
    nobody = torch.zeros(0, 2, facing.N_FEATURES)
    heading = torch.from_numpy(heading_rad(truth, rows).repeat(4)).float()
    return People(torch.cat([nobody, *parts]), heading, torch.arange(len(heading)) % 2 == 1)


def joined(parts: Sequence[People]) -> People:
    """The people of all parts."""
    return People(*(torch.cat(values) for values in zip(*parts, strict=True)))


def heading_rad(truth: Truth, rows: npt.NDArray[np.int64]) -> FloatArray:
    """(N,) angle on the level from the way to the camera to where people face, rightwards in the picture."""
    up = truth.normals[truth.plane[rows]]
    away = truth.torso_m[rows] - (truth.torso_m[rows] * up).sum(1, keepdims=True) * up
    forward = body_facing(truth.pose[rows, 0])
    right = np.cross(away, up)
    scale = np.linalg.norm(away, axis=1)
    return np.asarray(
        np.arctan2((forward * right).sum(1) / scale, -(forward * away).sum(1) / scale)
    )


def jittered(box_px: FloatArray, recipe: WindowRecipe, rng: np.random.Generator) -> FloatArray:
    """A true box (4,) as a detector might have it."""
    middle, size = (box_px[:2] + box_px[2:]) / 2, box_px[2:] - box_px[:2]
    middle = middle + rng.normal(0, recipe.shift_sd, 2) * size[1]
    size = size * np.exp(rng.normal(0, recipe.scale_sd))
    return np.concatenate([middle - size / 2, middle + size / 2])


# `training.crops.spoil.spoiled` changes light too. Both stay: each draws its own numbers in its own order, and
# the embedded weights of both trainings come from exactly these pictures.
def relit(pixels: Pixels, recipe: WindowRecipe, rng: np.random.Generator) -> Pixels:
    """A window in other light: another gamma, tint, saturation and contrast."""
    x = (pixels / 255.0) ** np.exp(rng.normal(0, recipe.gamma_sd))
    x = x * np.exp(rng.normal(0, recipe.tint_sd, 3))
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * rng.uniform(*recipe.saturation)
    x = x.mean() + (x - x.mean()) * np.exp(rng.normal(0, recipe.contrast_sd))
    return np.asarray(x.clip(0, 1) * 255 + 0.5, np.uint8)


def poor_copy(pixels: Pixels, recipe: WindowRecipe, rng: np.random.Generator) -> Pixels:
    """A window as a poor camera far away at night would have taken it."""
    height_px = np.exp(rng.uniform(*np.log(recipe.poor_height_px)))
    share = min(height_px / facing.PERSON_PX, 1.0)
    size = (round(pixels.shape[1] * share), round(pixels.shape[0] * share))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    gain, offset = rng.uniform(*recipe.poor_gain), rng.uniform(*recipe.poor_offset)
    coded = poorly_coded(small, gain, offset, int(rng.uniform(*recipe.poor_quality)))
    return np.asarray(cv2.resize(coded, facing.WINDOW_PX, interpolation=cv2.INTER_LINEAR), np.uint8)


def poorly_coded(small: Pixels, gain: float, offset: float, quality: int) -> Pixels:
    """A picture in dim and hazy light, out of a JPEG."""
    dim = np.clip(small * gain + offset, 0, 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", dim, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
