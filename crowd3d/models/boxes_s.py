"""boxes-s, which sees whole people as boxes: a small one-stage detector for everyday pictures.

The layout is that of NanoDet-g at 416 px (RangiLyu; Apache-2.0, github.com/RangiLyu/nanodet), so that its
published weights load: see `import_nanodet`. Of its eighty classes only the person is kept. Batch norms are
folded into the convolutions, as in the published file. `boxes_s_decode` reads boxes off the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)  # picture pixels per cell of each map
SIDES, BINS = 4, 11  # of a box; distances to each side that are told apart, 0 to 10 cells
CHANNELS = 1 + SIDES * BINS
WINDOW_PX = 416  # side of the pictures it was trained on

# Of ImageNet, red, green, blue: nanodet's config/nanodet-g.yml.
_MEAN = (123.675, 116.28, 103.53)
_DEVIATION = (58.395, 57.12, 57.375)
_LEAK = 0.1
_STEM_CHANNELS = 32
_BLOCKS_OF_STAGE = (1, 2, 2, 3)
_NECK_CHANNELS = 128


class LeakyConv(nn.Conv2d):
    """A 3x3 convolution that keeps the size, or halves an even one; leaky ReLU."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__(channels_in, channels, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x), _LEAK)


class Block(nn.Module):
    """Two convolutions to half the channels each, put side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = LeakyConv(channels, channels // 2)
        self.second = LeakyConv(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return torch.cat([self.second(y), y], dim=1)


class Stage(nn.Module):
    """Blocks, and a way round them (CSPNet, Wang et al. 2020); twice the channels come out."""

    def __init__(self, channels: int, n_blocks: int, stride: int) -> None:
        super().__init__()
        self.enter = LeakyConv(channels, channels, stride)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(n_blocks)))
        self.leave = LeakyConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return torch.cat([self.leave(self.blocks(x)), x], dim=1)


class Head(nn.Module):
    """From the features of a level to its map."""

    def __init__(self) -> None:
        super().__init__()
        self.look = LeakyConv(_NECK_CHANNELS, _NECK_CHANNELS)
        self.tell = nn.Conv2d(_NECK_CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        told: Tensor = self.tell(self.look(x))
        return told


class BoxesS(nn.Module):
    """RGB (B, 3, H, W), 0..255 -> a map (B, CHANNELS, H/s, W/s) for each s of `STRIDES`.

    H and W are multiples of 32. Channel 0 is the logit of a person about the middle of a cell. The others are
    logits of the distances from there to the left, top, right and bottom of the box, `BINS` each, in cells.
    Layers stand in the order in which the published network runs them.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION), persistent=False)
        self.stem = LeakyConv(3, _STEM_CHANNELS, stride=2)
        self.stages = nn.ModuleList(
            Stage(_STEM_CHANNELS << i, n, stride=2 if i else 1)
            for i, n in enumerate(_BLOCKS_OF_STAGE)
        )
        self.lateral32 = nn.Conv2d(16 * _STEM_CHANNELS, _NECK_CHANNELS, 1)
        self.lateral16 = nn.Conv2d(8 * _STEM_CHANNELS, _NECK_CHANNELS, 1)
        self.lateral8 = nn.Conv2d(4 * _STEM_CHANNELS, _NECK_CHANNELS, 1)
        self.head32, self.head16, self.head8 = Head(), Head(), Head()

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.of_scaled(self.scaled(rgb.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))

    def scaled(self, rgb: Tensor) -> Tensor:
        """0..255 -> mean 0, deviation 1 of each channel; channels last, (..., 3)."""
        return (rgb - self.mean) / self.deviation

    def of_scaled(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`forward` of a picture that `scaled` made, channels first again."""
        x4 = self.stages[0](F.max_pool2d(self.stem(x), 3, 2, 1))
        x8 = self.stages[1](x4)
        x16 = self.stages[2](x8)
        top = self.lateral32(self.stages[3](x16))
        middle = self.lateral16(x16) + _doubled(top)
        fine = self.lateral8(x8) + _doubled(middle)
        middle = middle + F.avg_pool2d(fine, 2)
        top = top + F.avg_pool2d(middle, 2)
        return self.head8(fine), self.head16(middle), self.head32(top)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
