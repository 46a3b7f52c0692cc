"""The training loop of crowdnet-s: features of the frozen trunk once, then the head alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from crowd3d import models, posterior
from crowd3d.lift_rig import Rig, chain, place_joints, with_shape
from crowd3d.models.crowd3ds import Crowd3dS, Trunk
from crowd3d.models.crowdnet_s import CrowdNetS, pyramid
from crowd3d.training.checkpoint import Checkpoint
from crowd3d.training.crowdnet_data import read_shards
from crowd3d.training.crowdnet_recipe import CrowdNetRecipe
from crowd3d.training.lift_metrics import JOINTS_14, joints_of, procrustes
from crowd3d.training.schedule import follow, learning_rate

_CLIP_NORM = 1.0
_NODES = 20  # quadrature points; log c to 1e-3
_LEAVES = (10, 11, 20, 21, 22, 23)  # toes, wrists and hands hardly show
_LEAF_WEIGHT = 0.1
_TRUNK_BATCH = 32
_LOG_EVERY, _SAVE_EVERY = 25, 100


@dataclass(frozen=True)
class Examples:
    """N rows: what the head sees (maps in half precision) and the truth.

    Attributes:
        fine, middle, coarse: the maps of `pyramid`.
        keypoints (N, 17, 3), joints (N, 24, 3), fisher (N, 24, 3, 3), elevation (N,): as `CrowdNetS`
            takes them.
        rotations: (N, 24, 3, 3) and betas (N, 10), true; overlap: (N,) covered share of the box.
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

    def __len__(self) -> int:
        return len(self.elevation)

    def rows(self, index: Tensor | slice) -> Examples:
        """Some rows, in single precision."""
        return Examples(**{f.name: getattr(self, f.name)[index].float() for f in fields(self)})

    def ask(self, network: CrowdNetS) -> Tensor:
        """The head's answer (N, 24, 3, 3)."""
        maps = (self.fine, self.middle, self.coarse)
        answer: Tensor = network(maps, self.keypoints, self.joints, self.fisher, self.elevation)
        return answer


@torch.no_grad()
def load_examples(shards: Path, seeds: range) -> Examples:
    """All rows of some pictures, seen through the embedded trunk."""
    trunk = cast(Crowd3dS, models.build("crowd3d-s")).trunk
    parts: list[dict[str, Tensor]] = []
    for rows in read_shards(shards, seeds):
        fine, middle, coarse = _maps(trunk, torch.from_numpy(rows["pixels"]))
        part = {"fine": fine, "middle": middle, "coarse": coarse}
        names = [f.name for f in fields(Examples)][3:]
        parts.append(part | {name: torch.from_numpy(rows[name]) for name in names})
    return Examples(**{f.name: torch.cat([p[f.name] for p in parts]) for f in fields(Examples)})


def _maps(trunk: Trunk, pixels: Tensor) -> tuple[Tensor, ...]:
    found = [
        pyramid(trunk, pixels[i : i + _TRUNK_BATCH].permute(0, 3, 1, 2).float())
        for i in range(0, len(pixels), _TRUNK_BATCH)
    ]
    return tuple(torch.cat(level).half() for level in zip(*found, strict=True))


def crowdnet_loss(
    fisher: Tensor, truth: Examples, rig: Rig, joints_weight: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Negative log-likelihood of the rotations, and the modes' joints in metres; means over the batch."""
    weight = fisher.new_ones(24)
    weight[list(_LEAVES)] = _LEAF_WEIGHT
    log_c, mode = posterior.log_normalizer_and_mode(fisher, _NODES)
    nll = log_c - (fisher * truth.rotations).sum((-1, -2))
    rotation = (nll * weight).sum(1).mean() / weight.sum()
    rest = with_shape(rig.joints, truth.betas)
    true_joints = place_joints(rig.parents, chain(rig.parents, truth.rotations), rest)
    joints = place_joints(rig.parents, chain(rig.parents, mode), rest)
    away = (joints - true_joints).norm(dim=-1)[:, 1:22].mean()
    return rotation + joints_weight * away, {"rotation": rotation, "joints_m": away}


def fit(
    examples: Examples,
    rig: Rig,
    recipe: CrowdNetRecipe,
    folder: Path | None = None,
    check: Callable[[CrowdNetS], dict[str, float]] | None = None,
) -> CrowdNetS:
    """Train the head; with a folder, keep a checkpoint there and go on from it exactly.

    Args:
        check: called at every checkpoint with the averaged head; its numbers go to the log.
    """
    torch.manual_seed(recipe.seed)
    network, average = (CrowdNetS(**recipe.network) for _ in range(2))
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=0.0, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
    )
    generator = torch.Generator().manual_seed(recipe.seed + 1)
    state = Checkpoint(folder, "crowdnet-s_log.jsonl", network, average, optimizer, generator)
    started = time.monotonic()
    for step in range(state.restore(), recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        rows = examples.rows(torch.randint(len(examples), (recipe.batch,), generator=generator))
        total, terms = crowdnet_loss(rows.ask(network), rows, rig, recipe.joints)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP_NORM)
        optimizer.step()
        follow(average, network, recipe.average, step)
        done = step + 1 == recipe.steps
        if (step + 1) % _LOG_EVERY == 0 or done:
            numbers = {k: round(v.item(), 5) for k, v in terms.items()}
            state.log(step=step + 1, seconds=round(time.monotonic() - started, 1), **numbers)
        if (step + 1) % _SAVE_EVERY == 0 or done:
            state.save(step + 1)
            if check is not None:
                state.log(step=step + 1, check={k: round(v, 3) for k, v in check(average).items()})
    return average.eval()


@torch.no_grad()
def measure(network: CrowdNetS, examples: Examples, rig: Rig) -> dict[str, float]:
    """Joint errors in millimetres, before and after the head, of everybody and of those who overlap."""
    after = torch.cat(
        [examples.rows(slice(i, i + 256)).ask(network.eval()) for i in range(0, len(examples), 256)]
    )
    network.train()
    truth = examples.rows(slice(None))
    overlapped = (examples.overlap >= 0.3).numpy()
    table: dict[str, float] = {
        "people": float(len(examples)),
        "overlapped": float(overlapped.sum()),
    }
    for name, fisher in (("before", truth.fisher), ("after", after)):
        pa, plain = _errors_mm(rig, posterior.mode(fisher), truth)
        table |= {f"{name}_pa_mpjpe_mm": pa.mean(), f"{name}_mpjpe_mm": plain.mean()}
        if overlapped.any():
            table[f"{name}_pa_mpjpe_overlapped_mm"] = pa[overlapped].mean()
    return {key: float(value) for key, value in table.items()}


def _errors_mm(rig: Rig, rotations: Tensor, truth: Examples) -> tuple[Any, Any]:
    picked = list(JOINTS_14)
    guess = joints_of(rig, rotations, truth.betas)[:, picked]
    real = joints_of(rig, truth.rotations, truth.betas)[:, picked]
    aligned = procrustes(guess, real)
    pa, plain = (np.asarray(1000 * (p - real).norm(dim=-1).mean(1)) for p in (aligned, guess))
    return pa, plain
