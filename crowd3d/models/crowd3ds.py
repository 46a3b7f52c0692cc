"""crowd3d-s, the default network: a one-stage, fully convolutional person and keypoint network.

Trunk and heads have the layout of MoveNet MultiPose Lightning (MobileNetV2 x1.5, a light feature pyramid,
six CenterNet heads at stride 4; Apache-2.0), so that its published weights load: see `import_movenet`.
Without that model's final top-6 step there is no limit on the number of people. A head of our own, `heads_s`,
finds people of whom little more than the head is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crowd3d.models.heads_s import HeadsS
from crowd3d.models.mobilenet import MobileNetV2, conv3x3, scaled

STRIDE = 4  # picture pixels per output cell
_WIDTH = 1.5  # of MobileNetV2
_TOP_CHANNELS = 1280
_BRANCH_CHANNELS = 96


class Maps(NamedTuple):
    """The raw maps, (B, C, H/4, W/4); `crowd3ds_decode` reads people off them.

    Attributes:
        center: 1 channel, 0..1, person centres.
        box_size: 2 channels, box height and width in cells.
        box_offset: 2 channels, box centre relative to the cell.
        keypoint_heat: 17 channels, 0..1.
        keypoint_regression: 34 channels (v, u) from the centre cell to each keypoint, in cells.
        keypoint_offset: 34 channels (v, u) sub-cell refinement at the keypoint's cell.
        heads: what `heads_s` tells: a logit, the logarithm of a head's height in pixels, and 24 channels (u, v)
            from the middle of the cell to shoulders, elbows, wrists, hips, knees and ankles, in heads.
    """

    center: Tensor
    box_size: Tensor
    box_offset: Tensor
    keypoint_heat: Tensor
    keypoint_regression: Tensor
    keypoint_offset: Tensor
    heads: Tensor


class SeparableConv(nn.Module):
    """Depthwise 3x3 without bias, pointwise 1x1, ReLU."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.depthwise = conv3x3(channels_in, channels_in, groups=channels_in, bias=False)
        self.pointwise = nn.Conv2d(channels_in, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return F.relu(y)


class Branch(nn.Module):
    """One output map."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.features = SeparableConv(channels_in, _BRANCH_CHANNELS)
        self.predict = nn.Conv2d(_BRANCH_CHANNELS, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        prediction: Tensor = self.predict(self.features(x))
        return prediction


class FeaturePyramid(nn.Module):
    """Layers from the seven stages of a MobileNetV2 down to stride 4, for what has such stages."""

    def add_levels(self, channels: Sequence[int]) -> None:
        """Make the layers for stages that give so many channels."""
        self.top = nn.Conv2d(channels[-1], _TOP_CHANNELS, 1)
        self.lateral32 = nn.Conv2d(_TOP_CHANNELS, 64, 1)
        self.lateral16 = nn.Conv2d(channels[3], 64, 1)
        self.lateral8 = nn.Conv2d(channels[2], 32, 1)
        self.lateral4 = nn.Conv2d(channels[1], 24, 1)
        self.smooth16 = SeparableConv(64, 32)
        self.smooth8 = SeparableConv(32, 24)
        self.smooth4 = SeparableConv(24, 24)

    def levels(self, stages: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of what the stages made of a picture: 64, 32, 24 and 24 channels at strides 32, 16, 8 and 4."""
        top = self.lateral32(F.relu6(self.top(stages[-1])))
        y16 = self.smooth16(_upsample2(top) + self.lateral16(stages[3]))
        y8 = self.smooth8(_upsample2(y16) + self.lateral8(stages[2]))
        y4 = self.smooth4(_upsample2(y8) + self.lateral4(stages[1]))
        return top, y16, y8, y4


class Trunk(MobileNetV2, FeaturePyramid):
    """MobileNetV2 x1.5 with a feature pyramid down to stride 4, 24 channels."""

    def __init__(self) -> None:
        super().__init__(_WIDTH)
        self.add_levels(self.stage_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.pyramid(x)[-1]

    def pyramid(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All levels of a picture in -1..1: see `levels`."""
        return self.levels(self.each_stage(x))


def _upsample2(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Seen(NamedTuple):
    """What `heads_s` looks at, beside the maps made on the way to it.

    Attributes:
        fine: features at stride 4; coarse: at stride 8.
        level: the finest level of the trunk; center, keypoint_heat: logits.
    """

    fine: Tensor
    coarse: Tensor
    level: Tensor
    center: Tensor
    keypoint_heat: Tensor


class Crowd3dS(nn.Module):
    """RGB tiles (B, 3, H, W), 0..255 -> `Maps`; H and W multiples of 32."""

    scaled = staticmethod(scaled)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.center = Branch(24, 1)
        self.box_size = Branch(24, 2)
        self.box_offset = Branch(24, 2)
        self.keypoint_heat = Branch(24, 17)
        self.keypoint_regression = Branch(24, 34)
        self.keypoint_offset = Branch(24, 34)
        fine = self.trunk.stage_channels[1] + 24 + 2 * _BRANCH_CHANNELS + 1 + 17
        self.heads = HeadsS(fine, coarse=24)

    def forward(self, rgb: Tensor) -> Maps:
        return self.of_scaled(self.scaled(rgb))

    def of_scaled(self, x: Tensor) -> Maps:
        """`forward` of a picture in -1..1."""
        seen = self.seen(x)
        return Maps(
            center=torch.sigmoid(seen.center),
            box_size=self.box_size(seen.level),
            box_offset=self.box_offset(seen.level),
            keypoint_heat=torch.sigmoid(seen.keypoint_heat),
            keypoint_regression=self.keypoint_regression(seen.level),
            keypoint_offset=self.keypoint_offset(seen.level),
            heads=self.heads(seen.fine, seen.coarse),
        )

    def seen(self, x: Tensor) -> Seen:
        """What heads are found by, of a picture in -1..1."""
        stages = self.trunk.each_stage(x)
        _, _, coarse, level = self.trunk.levels(stages)
        center_features = self.center.features(level)
        heat_features = self.keypoint_heat.features(level)
        center, heat = (
            self.center.predict(center_features),
            self.keypoint_heat.predict(heat_features),
        )
        fine = [stages[1], level, center_features, heat_features, center, heat]
        return Seen(torch.cat(fine, dim=1), coarse, level, center, heat)
