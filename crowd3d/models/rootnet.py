"""RootNet: where a person's root is in its crop, and how far away it is (Moon et al., ICCV 2019).

The network says how large the person in the box appears to be; `lift.box_depth` turns that into metres.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from crowd3d.models.backbones.resnet import RESNET_CHANNELS, ResNet50
from crowd3d.models.backbones.volumes import Enlarger, soft_argmax

INPUT_PX = 256


class Root(NamedTuple):
    """Output of RootNet.

    Attributes:
        xy: (B, 2) root in cells of the 64x64 map.
        gamma: (B,) depth over k, see `lift.box_depth`.
        logits: (B, 1, 64, 64) before the softmax.
    """

    xy: Tensor
    gamma: Tensor
    logits: Tensor


class RootNet(nn.Module):
    """RGB crops (B, 3, 256, 256), ImageNet mean and deviation -> Root."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = ResNet50()
        self.enlarger = Enlarger(RESNET_CHANNELS)
        self.heat = nn.Conv2d(256, 1, 1)
        self.size = nn.Conv2d(RESNET_CHANNELS, 1, 1)

    def forward(self, image: Tensor) -> Root:
        features = self.trunk(image)
        logits = self.heat(self.enlarger(features))
        pooled = features.mean((-2, -1), keepdim=True)
        gamma = self.size(pooled)[:, 0, 0, 0]
        return Root(soft_argmax(logits)[:, 0], gamma, logits)
