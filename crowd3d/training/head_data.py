"""What the 3D heads learn from with a frozen trunk: detections in augmented tiles, computed once and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crowd3d.errors import DataError, OutputError
from crowd3d.lift import Lift, LiftResult
from crowd3d.models.crowd3ds import Crowd3dS
from crowd3d.models.heads import Hypotheses, hypotheses
from crowd3d.training.augment import augment
from crowd3d.training.head_recipe import HeadRecipe
from crowd3d.training.tile_looks import Targets, look_frozen
from crowd3d.training.tiles import TileStream

# Far from the seeds that people give to `crowd3d synth`, those of benchmarks included.
_HELD_OUT, _TRAINING = 1_000_000, 2_000_000  # first seeds of the tiles of recipe seed 0
_SEEDS = 10_000_000  # between the tiles of two recipe seeds


@dataclass(frozen=True)
class HeadData:
    """N people as the network saw them.

    Attributes:
        samples: (N, 18, 144) features, half precision.
        truth: of them; seen: what the lift says of them.
    """

    samples: Tensor
    truth: Targets
    seen: Hypotheses

    def __len__(self) -> int:
        return len(self.samples)

    def pick(self, rows: Tensor) -> HeadData:
        """Some of them."""
        return HeadData(self.samples[rows], self.truth.pick(rows), pick_seen(self.seen, rows))

    def to(self, device: torch.device | str) -> HeadData:
        """The same on a device."""
        seen = seen_to(self.seen, device)
        return HeadData(self.samples.to(device), self.truth.to(device), seen)


def pick_seen(seen: Hypotheses, rows: Tensor) -> Hypotheses:
    """Some rows of what the lift says."""
    values = {f.name: getattr(seen, f.name) for f in fields(Hypotheses)}
    lifted = {f.name: getattr(seen.lifted, f.name)[rows] for f in fields(LiftResult)}
    picked = {k: v[rows] for k, v in values.items() if k != "lifted"}
    return Hypotheses(lifted=LiftResult(**lifted), **picked)


def seen_to(seen: Hypotheses, device: torch.device | str) -> Hypotheses:
    """What the lift says, on a device."""
    lifted = {f.name: getattr(seen.lifted, f.name).to(device) for f in fields(LiftResult)}
    moved = {
        f.name: getattr(seen, f.name).to(device) for f in fields(Hypotheses) if f.name != "lifted"
    }
    return replace(seen, lifted=LiftResult(**lifted), **moved)


def tile_seeds(recipe: HeadRecipe) -> range:
    """Seeds of the tiles to learn from."""
    first = recipe.seed * _SEEDS + _TRAINING
    return range(first, first + recipe.tiles.count)


def held_out_seeds(recipe: HeadRecipe) -> range:
    """Seeds of the tiles that validate."""
    first = recipe.seed * _SEEDS + _HELD_OUT
    return range(first, first + recipe.tiles.held_out)


def build_data(
    stream: TileStream,
    network: Crowd3dS,
    lifter: Lift,
    recipe: HeadRecipe,
    seeds: Sequence[int],
    views: int = 0,
    folder: Path | None = None,
    on_tile: Callable[[], None] | None = None,
) -> HeadData:
    """The people of some tiles.

    Args:
        views: augmented ways to see each tile; 0 = as it is.
        folder: keeps what was computed; what is there is read. None computes everything.
        on_tile: told after each tile.
    """
    looked = []
    for seed in seeds:
        for view in range(views) if views else (None,):
            looked.append(_kept(folder, stream, network, recipe, seed, view))
        if on_tile is not None:
            on_tile()
    truth = Targets.cat([targets for _, targets in looked])
    seen = hypotheses(lifter, truth.keypoints, truth.elevation_rad)
    return HeadData(torch.cat([samples for samples, _ in looked]), truth, seen)


def _kept(
    folder: Path | None,
    stream: TileStream,
    network: Crowd3dS,
    recipe: HeadRecipe,
    seed: int,
    view: int | None,
) -> tuple[Tensor, Targets]:
    """One look at a tile, from the folder where it is there."""
    if folder is None:
        return _look(stream, network, recipe, seed, view)
    path = folder / f"{seed:08d}_{'plain' if view is None else view}.npz"
    if not path.exists():
        _save(path, *_look(stream, network, recipe, seed, view))
    return _load(path)


def _look(
    stream: TileStream, network: Crowd3dS, recipe: HeadRecipe, seed: int, view: int | None
) -> tuple[Tensor, Targets]:
    tile = stream.get(seed)
    if view is not None:
        tile = augment(tile, recipe.augment, np.random.default_rng([seed, 23, view]))
    samples, truth = look_frozen(network, [tile])
    return samples.half().cpu(), truth


def _save(path: Path, samples: Tensor, truth: Targets) -> None:
    arrays = {f.name: getattr(truth, f.name).numpy() for f in fields(Targets)}
    scratch = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(scratch, "wb") as file:
            np.savez(file, allow_pickle=False, samples=samples.numpy(), **arrays)
        os.replace(scratch, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None


def _load(path: Path) -> tuple[Tensor, Targets]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
        return arrays.pop("samples"), Targets(**arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it") from None
