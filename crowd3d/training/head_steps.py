"""The two kinds of training step of the 3D heads: with the trunk frozen, and with the trunk learning too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from crowd3d import lift, models
from crowd3d.lift_rig import Rig
from crowd3d.models import heads
from crowd3d.models.crowd3ds import Crowd3dS, Heads
from crowd3d.models.heads import Hypotheses
from crowd3d.training.augment import augment
from crowd3d.training.head_data import HeadData, pick_seen, seen_to, tile_seeds
from crowd3d.training.head_keep import keep_loss
from crowd3d.training.head_loss import distillation, head_loss
from crowd3d.training.head_recipe import HeadRecipe
from crowd3d.training.tile_looks import as_input, look
from crowd3d.training.tiles import TileStream

_AHEAD = 8  # steps whose tiles are ordered in advance
Terms = dict[str, Tensor]


@dataclass
class Students:
    """What learns: the heads, and the trunk with its six maps where that is wanted."""

    net: heads.HeadNet
    trunk: Crowd3dS

    def parameters(self, recipe: HeadRecipe) -> list[dict[str, Any]]:
        """Groups for the optimiser; each knows its own full learning rate."""
        groups: list[dict[str, Any]] = [
            {"params": list(self.net.parameters()), "full": recipe.learning_rate}
        ]
        if recipe.train_trunk:
            # No decay: the trunk is to stay where it is, not to shrink.
            trunk = list(self.trunk.parameters())
            full = recipe.trunk_learning_rate
            groups.append({"params": trunk, "full": full, "weight_decay": 0.0})
        return groups

    def modules(self, recipe: HeadRecipe) -> dict[str, nn.Module]:
        """What has weights that change, by name."""
        return {"heads": self.net} | ({"trunk": self.trunk} if recipe.train_trunk else {})


def untouched() -> Crowd3dS:
    """The embedded network."""
    network = models.build("crowd3d-s", "embedded")
    assert isinstance(network, Crowd3dS)
    return network


def new_students(recipe: HeadRecipe, device: torch.device) -> Students:
    """Fresh heads on the embedded network."""
    torch.manual_seed(recipe.seed)
    net = heads.HeadNet(**vars(recipe.network))
    return Students(net.to(device), untouched().to(device))


class Steps(Protocol):
    """A kind of step: the loss of a step's people, and the terms it is made of."""

    def __call__(self, step: int, students: Students) -> tuple[Tensor, Terms]: ...


class FrozenSteps:
    """People out of detections that were computed once."""

    def __init__(
        self,
        data: HeadData,
        others: Hypotheses,
        recipe: HeadRecipe,
        rig: Rig,
        device: torch.device,
    ) -> None:
        self.data, self.others, self.recipe = data, others, recipe
        self.rig, self.device = rig, device

    def __call__(self, step: int, students: Students) -> tuple[Tensor, Terms]:
        recipe = self.recipe
        generator = torch.Generator().manual_seed(step_seed(recipe, step))
        rows = torch.randint(len(self.data), (recipe.batch,), generator=generator)
        some = self.data.pick(rows).to(self.device)
        return _people_loss(students.net, some, self.others, recipe, self.rig, generator)


class TrunkSteps:
    """Tiles, through a trunk that learns; its six maps are held to those of the untouched network."""

    def __init__(
        self,
        stream: TileStream,
        lifter: lift.Lift,
        teacher: Crowd3dS,
        others: Hypotheses,
        recipe: HeadRecipe,
        rig: Rig,
        device: torch.device,
    ) -> None:
        self.stream, self.lifter, self.recipe, self.rig = stream, lifter, recipe, rig
        self.others = others
        self.teacher, self.device = teacher.to(device).eval(), device

    def __call__(self, step: int, students: Students) -> tuple[Tensor, Terms]:
        recipe, device = self.recipe, self.device
        for later in range(step, step + _AHEAD):
            self.stream.order(self._seeds(later))
        rng = np.random.default_rng([recipe.seed, step, 29])
        tiles = [augment(self.stream.get(seed), recipe.augment, rng) for seed in self._seeds(step)]
        rgb = as_input(tiles, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            maps, levels = students.trunk.with_pyramid(rgb)
        with torch.no_grad():
            wanted = self.teacher(rgb)
        maps, levels = Heads(*(m.float() for m in maps)), tuple(v.float() for v in levels)
        kept, terms = distillation(maps, wanted)
        total = recipe.loss.distillation * kept
        samples, truth = look(Heads(*(m.detach() for m in maps)), levels, tiles)
        if len(truth):
            generator = torch.Generator().manual_seed(step_seed(recipe, step))
            seen = heads.hypotheses(self.lifter, truth.keypoints, truth.elevation_rad)
            some = HeadData(samples, truth.to(device), seen_to(seen, device))
            loss, more = _people_loss(students.net, some, self.others, recipe, self.rig, generator)
            total, terms = total + loss, terms | more
        return total, terms

    def _seeds(self, step: int) -> list[int]:
        """Every tile once in order; then at random."""
        all_seeds, count = tile_seeds(self.recipe), self.recipe.tiles_per_step
        first = step * count
        if first + count <= len(all_seeds):
            return list(all_seeds[first : first + count])
        rng = np.random.default_rng([self.recipe.seed, step, 31])
        return [all_seeds[int(i)] for i in rng.integers(len(all_seeds), size=count)]


def _people_loss(
    net: heads.HeadNet,
    some: HeadData,
    others: Hypotheses,
    recipe: HeadRecipe,
    rig: Rig,
    generator: torch.Generator,
) -> tuple[Tensor, Terms]:
    """Of people in tiles; and of as many others, each with the appearance of one of these."""
    samples = some.samples.float()
    noise = torch.randn(samples.shape, generator=generator).to(samples)
    appearance = net.encode(samples + recipe.feature_noise * net.deviation * noise)
    kept = torch.rand(len(samples), generator=generator) >= recipe.no_appearance
    appearance = appearance * kept.to(appearance)[:, None]
    result = net.correct(some.seen, appearance)
    total, terms = head_loss(result, some.truth, some.seen.scale, rig, recipe.loss)
    rows = torch.randint(len(others.features), (len(samples),), generator=generator)
    varied = seen_to(pick_seen(others, rows), samples.device)
    order = torch.randperm(len(samples), generator=generator).to(samples.device)
    stay = keep_loss(net.correct(varied, appearance[order]), varied)
    return total + recipe.loss.kept * stay, terms | {"kept_lift": stay}


def step_seed(recipe: HeadRecipe, step: int) -> int:
    """Of a step's random numbers, so that nothing of them needs to be stored."""
    return recipe.seed * 1_000_003 + step
