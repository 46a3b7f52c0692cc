"""ResNet-50 (He et al. 2016, table 1), with batch or group normalisation."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from crowd3d.models.backbones.blocks import Bottleneck, Norm

RESNET_CHANNELS = 2048  # of the last map
_REPEATS = (3, 4, 6, 3)
_STEM_CHANNELS = 64

GroupNorm4: Norm = partial(nn.GroupNorm, 4)  # independent of the batch: fit to adapt on one image


class ResNet50(nn.Module):
    """RGB in any normalisation (B, 3, H, W) -> (B, 2048, H/32, W/32)."""

    def __init__(self, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.stem_conv = nn.Conv2d(3, _STEM_CHANNELS, 7, 2, 3, bias=False)
        self.stem_norm = norm(_STEM_CHANNELS)
        stages = []
        channels = _STEM_CHANNELS
        for index, repeats in enumerate(_REPEATS):
            width = _STEM_CHANNELS * 2**index
            stride = 1 if index == 0 else 2
            blocks = [Bottleneck(channels, width, stride, norm)]
            channels = width * Bottleneck.EXPANSION
            blocks += [Bottleneck(channels, width, norm=norm) for _ in range(repeats - 1)]
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)

    def stem(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 64, H/4, W/4)."""
        return F.max_pool2d(F.relu(self.stem_norm(self.stem_conv(image))), 3, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.stages(self.stem(image))
        return out
