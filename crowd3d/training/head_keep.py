"""What keeps the 3D heads from forgetting: people as varied as the lift learned from, whom they leave alone.

Rendered people stand, walk and sit; a correction that learned from them alone turns everybody else into them.
So every step also shows poses of all kinds, as keypoints with a detector's errors, beside the appearance of
somebody else: such an appearance says nothing, and the lift's answer has to stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from crowd3d.lift import Lift
from crowd3d.lift_rig import Rig
from crowd3d.models.heads import FISHER_UNIT, HeadResult, Hypotheses, hypotheses
from crowd3d.training import mocap
from crowd3d.training.keypoint_noise import NoiseRecipe
from crowd3d.training.lift_data import (
    CameraRecipe,
    PopulationRecipe,
    PoseRecipe,
    build_bank,
    draw_betas,
    draw_poses,
    group_of,
    photograph,
)


@dataclass(frozen=True)
class KeepRecipe:
    """Who must be left alone."""

    people: int = 12_000
    everyday: int = 20_000  # poses made by rule, to draw from
    recorded: float = 0.5  # share of recorded poses, where there are any
    perturb_deg: float = 12.0  # per axis, times the joint's own factor
    tilt_deg: float = 15.0  # of the whole body


def varied_people(
    recipe: KeepRecipe, motion: Path | None, rig: Rig, lifter: Lift, seed: int
) -> Hypotheses:
    """What the lift says of people in poses of all kinds.

    Args:
        motion: folder of CMU motion capture, every frame of which is used; None = poses by rule alone.
        rig: on the CPU.

    Raises:
        crowd3d.training.mocap.MocapError: a motion file that cannot be read.
    """
    clips: list[mocap.Clip] = []
    if motion is not None:
        clips = mocap.load_cmu(motion, mocap.body_directions(rig.joints[0].double().numpy()))
    groups = {group_of(clip.name) for clip in clips}
    weights = {group: recipe.recorded / len(groups) for group in groups}
    poses = PoseRecipe(
        everyday=recipe.everyday,
        weights=weights | {"everyday": 1 - recipe.recorded if groups else 1.0},
        perturb_deg=recipe.perturb_deg,
        tilt_deg=recipe.tilt_deg,
    )
    generator = torch.Generator().manual_seed(seed)
    bank = build_bank(clips, poses, rig, seed)
    drawn = draw_poses(bank, poses, recipe.people, generator)
    betas = draw_betas(PopulationRecipe(), recipe.people, generator, drawn.device)
    batch = photograph(rig, drawn, betas, CameraRecipe(), NoiseRecipe(), generator)
    return hypotheses(lifter, batch.keypoints, batch.elevation)


def keep_loss(result: HeadResult, seen: Hypotheses) -> Tensor:
    """How far a correction moves pose, shape and depth from the lift's, mean over the people."""
    now, before = result.lifted, seen.lifted
    fisher = ((now.fisher - before.fisher) / FISHER_UNIT).square().sum((-1, -2)).mean()
    betas = (now.betas - before.betas).square().mean()
    depth = (
        ((now.range_statures / before.range_statures).log() / before.range_log_sd).square().mean()
    )
    height = (now.torso_height_statures - before.torso_height_statures) / before.torso_height_sd
    return fisher + betas + 0.1 * (depth + height.square().mean())
