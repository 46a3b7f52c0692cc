"""Residual blocks, and a convolution with its normalisation."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

Norm = Callable[[int], nn.Module]  # channels -> normalisation layer


class ConvNorm(nn.Module):
    """A convolution that keeps (stride 1) or halves (stride 2) the size, then a normalisation."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        bias: bool = False,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=bias)
        self.norm = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


def _shortcut(channels_in: int, channels: int, stride: int, norm: Norm) -> nn.Module:
    if stride == 1 and channels_in == channels:
        return nn.Identity()
    return ConvNorm(channels_in, channels, 1, stride, norm=norm)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a skip (He et al. 2016, fig. 5 left)."""

    def __init__(
        self, channels_in: int, channels: int, stride: int = 1, norm: Norm = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        self.first = ConvNorm(channels_in, channels, 3, stride, norm=norm)
        self.second = ConvNorm(channels, channels, 3, norm=norm)
        self.shortcut = _shortcut(channels_in, channels, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3 (which carries the stride), 1x1 expand by four, around a skip."""

    EXPANSION = 4

    def __init__(
        self, channels_in: int, width: int, stride: int = 1, norm: Norm = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        channels = width * self.EXPANSION
        self.reduce = ConvNorm(channels_in, width, 1, norm=norm)
        self.middle = ConvNorm(width, width, 3, stride, norm=norm)
        self.expand = ConvNorm(width, channels, 1, norm=norm)
        self.shortcut = _shortcut(channels_in, channels, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        inside = F.relu(self.middle(F.relu(self.reduce(x))))
        return F.relu(self.expand(inside) + self.shortcut(x))
