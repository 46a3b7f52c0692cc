"""Spoils crops to learn from: other light, blur, noise, coarse JPEG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Rng = np.random.Generator


@dataclass(frozen=True)
class SpoilRecipe:
    """How much. `grey`, `blur`, `noise` and `jpeg` are probabilities, pairs are from and to."""

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


# `training.facing.data.relit` changes light too. Both stay: each draws its own numbers in its own order, and
# the embedded weights of both trainings come from exactly these pictures.
def spoiled(rgb: npt.NDArray[np.uint8], recipe: SpoilRecipe, rng: Rng) -> npt.NDArray[np.uint8]:
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
