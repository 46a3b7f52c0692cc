"""crowdnet-s: corrects one person's pose from a crop and that person's own 2D pose.

The design is that of 3DCrowdNet (Choi et al., CVPR 2022): heat maps of the 2D pose tell which of several
overlapping people is meant, features are sampled where the joints are, and joints exchange what they found.
Two things differ. The picture is seen through the frozen trunk of the one-stage network, which was trained on
photographs; this head was trained on renders only. And the head answers with an addition to the lift's
matrix-Fisher parameters, so that a picture that tells nothing leaves the pose as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crowd3d.models.crowd3ds import Trunk

CROP_W, CROP_H = 128, 160
STRIDE = 4  # pixels per cell of the finest map
LEVELS = (24, 24, 32)  # channels at strides 4, 8 and 16
_JOINTS, KEYPOINTS = 24, 17
_SIGMA_CELLS = 1.5
_FISHER_UNIT = 10.0
_MOST_FISHER = 60.0  # larger concentrations look alike to the head
# The keypoint that lies at each of SMPL's joints, -1 where COCO has none.
_KEYPOINT_OF = (
    -1, 11, 12, -1, 13, 14, -1, 15, 16, -1, -1, -1, -1, -1, -1, 0, 5, 6, 7, 8, 9, 10, -1, -1,
)  # fmt: skip

Pyramid = tuple[Tensor, Tensor, Tensor]


def pyramid(trunk: Trunk, rgb: Tensor) -> Pyramid:
    """What the trunk sees of crops (B, 3, H, W) in 0..255: maps at strides 4, 8 and 16."""
    _, coarse, middle, fine = trunk.pyramid(rgb / 127.5 - 1.0)
    return fine, middle, coarse


def heatmaps(keypoints: Tensor, size: tuple[int, int]) -> Tensor:
    """One Gaussian a keypoint, as high as its score.

    Args:
        keypoints: (B, 17, 3) x, y in crop pixels and score.
        size: height and width of the maps, in cells of STRIDE pixels.
    """
    at = keypoints[..., :2] / STRIDE - 0.5

    def along(axis: int) -> Tensor:
        cell = torch.arange(size[1 - axis], dtype=at.dtype, device=at.device)
        return torch.exp(-((cell - at[..., axis, None]) ** 2) / (2 * _SIGMA_CELLS**2))

    peaks = along(1)[..., :, None] * along(0)[..., None, :]
    return peaks * keypoints[..., 2, None, None]


class _Residual(nn.Module):
    """x + conv relu conv x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return out


class _Attention(nn.Module):
    """A pre-norm transformer block over the joints."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 2 * width)
        self.outer = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.query_key_value(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.mix(seen)
        out: Tensor = x + self.outer(F.gelu(self.inner(self.norm2(x))))
        return out


class CrowdNetS(nn.Module):
    """Crops as `pyramid` sees them, 2D poses and present 3D poses -> better matrix-Fisher parameters.

    Args:
        width: of a joint's state; depth: number of attention blocks.

    Attributes:
        temperature: factor on all answers, fitted after training so that their certainty matches their errors.
    """

    temperature: Tensor

    def __init__(self, width: int = 160, depth: int = 4) -> None:
        super().__init__()
        fine, middle, coarse = LEVELS
        self.blend = nn.Conv2d(fine + KEYPOINTS, 64, 3, stride=2, padding=1)
        self.down = nn.Conv2d(64 + middle, 96, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(96 + coarse, 128, 3, padding=1)
        self.residual = _Residual(128)
        sampled = 64 + middle + 128
        numbers = 9 + 3 + 2 + 1 + 2  # F, joint's place, way to its keypoint, score, elevation
        self.enter = nn.Linear(2 * sampled + numbers, width)
        self.joint = nn.Parameter(0.02 * torch.randn(_JOINTS, width))
        self.blocks = nn.Sequential(*(_Attention(width, 4) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.change = nn.Linear(width, 10)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)
        self.register_buffer("temperature", torch.ones(()))

    def forward(
        self, maps: Pyramid, keypoints: Tensor, joints: Tensor, fisher: Tensor, elevation: Tensor
    ) -> Tensor:
        """Matrix-Fisher parameters (B, 24, 3, 3), the root's in the upright frame.

        Args:
            maps: of `pyramid`.
            keypoints: (B, 17, 3) x, y in crop pixels and score, which is 0 for what is not seen.
            joints: (B, 24, 3) of the present pose: x, y in crop pixels, depth behind the pelvis in metres.
            fisher: (B, 24, 3, 3) of the present pose, the root's in the upright frame.
            elevation: (B,) radians by which the crop's central ray points below the horizon.
        """
        fine, middle, coarse = maps
        heat = heatmaps(keypoints, (fine.shape[2], fine.shape[3]))
        x8 = F.relu(self.blend(torch.cat([fine, heat], dim=1)))
        x8 = torch.cat([x8, middle], dim=1)
        x16 = F.relu(self.down(x8))
        x16 = self.residual(self.deep(torch.cat([x16, coarse], dim=1)))
        size = joints.new_tensor([fine.shape[3] * STRIDE, fine.shape[2] * STRIDE])
        own = keypoints[:, [max(k, 0) for k in _KEYPOINT_OF]]
        score = own[..., 2] * own.new_tensor([float(k >= 0) for k in _KEYPOINT_OF])
        here = joints[..., :2]
        there = torch.where((score > 0)[..., None], own[..., :2], here)
        found = [
            _sample(level, place / size * 2 - 1) for place in (here, there) for level in (x8, x16)
        ]
        strength = fisher.flatten(2).norm(dim=-1, keepdim=True).clamp_min(1e-6)
        shown = fisher.flatten(2) * (strength.clamp_max(_MOST_FISHER) / strength) / _FISHER_UNIT
        angle = torch.stack([elevation.sin(), elevation.cos()], dim=-1)[:, None]
        numbers = [
            shown,
            (here / size * 2 - 1).clamp(-2, 2),
            joints[..., 2:].clamp(-1.5, 1.5),
            ((there - here) / size * 8).clamp(-4, 4),
            score[..., None],
            angle.expand(-1, _JOINTS, -1),
        ]
        state = self.enter(torch.cat(found + numbers, dim=-1)) + self.joint
        change = self.change(self.norm(self.blocks(state)))
        trust = torch.exp(change[..., :1].clamp(-3, 1))[..., None]
        better: Tensor = trust * fisher + _FISHER_UNIT * change[..., 1:].unflatten(-1, (3, 3))
        return self.temperature * better


def _sample(level: Tensor, place: Tensor) -> Tensor:
    """A map (B, C, H, W) at places (B, J, 2), -1..1 between its outer edges -> (B, J, C)."""
    values = F.grid_sample(level, place[:, :, None], padding_mode="border", align_corners=False)
    return values[..., 0].transpose(1, 2)
