"""Errors of lifted poses against the truth: MPJPE, PA-MPJPE, heading, and whether uncertainty is honest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import spearmanr
from torch import Tensor

from crowd3d.body.rig import Rig, chain, place_joints, with_shape
from crowd3d.maths import posterior
from crowd3d.training.lift.data import Batch

# Ankles, knees, hips, wrists, elbows, shoulders, neck, head: the usual 14, from SMPL's 24.
JOINTS_14 = (7, 4, 1, 2, 5, 8, 20, 18, 16, 17, 19, 21, 12, 15)
# Joints whose rotation shows in the keypoints: for them uncertainty is judged.
JUDGED = (0, 1, 2, 3, 4, 5, 6, 9, 12, 15, 16, 17, 18, 19)


def joints_of(rig: Rig, rotations: Tensor, betas: Tensor) -> Tensor:
    """(N, 24, 3) joints in metres, pelvis at the origin, in the frame of the root rotation."""
    rest = with_shape(rig.joints, betas)
    placed = place_joints(rig.parents, chain(rig.parents, rotations), rest)
    return placed - placed[:, :1]


def procrustes(source: Tensor, target: Tensor) -> Tensor:
    """Source (N, J, 3) after the best similarity onto target (Umeyama 1991, no reflection)."""
    mean_s, mean_t = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    s, t = (source - mean_s).double(), (target - mean_t).double()
    U, sigma, V = posterior.proper_svd(t.transpose(1, 2) @ s)
    scale = sigma.sum(1) / (s**2).sum((1, 2)).clamp_min(1e-12)
    turned = s @ (U @ V.transpose(1, 2)).transpose(1, 2)
    return (scale[:, None, None] * turned + mean_t).to(source)


@dataclass(frozen=True)
class Errors:
    """One number a person (N,), or (N, J) per judged joint.

    Attributes:
        mpjpe_m, pa_mpjpe_m: over 14 joints, pelvis-aligned and after Procrustes.
        heading_rad: angle between the horizontal facing directions.
        angle_rad: (N, J) rotation errors of the judged joints.
    """

    mpjpe_m: Tensor
    pa_mpjpe_m: Tensor
    heading_rad: Tensor
    angle_rad: Tensor


def errors(rig: Rig, rotations: Tensor, betas: Tensor, batch: Batch) -> Errors:
    """Compare estimates with the truth of a batch."""
    picked = list(JOINTS_14)
    truth = joints_of(rig, batch.rotations, batch.betas)[:, picked]
    guess = joints_of(rig, rotations, betas)[:, picked]
    facing = [r[:, 0, :, 2][:, [0, 2]] for r in (rotations, batch.rotations)]
    heading = [torch.atan2(f[:, 0], f[:, 1]) for f in facing]
    turn = heading[0] - heading[1]
    judged = list(JUDGED)
    return Errors(
        mpjpe_m=(guess - truth).norm(dim=-1).mean(1),
        pa_mpjpe_m=(procrustes(guess, truth) - truth).norm(dim=-1).mean(1),
        heading_rad=torch.atan2(turn.sin(), turn.cos()).abs(),
        angle_rad=posterior.angle_between(rotations, batch.rotations)[:, judged],
    )


def summary(found: Errors, fisher: Tensor | None = None) -> dict[str, float]:
    """Means and medians in millimetres and degrees; with F also how honest it is."""
    result = {
        "pa_mpjpe_mm": 1000 * found.pa_mpjpe_m.mean().item(),
        "mpjpe_mm": 1000 * found.mpjpe_m.mean().item(),
        "heading_median_deg": torch.rad2deg(found.heading_rad.median()).item(),
        "heading_over_90_percent": 100 * (found.heading_rad > torch.pi / 2).float().mean().item(),
    }
    if fisher is not None:
        judged = fisher[:, list(JUDGED)]
        credible = posterior.credible_angle(judged, 0.9)
        result["coverage_90_percent"] = 100 * (found.angle_rad <= credible).float().mean().item()
        result |= _rank_correlations(posterior.dispersion(judged), found.angle_rad)
    return result


def _rank_correlations(spread: Tensor, error: Tensor) -> dict[str, float]:
    """Spearman of dispersion and error (N, J): over all pairs, over people, within each joint."""
    within = [spearmanr(a, b).statistic for a, b in zip(spread.T, error.T, strict=True)]
    return {
        "spearman_pairs": float(spearmanr(spread.flatten(), error.flatten()).statistic),
        "spearman_people": float(spearmanr(spread.mean(1), error.mean(1)).statistic),
        "spearman_within_joint": float(sum(within) / len(within)),
    }
