"""heads-s, a small network on top of crowd3d-s: finds people by their heads.

The trunk of crowd3d-s was trained on people seen whole, and its centre map finds few of those of whom a crowd
shows only head and shoulders. Its features know more. This readout says where heads are, how tall they are in
the picture, and where the rest of the body is likely to be. It is trained on rendered crowds alone
(`crowd3d train heads`); the trunk stays as it is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LIMBS = range(5, 17)  # COCO keypoints that are told relative to the head: shoulders to ankles
CHANNELS = 2 + 2 * len(
    LIMBS
)  # logit, logarithm of the head's height in pixels, and (u, v) of each limb

_WIDTH = 64
_DILATIONS = (1, 2, 1, 4, 1)
# Heights below the middle of the head of shoulders, elbows, wrists, hips, knees and ankles of somebody who
# stands, in heads: where training begins.
_STANDING = (1.0, 1.0, 2.2, 2.2, 3.1, 3.1, 3.3, 3.3, 5.0, 5.0, 6.6, 6.6)
_PRIOR_LOGIT, _PRIOR_HEAD_PX = -3.0, 12.0


class Separable(nn.Module):
    """x + ReLU of a depthwise 3x3 and a pointwise 1x1 convolution."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, 1, dilation, dilation, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.pointwise(self.depthwise(x)))


class HeadsS(nn.Module):
    """Features of crowd3d-s at strides 4 and 8 -> (B, CHANNELS, H/4, W/4).

    Args:
        fine, coarse: channels of the features at stride 4 and at stride 8.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.from_fine = nn.Conv2d(fine, _WIDTH, 1)
        self.from_coarse = nn.Conv2d(coarse, _WIDTH, 1)
        self.body = nn.Sequential(*(Separable(_WIDTH, dilation) for dilation in _DILATIONS))
        self.tell = nn.Conv2d(_WIDTH, CHANNELS, 1)
        with torch.no_grad():
            self.tell.weight.mul_(0.1)
        limbs = [part for down in _STANDING for part in (0.0, down)]
        prior = [_PRIOR_LOGIT, math.log(_PRIOR_HEAD_PX), *limbs]
        self.tell.bias = nn.Parameter(torch.tensor(prior))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        # A 1x1 convolution and an enlargement commute; so the convolution is done where it is cheaper.
        wide = F.interpolate(self.from_coarse(coarse), scale_factor=2.0, mode="bilinear")
        told: Tensor = self.tell(self.body(F.relu(self.from_fine(fine) + wide)))
        return told
