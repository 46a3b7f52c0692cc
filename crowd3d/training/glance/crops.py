"""Makes the crops that glance-s learns from: people of the sizes it answers for, before anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.training.common.light import relit
from crowd3d.training.common.textures import scattered
from crowd3d.training.glance.recipe import CropRecipe, Recipe
from crowd3d.training.glance.scenes import Scene

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Single = npt.NDArray[np.float32]
Rng = np.random.Generator

_MOST_SCALE = 1.5  # a scene is not enlarged more
_LEAST_INSIDE = 0.6  # of a person's box in the crop


class Material(NamedTuple):
    """What crops are made of: scenes, and made-up textures (T, T, 3) without anybody."""

    scenes: Sequence[Scene]
    textures: Sequence[Pixels]


class Crop(NamedTuple):
    """A crop and everybody in it.

    Attributes:
        pixels: (S, S, 3) RGB.
        boxes_px: (N, 4) xyxy; people whom the border cuts have boxes that go on beyond it, or end there.
        is_meant: (N,) who must be found; the others may be.
    """

    pixels: Pixels
    boxes_px: FloatArray
    is_meant: npt.NDArray[np.bool_]


def crop(material: Material, recipe: Recipe, rng: Rng) -> Crop:
    """One crop, all of it drawn from `rng`."""
    wanted, scenes = recipe.crops, material.scenes
    side = wanted.side_px
    if rng.random() < wanted.made_up:
        picture = _part(material.textures[int(rng.integers(len(material.textures)))], side, rng)
        boxes, visible = np.zeros((0, 4)), np.zeros(0)
    else:
        scene = scenes[int(rng.integers(len(scenes)))]
        picture, boxes, visible = _window(scene, wanted, rng)
    if rng.random() < wanted.pasted:
        picture, more, how_visible = _with_people(picture, scenes, wanted, rng)
        # Whoever was there before may be hidden now, so they need not be found.
        visible = np.where(_overlaps(boxes, more), 0.0, visible)
        boxes, visible = np.concatenate([boxes, more]), np.concatenate([visible, how_visible])
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
        boxes = np.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], axis=1)
    pixels = relit(np.ascontiguousarray(picture), recipe.light, rng)
    height = boxes[:, 3] - boxes[:, 1]
    low, high = wanted.meant_px
    is_meant = (height >= low) & (height <= high) & (visible >= wanted.min_visible)
    is_meant &= _inside(boxes, side) >= _LEAST_INSIDE
    return Crop(pixels, boxes, is_meant & (_contrast(pixels, boxes) >= wanted.min_contrast))


def _contrast(pixels: Pixels, boxes: FloatArray) -> FloatArray:
    """(N,) deviation of the light in each box, of 255, without what a camera's noise adds."""
    grey = cv2.GaussianBlur(pixels.mean(axis=2), (0, 0), 1.0)
    corners = np.clip(np.round(boxes), 0, len(grey)).astype(int)
    parts = [grey[y0:y1, x0:x1] for x0, y0, x1, y1 in corners]
    return np.array([part.std() if part.size else 0.0 for part in parts])


def _part(texture: Pixels, side: int, rng: Rng) -> Single:
    """A part of a texture as (S, S, 3) 0..1, turned by right angles."""
    x, y = rng.integers(0, np.array(texture.shape[1::-1]) - side + 1)
    part = np.rot90(texture[y : y + side, x : x + side], int(rng.integers(4)))
    return np.asarray(np.ascontiguousarray(part, np.float32) / 255, np.float32)


def _overlaps(boxes: FloatArray, others: FloatArray) -> npt.NDArray[np.bool_]:
    """(N,) boxes that any of the others touches."""
    meet = (boxes[:, None, :2] < others[None, :, 2:]) & (boxes[:, None, 2:] > others[None, :, :2])
    both = np.asarray(meet.all(axis=2))
    return np.asarray(both.any(axis=1))


def _inside(boxes: FloatArray, side: int) -> FloatArray:
    """(N,) share of each box in the crop."""
    kept = np.clip(boxes, 0, side)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(np.prod(kept[:, 2:] - kept[:, :2], axis=1) / np.maximum(area, 1e-9))


def _height_px(wanted: CropRecipe, rng: Rng) -> float:
    return math.exp(rng.uniform(*np.log(wanted.height_px)))


def _window(scene: Scene, wanted: CropRecipe, rng: Rng) -> tuple[Single, FloatArray, FloatArray]:
    """A part of a scene, about somebody or anywhere, at a scale at which somebody has a height wanted."""
    side = wanted.side_px
    height, width = scene.levels[0].shape[:2]
    scale = math.exp(rng.uniform(math.log(0.25), math.log(_MOST_SCALE)))
    middle = rng.uniform(0, 1, 2) * (width, height)
    if len(scene.boxes_px) and rng.random() < 0.75:
        box = scene.boxes_px[int(rng.integers(len(scene.boxes_px)))]
        scale = min(_MOST_SCALE, _height_px(wanted, rng) / max(1.0, box[3] - box[1]))
        middle = (box[:2] + box[2:]) / 2 + rng.uniform(-0.5, 0.5, 2) * side / scale
    scale = max(scale, side / min(width, height))
    reach = side / scale
    corner = np.clip(middle - reach / 2, 0, np.array([width, height]) - reach)
    level = min(int(max(0.0, -math.log2(scale))), len(scene.levels) - 1)
    share = scene.levels[level].shape[1] / width
    matrix = np.array([[scale / share, 0, 0], [0, scale / share, 0]])
    # Pixel centres: u -> (u + 0.5) * s - corner * scale - 0.5.
    matrix[:, 2] = 0.5 * scale / share - corner * scale - 0.5
    pixels = cv2.warpAffine(
        scene.levels[level],
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    boxes = (scene.boxes_px - np.tile(corner, 2)) * scale
    near = ((boxes[:, 2:] > -8) & (boxes[:, :2] < side + 8)).all(axis=1)
    shown = np.asarray(pixels, np.float32) / np.float32(255)
    return np.asarray(shown), boxes[near], scene.visibility[near]


def _with_people(
    picture: Single, scenes: Sequence[Scene], wanted: CropRecipe, rng: Rng
) -> tuple[Single, FloatArray, FloatArray]:
    """The picture with cut-out people, their boxes and how much of each is to be seen in the end."""
    side = wanted.side_px
    picture, owner = picture.copy(), np.zeros((side, side), np.int64)
    boxes: list[FloatArray] = []
    drawn: list[int] = []
    usual = _height_px(wanted, rng)
    most = wanted.crowd if rng.random() < wanted.crowded else wanted.most_pasted
    feet = rng.uniform((0, 0.15), (1, 1.15), (int(rng.integers(1, most + 1)), 2)) * side
    for foot in feet[np.argsort(feet[:, 1])]:  # the nearer stand in front
        cut_outs = scenes[int(rng.integers(len(scenes)))].cut_outs
        if not cut_outs:
            continue
        rgba = cut_outs[int(rng.integers(len(cut_outs)))]
        height = min(usual * math.exp(rng.normal(0, 0.15)), rgba.shape[0] * _MOST_SCALE)
        box, mask = _paste(picture, rgba, height, foot, wanted, rng)
        owner[mask] = len(boxes) + 1
        boxes.append(box)
        drawn.append(max(1, int(mask.sum())))
    if rng.random() < wanted.covered:
        before = picture[..., 0].copy()
        picture = scattered(picture, int(rng.integers(1, 8)), rng)
        owner[picture[..., 0] != before] = 0
    left = np.bincount(owner.ravel(), minlength=len(boxes) + 1)[1:]
    return picture, np.reshape(boxes, (-1, 4)), left / np.reshape(drawn, (-1,))


def _paste(
    picture: Single, rgba: Pixels, height: float, foot: FloatArray, wanted: CropRecipe, rng: Rng
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Put somebody into the picture; their box (4,) and where they now are (S, S)."""
    side = picture.shape[0]
    scale = height / rgba.shape[0]
    width = rgba.shape[1] * scale * math.exp(rng.normal(0, 0.1))
    corner = np.array([foot[0] - width / 2, foot[1] - height])
    box = np.array([*corner, corner[0] + width, corner[1] + height])
    mask = np.zeros((side, side), bool)
    x0, y0 = np.clip(np.floor(box[:2]).astype(int) - 1, 0, side)
    x1, y1 = np.clip(np.ceil(box[2:]).astype(int) + 1, 0, side)
    if x0 >= x1 or y0 >= y1:
        return box, mask
    if rng.random() < 0.5:
        rgba = rgba[:, ::-1]
    if rng.random() < wanted.behind:
        rgba = rgba.copy()
        rgba[int(rgba.shape[0] * rng.uniform(0.35, 0.8)) :, :, 3] = 0
    if scale < 0.5:  # else reducing would leave pixels out
        half = (max(1, rgba.shape[1] // 2), max(1, rgba.shape[0] // 2))
        rgba = np.asarray(cv2.resize(rgba, half, interpolation=cv2.INTER_AREA), np.uint8)
    steps = np.array([width / rgba.shape[1], height / rgba.shape[0]])
    shift = 0.5 * steps + corner - 0.5 - (x0, y0)  # pixel centres
    matrix = np.concatenate([np.diag(steps), shift[:, None]], axis=1)
    size = (int(x1 - x0), int(y1 - y0))
    front = cv2.warpAffine(np.ascontiguousarray(rgba), matrix, size, flags=cv2.INTER_LINEAR)
    alpha = front[..., 3:].astype(np.float32) / 255
    color = front[..., :3].astype(np.float32) / 255
    tint = np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.06, 3)).astype(np.float32)
    behind = picture[y0:y1, x0:x1]
    blend = np.float32(rng.uniform(0, wanted.blend))
    color = np.clip(color * tint, 0, 1) * (1 - blend) + blend * behind.mean(axis=(0, 1))
    behind += alpha * (color - behind)
    mask[y0:y1, x0:x1] = alpha[..., 0] > 0.5
    return box, mask
