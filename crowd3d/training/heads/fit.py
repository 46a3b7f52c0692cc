"""Fits heads-s to crops, over the frozen trunk of crowd3d-s, and measures whom it finds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from crowd3d.files.digests import key_of
from crowd3d.files.weights import tensors_hash
from crowd3d.models.crowd3ds import STRIDE, Crowd3dS, Seen
from crowd3d.models.heads_s import LIMBS, HeadsS
from crowd3d.models.registry import shared
from crowd3d.training.common.norm import folded, normed
from crowd3d.training.common.precision import recall_at
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.common.schedule import descend, learning_rate
from crowd3d.training.heads.crops import Crop, Pixels, Scene, crop
from crowd3d.training.heads.recipe import CropRecipe, Recipe
from crowd3d.version import __version__

FloatArray = npt.NDArray[np.float64]

_SAVE_EVERY, _LOG_EVERY = 100, 20
_LEARNING, _JUDGING = 1, 2  # random numbers of their own
_PRECISIONS = (0.8, 0.9, 0.95, 0.98)
_PLAIN = ("tell",)  # the layer without batch norm

# Around the middle of a head: the spread of its peak, and how far its height and limbs are told, in heads; and
# the least of both in pixels.
_PEAK, _PEAK_PX, _TOLD, _TOLD_PX = 0.16, 2.2, 0.3, 4.0
_ASIDE, _ASIDE_PX = 0.5, 3.0  # around a head that may be found or not
_BESIDE = (
    0.3  # lower values of a peak than this are nobody's, where a head that may be found is near
)
_EASY, _FALLOFF = 2, 4  # exponents of the focal loss (Law & Deng 2018, CornerNet, equation 1)
_LIMB_SCALE = 0.3  # heads; errors below count by their square


class Batch(NamedTuple):
    """Crops as the loss sees them; R x R cells each.

    Attributes:
        rgb: (B, 3, S, S).
        peak: (B, R, R) 1 where a head's middle is, less around it; is_peak: (B, R, R) where it is 1.
        aside: (B, R, R) cells that may say what they like.
        log_px: (B, R, R) logarithm of a head's height, where told is 1.
        told: (B, R, R) 1 near the middle of a head.
        limbs: (B, 12, 2, R, R) places relative to the cell, in heads; limb_weight: (B, 12, R, R).
    """

    rgb: Tensor
    peak: Tensor
    is_peak: Tensor
    aside: Tensor
    log_px: Tensor
    told: Tensor
    limbs: Tensor
    limb_weight: Tensor

    def to(self, device: str) -> Batch:
        """The same on a device, the picture in the memory layout that convolutions like."""
        rgb = self.rgb.to(device, memory_format=torch.channels_last)
        return Batch(rgb, *(part.to(device) for part in self[1:]))


def batch_of(crops: Sequence[Crop], recipe: Recipe) -> Batch:
    """Crops of one size, as tensors."""
    rgb = torch.from_numpy(np.stack([one.pixels for one in crops])).permute(0, 3, 1, 2).float()
    maps = zip(*(_maps(one, recipe) for one in crops), strict=True)
    return Batch(rgb, *(torch.from_numpy(np.stack(part)) for part in maps))


def _maps(one: Crop, recipe: Recipe) -> tuple[npt.NDArray[np.generic], ...]:
    """What is wanted of a crop, as the fields of `Batch` after the first."""
    wanted = recipe.crops
    count = one.pixels.shape[0] // STRIDE
    cell = (np.arange(count, dtype=np.float32) + 0.5) * STRIDE
    peak = np.zeros((count, count), np.float32)
    is_peak, aside = np.zeros((count, count), bool), np.zeros((count, count), bool)
    log_px, told = np.zeros_like(peak), np.zeros_like(peak)
    limbs = np.zeros((len(LIMBS), 2, count, count), np.float32)
    limb_weight = np.zeros((len(LIMBS), count, count), np.float32)
    # COCO's visibility: 0 outside, 1 hidden, 2 seen.
    weights = np.array([recipe.unseen_limb, recipe.hidden_limb, 1.0])
    for (u, v), height, seen, limb in zip(*one[1:], strict=True):
        away = np.hypot(cell[None] - u, cell[:, None] - v)
        if not _must_be_found(height, seen, wanted):
            if seen >= wanted.hidden and height >= wanted.meant_px[0] / 2:
                aside |= away < _ASIDE * height + _ASIDE_PX
            continue
        spread = max(_PEAK * height, _PEAK_PX)
        peak = np.maximum(peak, np.exp(-0.5 * (away / spread) ** 2))
        row, column = int(v // STRIDE), int(u // STRIDE)
        if not (0 <= row < count and 0 <= column < count):
            continue
        is_peak[row, column] = True
        rows, columns = np.nonzero(away < max(_TOLD * height, _TOLD_PX))
        log_px[rows, columns], told[rows, columns] = math.log(height), 1.0
        known = np.isfinite(limb[:, :2]).all(axis=1)
        places = np.where(known[:, None], limb[:, :2], 0.0)
        limbs[:, 0, rows, columns] = (places[:, :1] - cell[columns]) / height
        limbs[:, 1, rows, columns] = (places[:, 1:] - cell[rows]) / height
        limb_weight[:, rows, columns] = (weights[limb[:, 2].astype(int)] * known)[:, None]
    peak[is_peak] = 1.0
    aside &= peak < _BESIDE
    return peak, is_peak, aside, log_px, told, limbs, limb_weight


def _must_be_found(height_px: float, seen: float, wanted: CropRecipe) -> bool:
    low, high = wanted.meant_px
    return low <= height_px <= high and seen >= wanted.seen


def loss_of(told: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
    """Cost of heads missed and of heads where there are none, of wrong heights and of wrong limbs.

    The first is the focal loss of CornerNet (Law & Deng 2018, equation 1).
    """
    logit = told[:, 0]
    chance = torch.sigmoid(logit)
    missed = -(F.logsigmoid(logit) * (1 - chance) ** _EASY)[batch.is_peak].sum()
    nobody = ~batch.is_peak & ~batch.aside
    false = -(F.logsigmoid(-logit) * chance**_EASY * (1 - batch.peak) ** _FALLOFF)[nobody].sum()
    found = (missed + false) / batch.is_peak.sum().clamp_min(1)
    size = ((told[:, 1] - batch.log_px).abs() * batch.told).sum() / batch.told.sum().clamp_min(1)
    places = told[:, 2:].reshape(batch.limbs.shape)
    error = F.smooth_l1_loss(places, batch.limbs, reduction="none", beta=_LIMB_SCALE).sum(dim=2)
    weight = batch.limb_weight
    limbs = (error * weight).sum() / weight.sum().clamp_min(1)
    return found + recipe.size * size + recipe.limbs * limbs


def fit(
    scenes: Sequence[Scene],
    textures: Sequence[Pixels],
    recipe: Recipe,
    run: RunFolder | None = None,
    on_step: Callable[[], None] | None = None,
    device: str = "cpu",
) -> HeadsS:
    """The readout that finds heads in the features of crowd3d-s.

    Args:
        run: where checkpoints and the log are kept, and gone on from exactly; None keeps neither.

    Raises:
        OutputError: the checkpoint is damaged or of another recipe, or cannot be written.
    """
    trunk = cast(Crowd3dS, shared("crowd3d-s", device))
    torch.manual_seed(recipe.seed)  # after the trunk, whose building takes random numbers, is there
    network = normed(Crowd3dS().heads, _PLAIN).train().to(device)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    first = 0
    if run is not None:
        identity = _identity(scenes, recipe, trunk)
        first = run.begin(identity, {"network": network, "optimizer": optimizer})
    for step in range(first, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        some = _crops(scenes, textures, recipe, (_LEARNING, step), recipe.batch)
        batch = batch_of(some, recipe).to(device)
        with torch.autocast(device.partition(":")[0], torch.bfloat16):  # half the time
            seen = look(trunk, batch.rgb)
            maps = network(seen.fine, seen.coarse)
        loss = loss_of(maps.float(), batch, recipe)
        descend(optimizer, loss, recipe.most_norm)
        if run is not None:
            every = {"log_every": _LOG_EVERY, "save_every": _SAVE_EVERY}
            run.record(step + 1, recipe.steps, loss, **every)
        if on_step is not None:
            on_step()
    found: HeadsS = folded(network.cpu())
    return found


@torch.no_grad()
def look(trunk: Crowd3dS, rgb: Tensor) -> Seen:
    """What crowd3d-s sees in pictures (B, 3, S, S), 0..255."""
    return trunk.seen(trunk.scaled(rgb))


def _crops(
    scenes: Sequence[Scene],
    textures: Sequence[Pixels],
    recipe: Recipe,
    stream: tuple[int, int],
    count: int,
) -> list[Crop]:
    """Crops that depend on the stream alone, so that a run can go on anywhere."""
    seeds = [[recipe.seed, *stream, i] for i in range(count)]
    return [crop(scenes, textures, recipe, np.random.default_rng(seed)) for seed in seeds]


def _identity(scenes: Sequence[Scene], recipe: Recipe, trunk: Crowd3dS) -> str:
    """Hash of all that decides the weights."""
    digest = hashlib.sha256()
    for scene in scenes:
        digest.update(scene.levels[0].tobytes() + scene.middle_px.tobytes())
    return key_of(
        {
            "recipe": asdict(recipe),
            "seen": digest.hexdigest(),
            "trunk": tensors_hash(trunk.trunk),
            "versions": [__version__, torch.__version__],
        }
    )


@torch.no_grad()
def told(
    network: HeadsS, scenes: Sequence[Scene], textures: Sequence[Pixels], recipe: Recipe
) -> dict[str, dict[str, float]]:
    """By precision: the threshold for it, and the share of heads that must be found which are."""
    trunk = cast(Crowd3dS, shared("crowd3d-s"))
    scores, hits, wanted = [], [], 0
    for first in range(0, recipe.judged, recipe.batch):
        count = min(recipe.batch, recipe.judged - first)
        some = _crops(scenes, textures, recipe, (_JUDGING, first), count)
        batch = batch_of(some, recipe)
        seen = look(trunk, batch.rgb)
        chance = torch.sigmoid(network(seen.fine, seen.coarse)[:, 0])
        wanted += int(batch.is_peak.sum())
        is_top = (F.max_pool2d(chance, 3, 1, 1) == chance) & (chance > 0.05)
        # A head that may be found is no error, and a head is found by a peak in its cell or beside it.
        near = F.max_pool2d(batch.is_peak.float(), 3, 1, 1) > 0
        counts = is_top & (near | ~batch.aside)
        scores.append(chance[counts])
        hits.append(near[counts])
    score, hit = torch.cat(scores).numpy(), torch.cat(hits).numpy()
    return recall_at(_PRECISIONS, score, hit, wanted)
