"""Fits glance-s to crops, and measures how much it would leave out and whom it would lose."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from crowd3d.files.digests import key_of
from crowd3d.models.glance_s import STRIDE, GlanceS
from crowd3d.training.common.norm import folded, normed
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.common.schedule import descend, learning_rate
from crowd3d.training.glance.crops import Crop, Material, crop
from crowd3d.training.glance.recipe import Recipe
from crowd3d.version import __version__

FloatArray = npt.NDArray[np.float64]

_SAVE_EVERY, _LOG_EVERY = 100, 20
_LEARNING, _JUDGING = 1, 2  # random numbers of their own
_PLAIN = ("tell",)  # the layer without batch norm

# Head and trunk in a person's box: half the width in heights, top and bottom from the top in heights.
_CORE_HALF, _CORE_TOP, _CORE_BOTTOM = 0.16, 0.02, 0.6
_MARGIN_PX = 8  # around a box: cells there may say what they like

BLOCK = 4  # cells of a side of the blocks that are counted as nobody's: 32 px


class Batch(NamedTuple):
    """Crops as the loss sees them; R x R cells each.

    Attributes:
        rgb: (B, 3, S, S).
        row: (P,) the crop of each person who must be found; core: (P, R, R) cells of head and trunk.
        nobody: (B, R, R) cells where nobody is.
    """

    rgb: Tensor
    row: Tensor
    core: Tensor
    nobody: Tensor

    def to(self, device: str) -> Batch:
        """The same on a device, the picture in the memory layout that convolutions like."""
        rgb = self.rgb.to(device, memory_format=torch.channels_last)
        return Batch(rgb, *(part.to(device) for part in self[1:]))


def batch_of(crops: Sequence[Crop]) -> Batch:
    """Crops of one size, as tensors."""
    side = crops[0].pixels.shape[0]
    middle = (np.arange(side // STRIDE) + 0.5) * STRIDE
    rows, cores, nobody = [], [np.zeros((0, len(middle), len(middle)), bool)], []
    for row, one in enumerate(crops):
        meant = one.boxes_px[one.is_meant]
        core = _within(_core(meant), middle)
        seen = core.any(axis=(1, 2))
        rows += [row] * int(seen.sum())
        cores.append(core[seen])
        margin = _MARGIN_PX * np.array([-1, -1, 1, 1])
        nobody.append(~_within(one.boxes_px + margin, middle).any(axis=0))
    rgb = torch.from_numpy(np.stack([one.pixels for one in crops])).permute(0, 3, 1, 2)
    return Batch(
        rgb.float(),
        torch.tensor(rows, dtype=torch.int64),
        torch.from_numpy(np.concatenate(cores)),
        torch.from_numpy(np.stack(nobody)),
    )


def _core(boxes: FloatArray) -> FloatArray:
    """(N, 4) head and trunk of boxes (N, 4), at least one cell wide."""
    height = boxes[:, 3] - boxes[:, 1]
    half = np.maximum(_CORE_HALF * height, STRIDE / 2)
    x, top = (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 1]
    return np.stack(
        [x - half, top + _CORE_TOP * height, x + half, top + _CORE_BOTTOM * height], axis=1
    )


def _within(boxes: FloatArray, middle: FloatArray) -> npt.NDArray[np.bool_]:
    """(N, R, R) cells whose middle is in a box."""
    x = (boxes[:, :1] <= middle) & (middle < boxes[:, 2:3])
    y = (boxes[:, 1:2] <= middle) & (middle < boxes[:, 3:])
    return np.asarray(y[:, :, None] & x[:, None, :])


def best(logits: Tensor, batch: Batch) -> Tensor:
    """(P,) highest logit over each person's core, of logits (B, 1, R, R)."""
    of_each = logits[batch.row, 0].masked_fill(~batch.core, -torch.inf)
    return of_each.flatten(1).amax(dim=1)


def loss_of(logits: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
    """Cost of people missed, by their best cell and a little by all their cells, and of cells that see nobody.

    A person counts the more the less they are found: nobody shall be lost.
    """
    nothing = F.softplus(logits[:, 0][batch.nobody]).sum() / max(1, int(batch.nobody.sum()))
    if not len(batch.row):
        return recipe.nobody * nothing
    missed = F.softplus(-best(logits, batch))
    weight = 1 + recipe.emphasis * (1 - torch.exp(-missed.detach()))
    cells = F.softplus(-logits[batch.row, 0])[batch.core].mean()
    found = (weight * missed).sum() / weight.sum()
    return found + recipe.every_cell * cells + recipe.nobody * nothing


def fit(
    material: Material,
    recipe: Recipe,
    run: RunFolder | None = None,
    on_step: Callable[[], None] | None = None,
    device: str = "cpu",
) -> GlanceS:
    """The network that tells people in crops of scenes from everything else.

    Args:
        run: where checkpoints and the log are kept, and gone on from exactly; None keeps neither.

    Raises:
        OutputError: the checkpoint is damaged or of another recipe, or cannot be written.
    """
    torch.manual_seed(recipe.seed)
    network = normed(GlanceS(), _PLAIN).train().to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    first = 0
    if run is not None:
        identity = _identity(material, recipe)
        first = run.begin(identity, {"network": network, "optimizer": optimizer})
    for step in range(first, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        batch = batch_of(_crops(material, recipe, (_LEARNING, step), recipe.batch)).to(device)
        loss = loss_of(network(batch.rgb), batch, recipe)
        descend(optimizer, loss, recipe.most_norm)
        if run is not None:
            every = {"log_every": _LOG_EVERY, "save_every": _SAVE_EVERY}
            run.record(step + 1, recipe.steps, loss, **every)
        if on_step is not None:
            on_step()
    found: GlanceS = folded(network.cpu())
    return found


def _crops(material: Material, recipe: Recipe, stream: tuple[int, int], count: int) -> list[Crop]:
    """Crops that depend on the stream alone, so that a run can go on anywhere."""
    seeds = [[recipe.seed, *stream, i] for i in range(count)]
    return [crop(material, recipe, np.random.default_rng(seed)) for seed in seeds]


def _identity(material: Material, recipe: Recipe) -> str:
    """Hash of all that decides the weights."""
    digest = hashlib.sha256()
    for scene in material.scenes:
        digest.update(scene.levels[0].tobytes() + scene.boxes_px.tobytes())
    versions = [__version__, torch.__version__]
    return key_of({"recipe": asdict(recipe), "seen": digest.hexdigest(), "versions": versions})


@torch.no_grad()
def told(network: GlanceS, material: Material, recipe: Recipe) -> dict[str, dict[str, float]]:
    """By share of people kept: the threshold for it, and the share of 32 px blocks without anybody kept too."""
    people, blocks = [], []
    for first in range(0, recipe.judged, recipe.batch):
        count = min(recipe.batch, recipe.judged - first)
        batch = batch_of(_crops(material, recipe, (_JUDGING, first), count))
        logits = network(batch.rgb)
        people.append(best(logits, batch))
        empty = F.max_pool2d((~batch.nobody)[:, None].float(), BLOCK) == 0
        blocks.append(F.max_pool2d(logits, BLOCK)[empty])
    found, nothing = torch.cat(people), torch.cat(blocks)
    table = {}
    for kept in (0.95, 0.98, 0.99, 0.995, 0.999):
        threshold = float(np.quantile(found.numpy(), 1 - kept)) if len(found) else 0.0
        share = float((nothing > threshold).double().mean()) if len(nothing) else 0.0
        table[f"{kept:g}"] = {"threshold": round(threshold, 3), "blocks": round(share, 4)}
    return table
