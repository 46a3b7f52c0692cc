"""A tile seen otherwise: mirrored, nearer or farther, in other light, by a worse camera; its truth follows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.body.tree import COCO_MIRROR, JOINT_MIRROR
from crowd3d.synth import Truth
from crowd3d.training.tiles import Tile

FloatArray = npt.NDArray[np.float64]
Rng = np.random.Generator

_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class AugmentRecipe:
    """How much; shares are probabilities."""

    mirror: float = 0.5
    zoom: tuple[float, float] = (0.75, 1.25)
    gain_sd: float = 0.25  # of the logarithm of the light
    contrast_sd: float = 0.15
    saturation: tuple[float, float] = (0.3, 1.4)
    tint_sd: float = 0.08
    gamma_sd: float = 0.15
    grey: float = 0.08
    blur: float = 0.35
    blur_px: tuple[float, float] = (0.4, 1.6)
    noise: float = 0.4
    noise_sd: tuple[float, float] = (2.0, 12.0)  # of 255
    jpeg: float = 0.3
    jpeg_quality: tuple[int, int] = (25, 80)


def augment(tile: Tile, recipe: AugmentRecipe, rng: Rng) -> Tile:
    """One way to see a tile, of the same size."""
    if rng.random() < recipe.mirror:
        tile = mirrored(tile)
    side = tile.rgb.shape[0]
    factor = math.exp(rng.uniform(*np.log(recipe.zoom)))
    shift = rng.uniform(0, 1, 2) * (side - factor * side)
    tile = zoomed(tile, factor, shift)
    return replace(tile, rgb=spoiled(tile.rgb, recipe, rng))


def mirrored(tile: Tile) -> Tile:
    """The tile in a mirror: left and right of people exchange."""
    truth, width = tile.truth, tile.rgb.shape[1]

    def points_px(points: FloatArray) -> FloatArray:
        return np.stack([width - points[..., 0], points[..., 1]], axis=-1)

    keypoints = truth.keypoints_px[:, list(COCO_MIRROR)].copy()
    keypoints[..., :2] = points_px(keypoints[..., :2])
    left, top, right, bottom = truth.boxes_px.T
    seen = replace(
        truth,
        pose=mirrored_pose(truth.pose),
        transl_m=_mirrored_transl(truth),
        joints_m=truth.joints_m[:, list(JOINT_MIRROR)] * _MIRROR,
        torso_m=truth.torso_m * _MIRROR,
        hvip_m=truth.hvip_m * _MIRROR,
        torso_px=points_px(truth.torso_px),
        hvip_px=points_px(truth.hvip_px),
        keypoints_px=keypoints,
        keypoints_m=truth.keypoints_m[:, list(COCO_MIRROR)] * _MIRROR,
        boxes_px=np.stack([width - right, top, width - left, bottom], axis=1),
        normals=truth.normals * _MIRROR,
        center_px=points_px(truth.center_px),
    )
    return Tile(np.ascontiguousarray(tile.rgb[:, ::-1]), seen)


def mirrored_pose(pose: FloatArray) -> FloatArray:
    """(N, 24, 3) axis-angle of mirrored people: M R M turns about the mirrored axis the other way."""
    return np.asarray(pose[:, list(JOINT_MIRROR)] * -_MIRROR)


def _mirrored_transl(truth: Truth) -> FloatArray:
    """The rest pelvis lies in the mirror plane of the body, so that translations mirror as points do."""
    return np.asarray(truth.transl_m * _MIRROR)


def zoomed(tile: Tile, factor: float, shift_px: FloatArray) -> Tile:
    """The tile enlarged, then shifted; beyond its border the picture is black."""
    truth, (height, width) = tile.truth, tile.rgb.shape[:2]
    matrix = np.array([[factor, 0.0, shift_px[0]], [0.0, factor, shift_px[1]]])
    # OpenCV counts from the first pixel's centre, we count from its corner.
    centers = matrix.copy()
    centers[:, 2] += 0.5 * factor - 0.5
    rgb: npt.NDArray[Any] = tile.rgb
    if factor < 1:
        rgb = cv2.GaussianBlur(rgb, (0, 0), 0.45 * math.sqrt(1 / factor**2 - 1) + 1e-3)
    rgb = cv2.warpAffine(
        rgb, centers, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    keypoints = truth.keypoints_px.copy()
    keypoints[..., :2] = keypoints[..., :2] * factor + shift_px
    seen = replace(
        truth,
        torso_px=truth.torso_px * factor + shift_px,
        hvip_px=truth.hvip_px * factor + shift_px,
        keypoints_px=keypoints,
        boxes_px=truth.boxes_px * factor + np.tile(shift_px, 2),
        focal_px=np.array(float(truth.focal_px) * factor),
        center_px=truth.center_px * factor + shift_px,
    )
    return Tile(np.asarray(rgb, np.uint8), seen)


def spoiled(rgb: npt.NDArray[np.uint8], recipe: AugmentRecipe, rng: Rng) -> npt.NDArray[np.uint8]:
    """Other light, colours, lens, sensor and file of the same view."""
    image: npt.NDArray[Any] = rgb.astype(np.float32) / 255
    if rng.random() < recipe.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(*recipe.blur_px)))
    image = image ** np.float32(math.exp(rng.normal(0, recipe.gamma_sd)))
    grey = image.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < recipe.grey else rng.uniform(*recipe.saturation)
    image = grey + np.float32(saturation) * (image - grey)
    contrast = math.exp(rng.normal(0, recipe.contrast_sd))
    middle = float(image.mean())
    image = middle + np.float32(contrast) * (image - middle)
    gain = math.exp(rng.normal(0, recipe.gain_sd)) * (1 + rng.normal(0, recipe.tint_sd, 3))
    image = image * gain.astype(np.float32) * 255
    if rng.random() < recipe.noise:
        sd = rng.uniform(*recipe.noise_sd)
        image = image + np.float32(sd) * rng.standard_normal(image.shape, dtype=np.float32)
    out: npt.NDArray[Any] = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < recipe.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*recipe.jpeg_quality))]
        _, code = cv2.imencode(".jpg", out, quality)
        out = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))
    return np.asarray(out, np.uint8)
