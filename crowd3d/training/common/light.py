"""Changes crops as light, air, camera and file do: shadow, haze, dusk, blur, noise, coarse JPEG."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.training.common.textures import half_plane

Rng = np.random.Generator
Pixels = npt.NDArray[np.uint8]
Single = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LightRecipe:
    """How light, air, camera and file change a crop. Names without a unit are probabilities.

    Attributes:
        gain_sd, gamma_sd, contrast_sd, tint_sd: of logarithms.
        contrast_left: of a picture in haze, from, to, by the logarithm.
        dim_gain: of a dim picture; bright_gain: of an overexposed one; shadow_gain: of a part in shadow.
        noise_sd: of 255.
    """

    gain_sd: float = 0.2
    gamma_sd: float = 0.25
    contrast_sd: float = 0.15
    tint_sd: float = 0.08
    saturation: tuple[float, float] = (0.2, 1.4)
    grey: float = 0.1
    shadow: float = 0.25
    shadow_gain: tuple[float, float] = (0.2, 0.7)
    haze: float = 0.3
    contrast_left: tuple[float, float] = (0.12, 0.9)
    dim: float = 0.15
    dim_gain: tuple[float, float] = (0.15, 0.6)
    bright: float = 0.12
    bright_gain: tuple[float, float] = (1.3, 2.5)
    blur: float = 0.35
    blur_px: tuple[float, float] = (0.3, 1.3)
    sharpen: float = 0.2
    sharpen_by: tuple[float, float] = (0.3, 1.5)
    noise: float = 0.5
    noise_sd: tuple[float, float] = (1.0, 14.0)
    jpeg: float = 0.6
    jpeg_quality: tuple[float, float] = (30.0, 95.0)


def relit(picture: Single, recipe: LightRecipe, rng: Rng) -> Pixels:
    """(S, S, 3) 0..1 -> 0..255: the same view on another day by another camera."""
    x = _focused(picture, recipe, rng)
    x = _colored(x, recipe, rng)
    if rng.random() < recipe.shadow:
        dark = half_plane(x.shape[0], rng) & half_plane(x.shape[0], rng)
        x = np.where(dark[..., None], x * np.float32(rng.uniform(*recipe.shadow_gain)), x)
    left = 1.0
    if rng.random() < recipe.haze:
        left = _between(recipe.contrast_left, rng)
        air = rng.uniform(0.25, 0.95) + rng.normal(0, 0.03, 3)
        x = np.asarray(left * x + (1 - left) * air, np.float32)
    if rng.random() < recipe.dim:
        gain = _between(recipe.dim_gain, rng)
        x, left = x * np.float32(gain), left * gain
    elif rng.random() < recipe.bright:
        x = x * np.float32(_between(recipe.bright_gain, rng))
    x = np.asarray(x * 255, np.float32)
    if rng.random() < recipe.noise:
        # A person drowned in noise teaches nothing: the less contrast, the less of it.
        sd = rng.uniform(*recipe.noise_sd) * math.sqrt(left)
        x = x + np.float32(sd) * rng.standard_normal(x.shape, dtype=np.float32)
    out = np.clip(x + 0.5, 0, 255).astype(np.uint8)
    return _coded(out, recipe, rng)


def _between(ends: tuple[float, float], rng: Rng) -> float:
    """Evenly by the logarithm."""
    return math.exp(rng.uniform(math.log(ends[0]), math.log(ends[1])))


def _focused(x: Single, recipe: LightRecipe, rng: Rng) -> Single:
    if rng.random() < recipe.blur:
        return np.asarray(cv2.GaussianBlur(x, (0, 0), rng.uniform(*recipe.blur_px)), np.float32)
    if rng.random() < recipe.sharpen:
        by = np.float32(rng.uniform(*recipe.sharpen_by))
        return np.asarray(x + by * (x - cv2.GaussianBlur(x, (0, 0), 0.8)), np.float32)
    return x


def _colored(x: Single, recipe: LightRecipe, rng: Rng) -> Single:
    x = np.maximum(x, 0) ** np.float32(math.exp(rng.normal(0, recipe.gamma_sd)))
    grey = x.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < recipe.grey else rng.uniform(*recipe.saturation)
    x = grey + np.float32(saturation) * (x - grey)
    middle = float(x.mean())
    x = middle + np.float32(math.exp(rng.normal(0, recipe.contrast_sd))) * (x - middle)
    tint = np.exp(rng.normal(0, recipe.gain_sd) + rng.normal(0, recipe.tint_sd, 3))
    return np.asarray(x * tint.astype(np.float32), np.float32)


def _coded(out: Pixels, recipe: LightRecipe, rng: Rng) -> Pixels:
    if rng.random() >= recipe.jpeg:
        return out
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(*recipe.jpeg_quality))]
    return np.asarray(
        cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR), np.uint8
    )
