"""Draws the examples that the lift learns from: a pose, a body, a camera, and the keypoints detected there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from torch import Tensor

from crowd3d.body.rig import Posed, Rig, pose_rig, with_shape
from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.data.cmu import Clip
from crowd3d.maths.rotation import about_y, small_turns
from crowd3d.maths.upright import to_upright
from crowd3d.models import lift_net
from crowd3d.training.common.keypoint_noise import Clean, NoiseRecipe, spoil
from crowd3d.training.poses.everyday import everyday_poses

N_COCO = 17
_UPPER = (3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
# Keypoints that the head may hide: nose and eyes from behind, each ear from the other side.
_FACE, _LEFT_EAR, _RIGHT_EAR = (0, 1, 2), 3, 4


@dataclass(frozen=True)
class CameraRecipe:
    """Where the cameras are."""

    elevation_deg: tuple[float, float] = (-10.0, 70.0)
    steep_share: float = 0.35  # the rest has elevations from a normal distribution about 12 degrees
    common_mean_deg: float = 12.0
    common_sd_deg: float = 11.0
    distance_statures: tuple[float, float] = (3.0, 60.0)  # log-uniform


@dataclass(frozen=True)
class PoseRecipe:
    """How poses are drawn from the bank."""

    everyday: int = 100_000  # poses made by rule
    weights: dict[str, float] = field(default_factory=lambda: {"everyday": 1.0})
    mix: float = 0.25  # upper body of another pose
    swap_arms: float = 0.15  # arms of another pose
    perturb_deg: float = 7.0  # per axis, times the joint's own factor
    tilt_deg: float = 3.0  # of the whole body


@dataclass(frozen=True)
class PopulationRecipe:
    """Who is there, in betas of the embedded body; the first is the stature at all ages."""

    stature: tuple[float, float] = (0.30, 0.45)  # adults: mean and standard deviation
    children: float = 0.15
    child_stature: tuple[float, float] = (-2.8, -0.4)
    sd: float = 1.0  # of the other nine
    clip: float = 2.5


@dataclass(frozen=True)
class Bank:
    """Poses (M, 24, 3, 3) that face +z, and the probability (M,) of each to be drawn."""

    poses: Tensor
    chance: Tensor

    def to(self, device: torch.device | str) -> Bank:
        """The same bank elsewhere."""
        return Bank(self.poses.to(device), self.chance.to(device))


@dataclass(frozen=True)
class Batch:
    """N people, as the lift sees them and as they are.

    The root's rotation is in the upright frame of the person's noisy keypoints, as the lift's answer is.

    Attributes:
        keypoints: (N, 17, 3), elevation: (N,): what `crowd3d.lift.Lift` takes.
        rotations: (N, 24, 3, 3); betas: (N, 10).
        range_statures: (N,); torso_height: (N,) in statures.
    """

    keypoints: Tensor
    elevation: Tensor
    rotations: Tensor
    betas: Tensor
    range_statures: Tensor
    torso_height: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch elsewhere."""
        return Batch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


# How freely a joint may be disturbed about x, y, z of its own frame, relative to `perturb_deg`.
_FREEDOM = np.ones((24, 3))
_FREEDOM[[1, 2]] = (1.0, 0.8, 0.7)
_FREEDOM[[4, 5]] = (1.0, 0.25, 0.2)
_FREEDOM[[7, 8]] = (1.2, 0.8, 0.6)
_FREEDOM[[10, 11]] = (0.8, 0.3, 0.3)
_FREEDOM[[3, 6, 9]] = 0.6
_FREEDOM[[12, 15]] = (1.0, 1.3, 0.8)
_FREEDOM[[13, 14]] = 0.6
_FREEDOM[[16, 17]] = (1.6, 1.3, 1.3)
_FREEDOM[[18, 19]] = (1.6, 1.4, 0.3)
_FREEDOM[[20, 21]] = (2.0, 1.5, 1.5)
_FREEDOM[[22, 23]] = 1.5


def without_heading(rotations: Tensor) -> Tensor:
    """Turn poses (M, 24, 3, 3) about the vertical y axis so that they face +z on the level."""
    ahead = rotations[:, 0, :, 2]
    return turn_heading(rotations, -torch.atan2(ahead[:, 0], ahead[:, 2]))


def turn_heading(rotations: Tensor, angle: Tensor) -> Tensor:
    """Turn whole bodies (M, 24, 3, 3) by angle (M,) about y."""
    root = about_y(angle) @ rotations[:, 0]
    return torch.cat([root[:, None], rotations[:, 1:]], dim=1)


def build_bank(clips: list[Clip], recipe: PoseRecipe, rig: Rig, seed: int) -> Bank:
    """Everyday poses and every frame of the clips; each group keeps its share whatever its length.

    A group is "everyday" or what `group_of` says of a clip; one without a share in `recipe.weights`
    is not drawn.
    """
    rng = np.random.default_rng(seed)
    groups: dict[str, list[np.ndarray]] = {}
    if recipe.everyday:
        groups["everyday"] = [everyday_poses(rng, recipe.everyday, rig.joints[0].cpu().numpy())]
    for clip in clips:
        groups.setdefault(group_of(clip.name), []).append(clip.rotations)
    poses, chance = [], []
    for name, parts in groups.items():
        stacked = torch.as_tensor(np.concatenate(parts), dtype=torch.float32)
        poses.append(without_heading(stacked))
        share = recipe.weights.get(name, 0.0)
        chance.append(torch.full((len(stacked),), share / len(stacked)))
    weight = torch.cat(chance)
    return Bank(torch.cat(poses), weight / weight.sum())


def group_of(clip_name: str) -> str:
    """Group of a clip: "cmu_01" for subject 01, "deepmimic" for humanoid3d clips."""
    head = clip_name.split("_")[0]
    return "deepmimic" if head == "humanoid3d" else f"cmu_{head}"


def draw_poses(bank: Bank, recipe: PoseRecipe, count: int, generator: torch.Generator) -> Tensor:
    """Poses (count, 24, 3, 3) facing +z: drawn, crossed with others, mirrored, disturbed."""
    pick = torch.multinomial(bank.chance, 3 * count, replacement=True, generator=generator)
    base, other, arms = torch.split(bank.poses[pick], count)
    device = base.device

    def some(chance: float) -> Tensor:
        return torch.rand(count, generator=generator, device=device) < chance

    other = torch.where(some(0.5)[:, None, None, None], lift_net.mirror_fisher(other), other)
    for chance, donor, joints in (
        (recipe.mix, other, _UPPER),
        (recipe.swap_arms, arms, _UPPER[4:6] + _UPPER[7:]),
    ):
        who = some(chance)[:, None, None, None]
        base[:, list(joints)] = torch.where(who, donor[:, list(joints)], base[:, list(joints)])
    base = torch.where(some(0.5)[:, None, None, None], lift_net.mirror_fisher(base), base)
    freedom = torch.as_tensor(_FREEDOM, dtype=base.dtype, device=device).clone()
    freedom[0] = recipe.tilt_deg / max(recipe.perturb_deg, 1e-6)
    person = torch.randn(count, 1, 1, generator=generator, device=device).mul(0.6).exp()
    noise = torch.randn(count, 24, 3, generator=generator, device=device)
    noise = noise * person * freedom * math.radians(recipe.perturb_deg)
    return without_heading(base @ small_turns(noise))


def draw_betas(
    recipe: PopulationRecipe, count: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Shapes (count, 10) of a mixed crowd."""
    betas = torch.randn(count, 10, generator=generator, device=device) * recipe.sd
    betas = betas.clamp(-recipe.clip, recipe.clip)
    adult = recipe.stature[0] + recipe.stature[1] * torch.randn(
        count, generator=generator, device=device
    )
    child = torch.rand(count, generator=generator, device=device) < recipe.children
    low, high = recipe.child_stature
    stature = low + (high - low) * torch.rand(count, generator=generator, device=device)
    betas[:, 0] = torch.where(child, stature, adult)
    return betas


def photograph(
    rig: Rig,
    poses: Tensor,
    betas: Tensor,
    camera: CameraRecipe,
    noise: NoiseRecipe | None,
    generator: torch.Generator,
) -> Batch:
    """Put posed bodies before cameras and detect their keypoints.

    Args:
        poses: (N, 24, 3, 3) facing +z, y up.
        noise: None for true projections with score 1.
    """
    count, device = len(poses), poses.device

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, device=device)

    poses = turn_heading(poses, 2 * math.pi * uniform())
    posed = pose_rig(rig, poses, betas)
    stature = with_shape(rig.stature, betas)
    points = posed.points
    torso = points[:, list(TORSO_KEYPOINTS)].mean(1)
    lowest = torch.minimum(points[..., 1].amin(1), posed.joints[..., 1].amin(1))
    low, high = camera.distance_statures
    distance = stature * torch.exp(math.log(low) + math.log(high / low) * uniform())
    elevation = _draw_elevation(camera, uniform(), uniform(), generator)
    ray = torch.stack([torch.zeros_like(elevation), elevation.sin(), elevation.cos()], dim=-1)
    to_level = torch.tensor(
        [1.0, -1.0, -1.0], device=device
    )  # y up, z towards the camera -> y down, z away
    place = (points[:, :N_COCO] - torso[:, None]) * to_level + (distance[:, None] * ray)[:, None]
    keypoints = _detect(place, ray, posed, stature / distance, noise, generator)
    tangents = torch.cat([keypoints[..., :2], torch.ones_like(keypoints[..., :1])], dim=-1)
    right = torch.tensor([1.0, 0, 0], device=device).expand_as(ray)
    axes = torch.stack([right, torch.linalg.cross(ray, right), ray], dim=1)
    rays = torch.einsum("nji,nkj->nki", axes, tangents)
    up = torch.tensor([0.0, -1.0, 0.0], device=device)
    seen, seen_elevation, R_upright_level = to_upright(rays, keypoints[..., 2], up)
    root = R_upright_level @ (to_level[:, None] * poses[:, 0])
    return Batch(
        keypoints=seen,
        elevation=seen_elevation,
        rotations=torch.cat([root[:, None], poses[:, 1:]], dim=1),
        betas=betas,
        range_statures=distance / stature,
        torso_height=(torso[:, 1] - lowest) / stature,
    )


def _draw_elevation(
    camera: CameraRecipe, a: Tensor, b: Tensor, generator: torch.Generator
) -> Tensor:
    """(N,) radians below the horizon."""
    low, high = camera.elevation_deg
    even = low + (high - low) * a
    bell = torch.randn(len(a), generator=generator, device=a.device)
    common = (camera.common_mean_deg + camera.common_sd_deg * bell).clamp(low, high)
    return torch.deg2rad(torch.where(b < camera.steep_share, even, common))


def _detect(
    place: Tensor,
    ray: Tensor,
    posed: Posed,
    height: Tensor,
    noise: NoiseRecipe | None,
    generator: torch.Generator,
) -> Tensor:
    """Keypoints (N, 17, 3) in the virtual camera of `ray`; places (N, 17, 3) in the level frame."""
    along = torch.einsum("nki,ni->nk", place, ray)
    down = torch.linalg.cross(ray, torch.tensor([1.0, 0, 0], device=ray.device).expand_as(ray))
    across = torch.stack([place[..., 0], torch.einsum("nki,ni->nk", place, down)], dim=-1)
    uv = across / along.clamp_min(1e-3)[..., None]
    if noise is None:
        return torch.cat([uv, torch.ones_like(uv[..., :1])], dim=-1)
    return spoil(Clean(uv, height, _self_hidden(along, uv, ray, posed, height)), noise, generator)


def _self_hidden(along: Tensor, uv: Tensor, ray: Tensor, posed: Posed, height: Tensor) -> Tensor:
    """(N, 17) joints that the person's own body probably hides."""
    level_ray = ray * torch.tensor([1.0, -1.0, -1.0], device=ray.device)
    head = posed.world[:, 15]
    towards = -torch.einsum(
        "ni,nij->nj", level_ray, head
    )  # the camera's direction in the head's frame
    hidden = torch.zeros_like(along, dtype=torch.bool)
    hidden[:, list(_FACE)] = (towards[:, 2] < -0.1)[:, None]
    hidden[:, _LEFT_EAR] = towards[:, 0] < -0.35
    hidden[:, _RIGHT_EAR] = towards[:, 0] > 0.35
    torso = list(TORSO_KEYPOINTS)
    center, depth = uv[:, torso].mean(1, keepdim=True), along[:, torso].mean(1, keepdim=True)
    near = (uv - center).norm(dim=-1) < 0.13 * height[:, None]
    size = (along.mean(1) * height)[:, None]  # stature in metres
    limbs = [7, 8, 9, 10]
    hidden[:, limbs] |= (near & (along > depth + 0.04 * size))[:, limbs]
    return hidden
