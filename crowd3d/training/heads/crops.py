"""Makes the crops that heads-s learns from: crowds of rendered people, their heads and their limbs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.models.heads_s import LIMBS
from crowd3d.scene.sizes import HEAD_OF_STATURE
from crowd3d.training.common.light import relit
from crowd3d.training.common.renders import Render, halvings
from crowd3d.training.heads.recipe import CropRecipe, Recipe

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Single = npt.NDArray[np.float32]
Rng = np.random.Generator

_LEVELS = 4  # of the pyramid: the picture and three halvings
_MOST_SCALE = 2.5  # a scene is not enlarged more
_NEAREST_M = 0.3  # people nearer to the camera are left out
_CORE = 0.4  # radius, in heads, of the part of a head that is asked whether it is seen
_EARS = [3, 4]
_SIDES = np.array([1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10])  # limbs of the other side, in a mirror


class Scene(NamedTuple):
    """A picture and whose heads are where.

    Attributes:
        levels: the picture (H, W, 3) RGB, and its halvings.
        middle_px: (N, 2) of heads; head_px: (N,) their heights; seen: (N,) share that is seen.
        limbs_px: (N, 12, 3) u, v and COCO's visibility of shoulders to ankles.
    """

    levels: list[Pixels]
    middle_px: FloatArray
    head_px: FloatArray
    seen: FloatArray
    limbs_px: FloatArray


class Crop(NamedTuple):
    """A crop (S, S, 3) RGB; the other fields are as of `Scene`, in its pixels."""

    pixels: Pixels
    middle_px: FloatArray
    head_px: FloatArray
    seen: FloatArray
    limbs_px: FloatArray


def scene_of(render: Render) -> Scene:
    """What heads-s learns of a rendered picture."""
    truth = render.truth
    ears_m, ears_px = truth.keypoints_m[:, _EARS].mean(1), truth.keypoints_px[:, _EARS, :2].mean(1)
    depth_m = ears_m[:, 2]
    known = np.isfinite(ears_px).all(axis=1) & (depth_m > _NEAREST_M)
    ahead_m = np.where(known, depth_m, 1.0)
    head_px = float(truth.focal_px) * HEAD_OF_STATURE * truth.stature_m / ahead_m
    seen = [
        _share_seen(render.who, middle, _CORE * height, int(number) + 1)
        for middle, height, number in zip(
            ears_px[known], head_px[known], truth.id[known], strict=True
        )
    ]
    limbs = truth.keypoints_px[known][:, LIMBS.start :]
    levels = halvings(render.picture, _LEVELS)
    return Scene(levels, ears_px[known], head_px[known], np.array(seen), limbs)


def _share_seen(
    who: npt.NDArray[np.uint16], middle_px: FloatArray, radius_px: float, number: int
) -> float:
    """Share of a disc that shows somebody."""
    radius = max(radius_px, 0.75)
    low = np.floor(middle_px - radius).astype(int).clip(0)
    high = (np.floor(middle_px + radius).astype(int) + 1).clip(0)
    part = who[low[1] : high[1], low[0] : high[0]]
    v, u = np.mgrid[low[1] : low[1] + part.shape[0], low[0] : low[0] + part.shape[1]] + 0.5
    inside = np.hypot(u - middle_px[0], v - middle_px[1]) <= radius
    return min(1.0, float((inside & (part == number)).sum()) / (math.pi * radius**2))


def crop(scenes: Sequence[Scene], textures: Sequence[Pixels], recipe: Recipe, rng: Rng) -> Crop:
    """One crop, all of it drawn from `rng`."""
    wanted = recipe.crops
    if rng.random() < wanted.made_up:
        picture = _part(textures[int(rng.integers(len(textures)))], wanted.side_px, rng)
        people = _nobody()
    else:
        picture, people = _window(scenes[int(rng.integers(len(scenes)))], wanted, rng)
    if rng.random() < 0.5:
        picture, people = picture[:, ::-1], _mirrored(people, wanted.side_px)
    picture = np.ascontiguousarray(picture)
    if rng.random() < wanted.reduced:
        picture = _reduced(picture, wanted, rng)
    if rng.random() < wanted.marked:
        picture = _marked(picture, rng)
    return Crop(relit(picture, recipe.light, rng), *people)


def _nobody() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    return np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros((0, len(LIMBS), 3))


def _mirrored(
    people: tuple[FloatArray, FloatArray, FloatArray, FloatArray], side: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    middle, head, seen, limbs = people
    middle, limbs = middle.copy(), limbs[:, _SIDES]
    middle[:, 0] = side - middle[:, 0]
    limbs[..., 0] = side - limbs[..., 0]
    return middle, head, seen, limbs


def _part(texture: Pixels, side: int, rng: Rng) -> Single:
    """A part of a texture as (S, S, 3) 0..1, turned by right angles."""
    x, y = rng.integers(0, np.array(texture.shape[1::-1]) - side + 1)
    part = np.rot90(texture[y : y + side, x : x + side], int(rng.integers(4)))
    return np.asarray(part, np.float32) / np.float32(255)


def _between(ends: tuple[float, float], rng: Rng) -> float:
    """Evenly by the logarithm."""
    return math.exp(rng.uniform(math.log(ends[0]), math.log(ends[1])))


def _window(
    scene: Scene, wanted: CropRecipe, rng: Rng
) -> tuple[Single, tuple[FloatArray, FloatArray, FloatArray, FloatArray]]:
    """A part of a scene, about somebody's head or anywhere, at a scale at which heads have a height wanted."""
    side = wanted.side_px
    height, width = scene.levels[0].shape[:2]
    scale, middle = _between((0.3, 2.0), rng), rng.uniform(0, 1, 2) * (width, height)
    worth = np.flatnonzero((scene.seen > 0.3) & (scene.head_px > 3))
    if len(worth) and rng.random() < wanted.about_somebody:
        row = int(rng.choice(worth))
        scale = _between(wanted.head_px, rng) / scene.head_px[row]
        middle = scene.middle_px[row] + rng.uniform(-0.45, 0.45, 2) * side / scale
    scale = float(np.clip(scale, side / min(width, height), _MOST_SCALE))
    corner = np.clip(middle - side / scale / 2, 0, np.array([width, height]) - side / scale)
    level = min(int(max(0.0, -math.log2(scale))), len(scene.levels) - 1)
    share = scene.levels[level].shape[1] / width
    shift = 0.5 * scale / share - corner * scale - 0.5  # of pixel centres
    matrix = np.array([[scale / share, 0, shift[0]], [0, scale / share, shift[1]]])
    pixels = cv2.warpAffine(
        scene.levels[level],
        matrix,
        (side, side),
        flags=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    found = (scene.middle_px - corner) * scale
    near = ((found > -20) & (found < side + 20)).all(axis=1)
    limbs = scene.limbs_px[near].copy()
    limbs[..., :2] = (limbs[..., :2] - corner) * scale
    people = (found[near], scene.head_px[near] * scale, scene.seen[near], limbs)
    return np.asarray(pixels, np.float32) / np.float32(255), people


def _reduced(picture: Single, wanted: CropRecipe, rng: Rng) -> Single:
    """The picture as if it had been enlarged from a smaller one."""
    side = picture.shape[0]
    small = max(8, round(side / _between(wanted.reduced_by, rng)))
    less = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.resize(less, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1), np.float32
    )


def _marked(picture: Single, rng: Rng) -> Single:
    """The picture under the translucent name of an agency."""
    side = picture.shape[0]
    mark = np.zeros((side, side), np.uint8)
    at = (int(rng.integers(-side // 4, side // 6)), int(rng.integers(side // 8, side)))
    size, thick = rng.uniform(0.8, 3.0), int(rng.integers(1, 6))
    cv2.putText(mark, "photo" * 3, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, thick, cv2.LINE_AA)
    share = mark[..., None].astype(np.float32) / 255 * np.float32(rng.uniform(0.1, 0.4))
    return np.asarray(picture + share * (1 - picture), np.float32)
