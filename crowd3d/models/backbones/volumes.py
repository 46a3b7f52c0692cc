"""Enlargement of a trunk's map, and expected positions in heat maps and volumes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CHANNELS = 256


class Enlarger(nn.Module):
    """Three 4x4 transposed convolutions of stride 2: (B, C, h, w) -> (B, 256, 8h, 8w) (Xiao et al. 2018)."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        inputs = (channels_in, _CHANNELS, _CHANNELS)
        self.deconv = nn.ModuleList(
            nn.ConvTranspose2d(c, _CHANNELS, 4, 2, 1, bias=False) for c in inputs
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(_CHANNELS) for _ in inputs)

    def forward(self, x: Tensor) -> Tensor:
        for deconv, norm in zip(self.deconv, self.norm, strict=True):
            x = F.relu(norm(deconv(x)))
        return x


def soft_argmax(logits: Tensor) -> Tensor:
    """Expected cell index of a softmax over all cells.

    Args:
        logits: (B, J, H, W) or (B, J, D, H, W).

    Returns:
        (B, J, 2) as (x, y) or (B, J, 3) as (x, y, z); 0 is the first cell (Sun et al. 2018, eq. 2).
    """
    return torch.stack(_expectations(_probabilities(logits), power=1), dim=-1)


def soft_argmax_and_spread(logits: Tensor) -> tuple[Tensor, Tensor]:
    """As `soft_argmax`, and the standard deviation (B, J) of the distribution, r.m.s. over its axes."""
    p = _probabilities(logits)
    mean = torch.stack(_expectations(p, power=1), dim=-1)
    second = torch.stack(_expectations(p, power=2), dim=-1)
    variance = (second - mean**2).clamp_min(0).mean(-1)
    return mean, variance.sqrt()


def _probabilities(logits: Tensor) -> Tensor:
    return logits.flatten(2).softmax(-1).reshape(logits.shape)


def _expectations(p: Tensor, power: int) -> list[Tensor]:
    """E[index ** power] along x, y and, where there is one, z."""
    axes = list(range(2, p.ndim))
    out = []
    for axis in reversed(axes):
        marginal = p.sum([a for a in axes if a != axis])
        index = torch.arange(p.shape[axis], dtype=p.dtype, device=p.device) ** power
        out.append((marginal * index).sum(-1))
    return out
