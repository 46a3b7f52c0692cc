"""MobileNetV2 (Sandler et al. 2018) at any width, as TensorFlow builds it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from torch import Tensor, nn
from torch.nn import functional as F

# Table 2 of the paper: expansion, channels, repeats, first stride.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM_CHANNELS = 32
INPUT_SCALE = 0.00784301757  # 1/127.5 in float16, as MoveNet was published


def scaled(rgb: Tensor) -> Tensor:
    """0..255 -> -1..1."""
    return rgb * INPUT_SCALE - 1.0


def widened(channels: int, width: float) -> int:
    """Channels of a layer at a width multiplier: the nearest multiple of 8, and never 10 % too few."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


class SameConv(nn.Conv2d):
    """A 3x3 convolution with TensorFlow's SAME padding, which is one-sided at stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            x = F.pad(x, (0, 1, 0, 1))
        return super().forward(x)


def conv3x3(
    channels_in: int, channels: int, stride: int = 1, groups: int = 1, bias: bool = True
) -> SameConv:
    """A `SameConv` that keeps the size, or halves an even one."""
    padding = 0 if stride == 2 else 1
    return SameConv(channels_in, channels, 3, stride, padding, groups=groups, bias=bias)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1; identity skip where the shape allows."""

    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.expand = nn.Conv2d(channels_in, hidden, 1) if expansion > 1 else None
        self.depthwise = conv3x3(hidden, hidden, stride, groups=hidden)
        self.project = nn.Conv2d(hidden, channels, 1)
        self.has_skip = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.has_skip else y


def stage_channels(width: float) -> list[int]:
    """Channels that each of the paper's seven stages gives at a width multiplier."""
    return [widened(base, width) for _, base, _, _ in _STAGES]


def stages(width: float, first: int, end: int) -> nn.ModuleList:
    """The paper's stages from `first` up to, but not, `end`; the input is what the stage before gives."""
    channels = [widened(_STEM_CHANNELS, width), *stage_channels(width)][first]
    found = nn.ModuleList()
    for expansion, base, repeats, stride in _STAGES[first:end]:
        blocks = []
        for i in range(repeats):
            channels_out = widened(base, width)
            blocks.append(
                InvertedResidual(channels, channels_out, stride if i == 0 else 1, expansion)
            )
            channels = channels_out
        found.append(nn.Sequential(*blocks))
    return found


def one_by_one(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """What every stage makes of what the one before it gave."""
    return list(accumulate(stages, lambda y, stage: stage(y), initial=x))[1:]


class MobileNetV2(nn.Module):
    """Stem and the first stages.

    Args:
        width: multiplier of all channels.
        n_stages: of the paper's seven; the first five end at stride 16, all at 32.
    """

    def __init__(self, width: float, n_stages: int = len(_STAGES)) -> None:
        super().__init__()
        self.stem = conv3x3(3, widened(_STEM_CHANNELS, width), stride=2)
        self.stages = stages(width, 0, n_stages)
        self.stage_channels = stage_channels(width)[:n_stages]

    def each_stage(self, x: Tensor) -> list[Tensor]:
        """What every stage makes of x (B, 3, H, W) in -1..1."""
        return one_by_one(self.stages, F.relu6(self.stem(x)))
