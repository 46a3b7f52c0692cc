"""Losses, calibration and measurements of crowdnet-s and rootnet-s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crowd3d.body.rig import Rig, chain, place_joints, with_shape
from crowd3d.lift.box_depth import gamma_of_extent
from crowd3d.maths import posterior
from crowd3d.models.crowdnet_s import CrowdNetS
from crowd3d.models.rootnet_s import RootNetS
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.crops.examples import Examples
from crowd3d.training.crops.recipe import CrowdNetRecipe, Learning
from crowd3d.training.crops.steps import train_head
from crowd3d.training.lift.metrics import JOINTS_14, JUDGED, joints_of, procrustes

_NODES = 20  # quadrature points; log c to 1e-3
_LEAVES = (10, 11, 20, 21, 22, 23)  # toes, wrists and hands hardly show
_LEAF_WEIGHT = 0.1
_DEGREES_OF_FREEDOM = 5.0  # of Student's t: a few sizes are told quite wrongly
_BATCH = 256


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
    run: RunFolder | None = None,
    check: Callable[[CrowdNetS], dict[str, float]] | None = None,
    on_step: Callable[[], None] | None = None,
) -> CrowdNetS:
    """Train crowdnet-s, to be calibrated; arguments as of `train_head`, `check` decides by "after_mpjpe_mm"."""

    def loss(network: CrowdNetS, rows: Examples) -> tuple[Tensor, dict[str, Tensor]]:
        return crowdnet_loss(rows.ask(network), rows, rig, recipe.joints)

    return train_head(
        lambda: CrowdNetS(**recipe.network),
        loss,
        examples,
        recipe,
        run,
        (check, "after_mpjpe_mm") if check else None,
        on_step,
    )


def fit_extents(
    examples: Examples,
    recipe: Learning,
    run: RunFolder | None = None,
    check: Callable[[RootNetS], dict[str, float]] | None = None,
    on_step: Callable[[], None] | None = None,
) -> RootNetS:
    """Train rootnet-s; arguments as of `train_head`, `check` decides by "nll"."""
    return train_head(
        RootNetS,
        extent_loss,
        examples,
        recipe,
        run,
        (check, "nll") if check else None,
        on_step,
    )


def extent_loss(network: RootNetS, rows: Examples) -> tuple[Tensor, dict[str, Tensor]]:
    """Negative log-likelihood of the log heights by Student's t, but for a constant; mean over the batch."""
    told = network(rows.maps, rows.keypoints, rows.elevation)
    nu = _DEGREES_OF_FREEDOM
    z2 = ((rows.window_m.log() - told.log_m) / told.log_sd) ** 2
    nll = (told.log_sd.log() + (nu + 1) / 2 * torch.log1p(z2 / nu)).mean()
    away = (rows.window_m.log() - told.log_m).abs().mean()
    return nll, {"nll": nll, "log_error": away}


@torch.no_grad()
def measure_extents(network: RootNetS, examples: Examples) -> dict[str, float]:
    """Mean errors of the logarithm of depth: of rootnet-s, and of giving everybody the same gamma.

    Gamma is a person's true depth over what `box_depth.k_m` says of the box. The numbers are those of
    everybody, and, with the prefix "unusual_", of those who sit, are small, or are cut by the picture's border.
    Their names: `best_constant`, the true median over everybody; `own_constant`, that over the group
    alone; `standing_constant`, that of an adult who stands; `shuffled`, what rootnet-s says of somebody else.
    """
    parts = [examples.rows(slice(i, i + _BATCH)) for i in range(0, len(examples), _BATCH)]
    told = [network.eval()(rows.maps, rows.keypoints, rows.elevation) for rows in parts]
    nll = sum(float(extent_loss(network, rows)[0]) * len(rows) for rows in parts) / len(examples)
    network.train()
    log_sd = torch.cat([t.log_sd for t in told])
    error = torch.cat([t.log_m for t in told]) - examples.window_m.log()
    # A window told too high by a factor is a person told too far away by that factor.
    gamma = examples.gamma.log()
    shuffled = (gamma + error).roll(len(gamma) // 2) - gamma
    table = {"nll": nll, "within_1_sd": float((error.abs() < log_sd).float().mean())}
    unusual = examples.unusual > 0
    for name, who in (("", torch.ones_like(unusual)), ("unusual_", unusual)):
        if who.any():
            rows = {
                "rootnet_s": error[who],
                "best_constant": gamma[who] - gamma.median(),
                "own_constant": gamma[who] - gamma[who].median(),
                "standing_constant": gamma[who] - float(np.log(gamma_of_extent(1.70))),
                "shuffled": shuffled[who],
            }
            table |= {f"{name}{k}": float(v.abs().mean()) for k, v in rows.items()}
    return table


@torch.no_grad()
def calibrate(network: CrowdNetS, examples: Examples, mass: float = 0.9) -> None:
    """Fit the one temperature, a factor of all answers, by bisection.

    Afterwards the credible ball of a probability `mass` holds the true rotation that often.
    """
    network.temperature.fill_(1.0)
    fisher, truth = _answers(network, examples), examples.rotations.float()
    picked = list(JUDGED)
    fisher, truth = fisher[:, picked], truth[:, picked]
    angle = posterior.angle_between(posterior.mode(fisher), truth)
    low, high = 0.05, 4.0
    for _ in range(10):
        middle = (low * high) ** 0.5
        held = (angle <= posterior.credible_angle(middle * fisher, mass, 32)).float().mean()
        low, high = (middle, high) if held > mass else (low, middle)
    network.temperature.fill_((low * high) ** 0.5)


@torch.no_grad()
def coverage(network: CrowdNetS, examples: Examples, mass: float = 0.9) -> float:
    """Share of true rotations that lie in the credible ball of that mass."""
    picked = list(JUDGED)
    fisher = _answers(network, examples)[:, picked]
    angle = posterior.angle_between(posterior.mode(fisher), examples.rotations.float()[:, picked])
    return float((angle <= posterior.credible_angle(fisher, mass, 32)).float().mean())


def _answers(network: CrowdNetS, examples: Examples) -> Tensor:
    was_training = network.training
    network.eval()
    parts = [examples.rows(slice(i, i + _BATCH)) for i in range(0, len(examples), _BATCH)]
    answers = torch.cat([rows.ask(network) for rows in parts])
    network.train(was_training)
    return answers


@torch.no_grad()
def measure(network: CrowdNetS, examples: Examples, rig: Rig) -> dict[str, float]:
    """Joint errors in millimetres, before and after the head, of everybody and of those who overlap."""
    after = _answers(network, examples)
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
