"""Spoils true keypoints as our own detector would see them: misplaced, missing, left and right exchanged.

The kinds of error are those of Ronchi & Perona, Benchmarking and error diagnosis in multi-instance
pose estimation (ICCV 2017): jitter, miss, inversion, swap. How far a joint moves is drawn from a ring between
two values of object keypoint similarity (OKS). Besides, every joint scatters, joints are hidden by the body
itself, by others or by the picture's border, and scores know a part of all this. The errors of other pose
estimators in crowds are in `pose_errors`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from crowd3d.body.tree import COCO_MIRROR
from tiling import COCO_SIGMAS

# Scores of the embedded detector on photographs, relative to their mean; nose, eyes, ears, ..., ankles.
JOINT_SCORE = (
    *(0.95, 0.95, 0.95, 1.0, 1.0),
    *(1.2, 1.2, 0.9, 0.9, 0.7, 0.7),
    *(1.25, 1.25, 0.95, 0.95, 0.9, 0.9),
)
# Face, upper body, lower body: the three rows of every probability below.
PART = (0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2)


@dataclass(frozen=True)
class NoiseRecipe:
    """All numbers of the error model; lengths in standing heights of the person in the picture."""

    scatter: float = 0.020  # median over people of the per-axis standard deviation
    scatter_spread: float = 0.5  # of its logarithm
    jitter: tuple[float, ...] = (0.06, 0.08, 0.10)  # chance for face, upper and lower body
    miss: tuple[float, ...] = (0.01, 0.03, 0.04)
    inversion: tuple[float, ...] = (0.01, 0.02, 0.04)
    swap: tuple[float, ...] = (0.01, 0.03, 0.03)  # a neighbour's joint, for people who have one
    neighbour: float = 0.35  # share of people who stand before or behind others
    side_flip: float = 0.01  # left and right of the whole person exchanged
    drop: float = 0.03  # a joint is not found at all
    covered_legs: float = 0.12
    covered_side: float = 0.05
    cut: float = 0.06  # a straight border of the picture
    covered_block: float = 0.06
    hidden_kept: float = 0.6  # of hidden joints, those for which the detector invents a place
    hidden_scatter: float = 0.07  # its error
    score_gain: tuple[float, ...] = (0.35, 1.05)  # of a person: small and blurred people score low
    score_noise: float = 0.10
    score_lie: float = 0.06  # scores that have nothing to do with the error

    @classmethod
    def from_dict(cls, values: dict[str, float | list[float]]) -> NoiseRecipe:
        """From the YAML page; lists become tuples."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Clean:
    """True projections that the error model spoils.

    Attributes:
        uv: (N, 17, 2) in any unit of the picture.
        height: (N,) standing height of the person in that unit.
        unseen: (N, 17) true where the body itself hides the joint.
    """

    uv: Tensor
    height: Tensor
    unseen: Tensor


def spoil(clean: Clean, recipe: NoiseRecipe, generator: torch.Generator) -> Tensor:
    """Detected keypoints (N, 17, 3): place and score; all 0 where nothing was found."""
    noise = _Noise(clean, recipe, generator)
    uv = noise.scatter(clean.uv)
    uv = noise.rings(uv)
    uv, hidden = noise.hide(uv)
    error = (uv - clean.uv).norm(dim=-1)
    score = noise.score(error, hidden)
    uv, score = noise.flip(uv, score)
    lost = hidden & (noise.uniform(uv.shape[:2]) > recipe.hidden_kept)
    lost |= noise.uniform(uv.shape[:2]) < recipe.drop
    score = score.masked_fill(lost, 0.0)
    return torch.cat([uv.masked_fill(lost[..., None], 0.0), score[..., None]], dim=-1)


class _Noise:
    """The steps of `spoil`, which share the people, the recipe and the source of randomness."""

    def __init__(self, clean: Clean, recipe: NoiseRecipe, generator: torch.Generator) -> None:
        self.clean, self.recipe, self.generator = clean, recipe, generator
        self.device, self.dtype = clean.uv.device, clean.uv.dtype
        self.sigma = 2 * torch.tensor(COCO_SIGMAS, device=self.device, dtype=self.dtype)
        extent = clean.uv.amax(1) - clean.uv.amin(1)
        floor = 0.2 * clean.height[:, None]  # a head-on crawler still has an area
        self.root_area = extent.maximum(floor).prod(-1).sqrt()

    def uniform(self, shape: tuple[int, ...] | torch.Size) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device, dtype=self.dtype)

    def normal(self, shape: tuple[int, ...] | torch.Size) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device, dtype=self.dtype)

    def scatter(self, uv: Tensor) -> Tensor:
        """Gaussian error of every joint, larger where annotators err more (OKS sigmas)."""
        person = self.recipe.scatter * torch.exp(
            self.recipe.scatter_spread * self.normal(uv.shape[:1])
        )
        joint = (
            self.sigma / self.sigma.mean()
        ) ** 0.5  # detectors are less unequal than annotators
        size = (person * self.clean.height)[:, None] * joint * (1 + 0.7 * self.clean.unseen)
        return uv + size[..., None] * self.normal(uv.shape)

    def radius(self, similarity: Tensor) -> Tensor:
        """(N, 17) distance at which a joint has the given OKS."""
        return self.root_area[:, None] * self.sigma * torch.sqrt(-2 * torch.log(similarity))

    def rings(self, uv: Tensor) -> Tensor:
        """Jitter, miss, inversion and swap; at most one of them a joint."""
        rows = (self.recipe.jitter, self.recipe.miss, self.recipe.inversion, self.recipe.swap)
        chance = torch.tensor(rows, device=self.device, dtype=self.dtype)[:, list(PART)]
        chance = chance[:, None].repeat(1, len(uv), 1)
        chance[3] *= (self.uniform((len(uv),)) < self.recipe.neighbour)[:, None]
        edges = torch.cumsum(chance, 0)
        draw = self.uniform(uv.shape[:2])
        kind = (draw[None] >= edges).sum(0)
        angle = 2 * math.pi * self.uniform(uv.shape[:2])
        ray = torch.stack([angle.cos(), angle.sin()], dim=-1)
        share = self.uniform(uv.shape[:2])
        jitter = self.clean.uv + self.radius(0.85 - 0.35 * share)[..., None] * ray
        miss = self.clean.uv + self.radius(0.5 - 0.4 * share)[..., None] * ray
        near = (share.sqrt() * self.radius(torch.full_like(share, 0.6)))[..., None] * ray
        mirrored = self.clean.uv[:, list(COCO_MIRROR)] + near
        side = (self.uniform((len(uv), 2)) - 0.5) * torch.tensor([1.0, 0.4], device=self.device)
        other = self.clean.uv + near + (side * self.clean.height[:, None])[:, None]
        for index, place in enumerate((jitter, miss, mirrored, other)):
            uv = torch.where((kind == index)[..., None], place, uv)
        return uv

    def hide(self, uv: Tensor) -> tuple[Tensor, Tensor]:
        """Joints behind others or things, or outside the picture: guessed places, and which."""
        recipe, (x, y) = self.recipe, self.clean.uv.unbind(-1)
        low, high = self.clean.uv.amin(1), self.clean.uv.amax(1)
        span = high - low

        def line(axis: int, least: float, most: float) -> Tensor:
            at = least + (most - least) * self.uniform((len(uv),))
            return (low[:, axis] + at * span[:, axis])[:, None]

        def some(chance: float) -> Tensor:
            return (self.uniform((len(uv),)) < chance)[:, None]

        left = some(0.5)
        hidden = some(recipe.covered_legs) & (y > line(1, 0.45, 0.95))
        edge = line(0, 0.35, 0.65)
        hidden |= some(recipe.covered_side) & torch.where(left, x < edge, x > edge)
        edge = line(0, 0.2, 0.8)
        hidden |= some(recipe.cut / 2) & torch.where(left, x < edge, x > edge)
        edge = line(1, 0.1, 0.7)
        hidden |= some(recipe.cut / 2) & torch.where(
            some(0.7), y > edge, y < edge - 0.4 * span[:, 1:]
        )
        center = low + span * self.uniform((len(uv), 2))
        block = ((self.clean.uv - center[:, None]).abs() < (0.22 * span)[:, None]).all(-1)
        hidden |= some(recipe.covered_block) & block
        size = recipe.hidden_scatter * self.clean.height[:, None, None]
        return torch.where(hidden[..., None], uv + size * self.normal(uv.shape), uv), hidden

    def score(self, error: Tensor, hidden: Tensor) -> Tensor:
        """Scores fall with the true error, with hiding, and are sometimes wrong."""
        similarity = torch.exp(
            -0.5 * (error / (self.root_area[:, None] * (self.sigma + 0.06))) ** 2
        )
        low, high = self.recipe.score_gain
        gain = (low + (high - low) * self.uniform(error.shape[:1]))[:, None]
        gain = gain * torch.tensor(JOINT_SCORE, device=self.device, dtype=self.dtype)
        score = 0.12 + 0.68 * similarity + self.recipe.score_noise * self.normal(error.shape)
        score = gain * score
        dim = 0.35 + 0.65 * self.uniform(error.shape)
        score = torch.where(self.clean.unseen, score * dim, score)
        score = torch.where(hidden, 0.05 + 0.4 * score * dim, score)
        lie = self.uniform(error.shape) < self.recipe.score_lie
        return torch.where(lie, self.uniform(error.shape), score).clamp(0.02, 0.98)

    def flip(self, uv: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange left and right of some people."""
        who = self.uniform((len(uv),)) < self.recipe.side_flip
        mirror = list(COCO_MIRROR)
        uv = torch.where(who[:, None, None], uv[:, mirror], uv)
        return uv, torch.where(who[:, None], score[:, mirror], score)
