"""Turns rendered crops into examples to learn from: varied in light, mirrored, through the frozen trunk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crowd3d import models
from crowd3d.body.tree import COCO_MIRROR, JOINT_MIRROR
from crowd3d.errors import DataError
from crowd3d.models.crowd3ds import Crowd3dS, Trunk
from crowd3d.models.crowdnet_s import CROP_W, CrowdNetS, Pyramid, pyramid
from crowd3d.models.lift_net import mirror_fisher
from crowd3d.training.crops.data import read_shards
from crowd3d.training.crops.spoil import SpoilRecipe, spoiled

Shard = dict[str, npt.NDArray[Any]]

_TRUNK_BATCH = 4  # of crops: more do not fit a processor's cache
_MAPS = ("fine", "middle", "coarse")


@dataclass(frozen=True)
class Examples:
    """N rows, each a person in a crop and a 2D pose told of them: what the heads get, and the truth.

    Attributes:
        fine, middle, coarse: maps of the trunk in half precision, see `pyramid`.
        keypoints (N, 17, 3), joints (N, 24, 3), fisher (N, 24, 3, 3), elevation (N,): what `CrowdNetS` is told.
        rotations (N, 24, 3, 3), betas (N, 10): the truth, in the upright frame of the crop.
        overlap: (N,) share of the box that one other box covers, the largest.
        window_m: (N,) true height of the window where the person is, in metres.
        gamma: (N,) true depth over `box_depth.k_m` of the true box.
        unusual: (N,) 1 for those who sit, are small, or are cut by the picture's border.
        right: (N,) 1 where the 2D pose told has no error.
    """

    fine: Tensor
    middle: Tensor
    coarse: Tensor
    keypoints: Tensor
    joints: Tensor
    fisher: Tensor
    elevation: Tensor
    rotations: Tensor
    betas: Tensor
    overlap: Tensor
    window_m: Tensor
    gamma: Tensor
    unusual: Tensor
    right: Tensor

    def __len__(self) -> int:
        return len(self.elevation)

    @property
    def maps(self) -> Pyramid:
        """What `pyramid` gave."""
        return self.fine, self.middle, self.coarse

    def rows(self, index: Tensor | slice) -> Examples:
        """Some rows, in single precision."""
        return Examples(**{f.name: getattr(self, f.name)[index].float() for f in fields(self)})

    def picked(self, index: Tensor) -> Examples:
        """Some rows in the precision they have."""
        return Examples(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def ask(self, network: CrowdNetS) -> Tensor:
        """The head's answer (N, 24, 3, 3)."""
        answer: Tensor = network(
            self.maps, self.keypoints, self.joints, self.fisher, self.elevation
        )
        return answer


@dataclass(frozen=True)
class Looks:
    """How crops are varied.

    Attributes:
        light: see `SpoilRecipe`.
        mirror: probability that left and right are exchanged.
        covered: probability that a rectangle of noise covers a part, and its most of each side.
    """

    light: SpoilRecipe = field(default_factory=SpoilRecipe)
    mirror: float = 0.5
    covered: tuple[float, float] = (0.25, 0.4)


def load_examples(
    groups: Sequence[tuple[Path, range]],
    looks: Looks | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Examples:
    """All rows of some pictures, on the CPU.

    Args:
        groups: folders of shards, and seeds of pictures.
        looks: None shows every crop as it is.
        seed: of the looks.
        device: on which the trunk runs.

    Raises:
        DataError: the pictures show nobody, or a shard is damaged.
    """
    shards = (rows for folder, seeds in groups for rows in read_shards(folder, seeds))
    return as_examples(shards, looks, seed, device)


@torch.no_grad()
def as_examples(
    shards: Iterable[Shard], looks: Looks | None = None, seed: int = 0, device: str = "cpu"
) -> Examples:
    """Shards, seen through the embedded trunk; arguments and errors as of `load_examples`."""
    trunk = cast(Crowd3dS, models.shared("crowd3d-s", device)).trunk
    rng = np.random.default_rng([seed, 15])
    names = [f.name for f in fields(Examples) if f.name not in _MAPS]
    parts: list[dict[str, Tensor]] = []
    for rows in shards:
        shown = rows if looks is None else seen_otherwise(rows, looks, rng)
        maps = dict(
            zip(_MAPS, _maps(trunk, torch.from_numpy(shown["pixels"]), device), strict=True)
        )
        parts.append(maps | {name: torch.as_tensor(shown[name]).float() for name in names})
    if not parts:
        raise DataError("the rendered pictures show nobody to learn from; ask for more of them")
    return Examples(**{f.name: torch.cat([p[f.name] for p in parts]) for f in fields(Examples)})


def _maps(trunk: Trunk, pixels: Tensor, device: str) -> tuple[Tensor, ...]:
    found = []
    for part in torch.split(pixels, _TRUNK_BATCH):
        rgb = part.to(device).permute(0, 3, 1, 2).float()
        levels = pyramid(trunk, rgb.contiguous(memory_format=torch.channels_last))
        found.append([level.half().contiguous().cpu() for level in levels])
    return tuple(torch.cat(level) for level in zip(*found, strict=True))


def seen_otherwise(rows: Shard, looks: Looks, rng: np.random.Generator) -> Shard:
    """A shard whose crops are varied: some mirrored, all in other light, some partly covered."""
    rows = dict(rows)
    mirrored = rng.random(len(rows["elevation"])) < looks.mirror
    for name, values in in_a_mirror(rows).items():
        shape = (-1, *[1] * (values.ndim - 1))
        rows[name] = np.where(mirrored.reshape(shape), values, rows[name])
    pixels = [_covered(spoiled(crop, looks.light, rng), looks, rng) for crop in rows["pixels"]]
    return rows | {"pixels": np.stack(pixels)}


def in_a_mirror(rows: Shard) -> Shard:
    """What changes of a shard when left and right are exchanged: pixels, 2D pose, rotations."""
    keypoints = rows["keypoints"][:, list(COCO_MIRROR)].copy()
    keypoints[..., 0] = np.where(keypoints[..., 2] > 0, CROP_W - keypoints[..., 0], 0)
    joints = rows["joints"][:, list(JOINT_MIRROR)].copy()
    joints[..., 0] = CROP_W - joints[..., 0]
    turned = {
        name: mirror_fisher(torch.from_numpy(rows[name])).numpy()
        for name in ("fisher", "rotations")
    }
    return {"pixels": rows["pixels"][:, :, ::-1], "keypoints": keypoints, "joints": joints} | turned


def _covered(
    rgb: npt.NDArray[np.uint8], looks: Looks, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    chance, most = looks.covered
    if rng.random() >= chance:
        return rgb
    size = np.array(rgb.shape[:2])
    sides = (rng.uniform(0.1, most, 2) * size).astype(int)
    top, left = (rng.random(2) * (size - sides)).astype(int)
    out = rgb.copy()
    noise = rng.normal(0, rng.uniform(0, 40), (*sides, 3))
    out[top : top + sides[0], left : left + sides[1]] = np.clip(
        rng.uniform(0, 255, 3) + noise, 0, 255
    ).astype(np.uint8)
    return out
