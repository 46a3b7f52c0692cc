"""The lifting network: 2D keypoints in the upright frame -> 3D pose and shape, both with uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crowd3d.body.tree import COCO_MIRROR, JOINT_MIRROR, N_BETAS, N_JOINTS, N_KEYPOINTS

MIN_SCORE = 0.05  # a keypoint below this has no place
_FISHER_GAIN = 10.0  # an output of 1 then means a rotation known to about 13 degrees
_FAR = 60.0  # statures; farther away, perspective within one person is negligible


@dataclass(frozen=True)
class Normalised:
    """Keypoints without place and size.

    Attributes:
        features: (N, F) input of the network.
        center: (N, 2) and scale: (N,) in tangents: uv = center + scale * normalised.
    """

    features: Tensor
    center: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Raw:
    """What the network says, before calibration. Variances are logarithms.

    Attributes:
        fisher: (N, 24, 3, 3).
        betas, betas_logvar: (N, 10).
        extent, extent_logvar: (N,) log of the keypoints' root mean square radius in statures.
        height, height_logvar: (N,) torso centre above the lowest point of the body, in statures.
    """

    fisher: Tensor
    betas: Tensor
    betas_logvar: Tensor
    extent: Tensor
    extent_logvar: Tensor
    height: Tensor
    height_logvar: Tensor


def normalise(keypoints: Tensor, elevation: Tensor) -> Normalised:
    """Centre on the score-weighted mean, divide by the weighted root mean square radius.

    Args:
        keypoints: (N, 17, 3) tangents u, v in the virtual camera and score.
        elevation: (N,) radians by which the ray points below the horizon.
    """
    score = keypoints[..., 2].clamp(0, 1)
    seen = score > MIN_SCORE
    weight = (score * seen)[..., None]
    total = weight.sum(1).clamp_min(1e-6)
    uv = torch.where(seen[..., None], keypoints[..., :2], torch.zeros_like(keypoints[..., :2]))
    center = (weight * uv).sum(1) / total
    away = (uv - center[:, None]) * seen[..., None]
    scale = torch.sqrt((weight * away**2).sum((1, 2)) / total[:, 0]).clamp_min(1e-6)
    place = (away / scale[:, None, None]).clamp(-6, 6)
    nearness = torch.log(scale * _FAR).clamp(-1.0, 4.0)
    parts = [place.flatten(1), score * seen, seen.to(place), nearness[:, None]]
    angle = torch.stack([elevation.sin(), elevation.cos()], dim=1).to(place)
    return Normalised(torch.cat([*parts, angle], dim=1), center, scale)


N_FEATURES = N_KEYPOINTS * 4 + 3
N_OUTPUTS = N_JOINTS * 9 + 2 * N_BETAS + 4


class _Block(nn.Module):
    """x + W2 gelu(W1 norm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width) -> (N, width)."""
        out: Tensor = x + self.outer(torch.nn.functional.gelu(self.inner(self.norm(x))))
        return out


class LiftNet(nn.Module):
    """Residual perceptron: 2.3 million parameters at the default size, 2.8 million as shipped.

    Args:
        width, depth: of the residual blocks.
        appearance: length of an optional feature of the person's picture, appended to the input.
    """

    temperature: Tensor

    def __init__(self, width: int = 512, depth: int = 4, appearance: int = 0) -> None:
        super().__init__()
        self.appearance = appearance
        self.stem = nn.Linear(N_FEATURES + appearance, width)
        self.blocks = nn.Sequential(*[_Block(width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, N_OUTPUTS)
        # Calibration, fitted after training.
        self.register_buffer("temperature", torch.ones(N_JOINTS))
        nn.init.normal_(self.head.weight, std=0.01)
        with torch.no_grad():
            self.head.bias.zero_()
            self.head.bias[9 : N_JOINTS * 9] = torch.eye(3).flatten().repeat(N_JOINTS - 1)

    def forward(self, features: Tensor, appearance: Tensor | None = None) -> Raw:
        """(N, N_FEATURES), optionally (N, appearance) -> Raw, not yet calibrated."""
        if appearance is not None:
            features = torch.cat([features, appearance], dim=1)
        out = self.head(self.norm(self.blocks(self.stem(features)))).float()
        fisher, betas, logvar, rest = out.split([N_JOINTS * 9, N_BETAS, N_BETAS, 4], dim=1)
        return Raw(
            fisher=_FISHER_GAIN * fisher.reshape(-1, N_JOINTS, 3, 3),
            betas=betas,
            betas_logvar=logvar.clamp(-6, 4),
            extent=rest[:, 0] - 1.3,
            extent_logvar=rest[:, 1].clamp(-8, 2) - 3,
            height=0.6 + 0.1 * rest[:, 2],
            height_logvar=rest[:, 3].clamp(-8, 2) - 4,
        )


def mirror_keypoints(keypoints: Tensor) -> Tensor:
    """(N, 17, 3) of the same person seen in a mirror."""
    flipped = keypoints[:, list(COCO_MIRROR)]
    return flipped * torch.tensor([-1.0, 1.0, 1.0], device=keypoints.device, dtype=keypoints.dtype)


def mirror_fisher(fisher: Tensor) -> Tensor:
    """(N, 24, 3, 3) Fisher parameters or rotations of the mirrored person (mirror plane x = 0)."""
    sign = torch.tensor([-1.0, 1.0, 1.0], device=fisher.device, dtype=fisher.dtype)
    return fisher[:, list(JOINT_MIRROR)] * sign[:, None] * sign
