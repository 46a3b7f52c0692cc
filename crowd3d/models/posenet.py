"""PoseNet: root-relative joints of a crop from one volume a joint (Moon et al., ICCV 2019)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from crowd3d.models.backbones.resnet import RESNET_CHANNELS, ResNet50
from crowd3d.models.backbones.volumes import Enlarger, soft_argmax

INPUT_PX = 256
BINS = 64
MUCO_JOINTS = 21


class Joints(NamedTuple):
    """Output of PoseNet.

    Attributes:
        bins: (B, J, 3) x, y, z in bins of the volume.
        logits: (B, J, 64, 64, 64) before the softmax, axes z, y, x.
    """

    bins: Tensor
    logits: Tensor


class PoseNet(nn.Module):
    """RGB crops (B, 3, 256, 256), ImageNet mean and deviation -> Joints."""

    def __init__(self, joints: int = MUCO_JOINTS) -> None:
        super().__init__()
        self.trunk = ResNet50()
        self.enlarger = Enlarger(RESNET_CHANNELS)
        self.volumes = nn.Conv2d(256, joints * BINS, 1)

    def forward(self, image: Tensor) -> Joints:
        logits = self.volumes(self.enlarger(self.trunk(image))).unflatten(1, (-1, BINS))
        return Joints(soft_argmax(logits), logits)
