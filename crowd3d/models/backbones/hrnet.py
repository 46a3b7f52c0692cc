"""HRNet (Sun et al. 2019; Wang et al. 2020): parallel branches at strides 4, 8, 16 and 32 that exchange."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from crowd3d.models.backbones.blocks import BasicBlock, Bottleneck, ConvNorm

_MODULES = (1, 4, 3)  # exchanges in the stages of 2, 3 and 4 branches
_BLOCKS = 4  # residual blocks of a branch between two exchanges
_ENTRY_CHANNELS = 256
HEAD_CHANNELS = 2048  # of the classification head's vector
_HEAD_WIDTHS = (32, 64, 128, 256)


class Upward(nn.Module):
    """From a coarser branch to a finer one: 1x1 convolution, then nearest-neighbour enlargement."""

    def __init__(self, channels_in: int, channels: int, factor: int) -> None:
        super().__init__()
        self.project = ConvNorm(channels_in, channels, 1)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.project(x), scale_factor=self.factor, mode="nearest")


class Downward(nn.Module):
    """From a finer branch to a coarser one: 3x3 convolutions of stride 2, ReLU between them."""

    def __init__(self, channels_in: int, channels: int, halvings: int) -> None:
        super().__init__()
        self.halve = nn.ModuleList(
            ConvNorm(channels_in, channels_in if k < halvings - 1 else channels, 3, 2)
            for k in range(halvings)
        )

    def forward(self, x: Tensor) -> Tensor:
        for step in self.halve[:-1]:
            x = F.relu(step(x))
        out: Tensor = self.halve[-1](x)
        return out


def _bridge(widths: Sequence[int], to: int, come_from: int) -> nn.Module:
    if come_from > to:
        return Upward(widths[come_from], widths[to], 2 ** (come_from - to))
    if come_from < to:
        return Downward(widths[come_from], widths[to], to - come_from)
    return nn.Identity()


class _Sum(nn.ModuleList):
    """The sum of every map, each through its own bridge."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        total = self[0](maps[0])
        for bridge, x in zip(list(self)[1:], maps[1:], strict=True):
            total = total + bridge(x)
        out: Tensor = total
        return out


class Exchange(nn.Module):
    """Every branch refines its map; then each wanted branch becomes the sum of what all send it."""

    def __init__(self, widths: Sequence[int], n_out: int) -> None:
        super().__init__()
        n = len(widths)
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(w, w) for _ in range(_BLOCKS))) for w in widths
        )
        self.bridges = nn.ModuleList(
            _Sum([_bridge(widths, to, come_from) for come_from in range(n)]) for to in range(n_out)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        refined = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [F.relu(incoming(refined)) for incoming in self.bridges]


class HRNet(nn.Module):
    """(B, 3, H, W) -> maps of `width * 2**i` channels at stride `4 * 2**i`.

    Args:
        width: channels of the finest branch, 32 or 48.
        finest_only: end with the stride-4 map alone; otherwise all four.
    """

    def __init__(self, width: int, finest_only: bool) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(4)]
        self.stem = nn.ModuleList([ConvNorm(3, 64, 3, 2), ConvNorm(64, 64, 3, 2)])
        self.entry = nn.Sequential(
            Bottleneck(64, 64), *(Bottleneck(_ENTRY_CHANNELS, 64) for _ in range(3))
        )
        self.finest = ConvNorm(_ENTRY_CHANNELS, widths[0])
        new = [_ENTRY_CHANNELS, widths[1], widths[2]]
        self.new_branch = nn.ModuleList(ConvNorm(c, widths[i + 1], 3, 2) for i, c in enumerate(new))
        self.stages = nn.ModuleList()
        for stage, modules in enumerate(_MODULES):
            n = stage + 2
            n_last = 1 if finest_only and n == 4 else n
            self.stages.append(
                nn.Sequential(
                    *(
                        Exchange(widths[:n], n if m < modules - 1 else n_last)
                        for m in range(modules)
                    )
                )
            )

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        for layer in self.stem:
            x = F.relu(layer(x))
        x = self.entry(x)
        maps: list[Tensor] = [F.relu(self.finest(x)), F.relu(self.new_branch[0](x))]
        maps = self.stages[0](maps)
        for stage, new in zip(self.stages[1:], self.new_branch[1:], strict=True):
            maps = stage([*maps, F.relu(new(maps[-1]))])
        return maps


class ClassificationHead(nn.Module):
    """The four maps of an HRNet -> one vector (B, 2048): widen, add downwards, average over the picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = [w * Bottleneck.EXPANSION for w in _HEAD_WIDTHS]
        self.widen = nn.ModuleList(Bottleneck(width * 2**i, w) for i, w in enumerate(_HEAD_WIDTHS))
        self.halve = nn.ModuleList(ConvNorm(a, b, 3, 2, bias=True) for a, b in pairwise(wide))
        self.last = ConvNorm(wide[-1], HEAD_CHANNELS, 1, bias=True)

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = self.widen[0](maps[0])
        for widen, halve, finer in zip(self.widen[1:], self.halve, maps[1:], strict=True):
            x = widen(finer) + F.relu(halve(x))
        return F.relu(self.last(x)).mean((-2, -1))
