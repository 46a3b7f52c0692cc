"""crowd3d-s, the default network: a one-stage, fully convolutional person and keypoint network.

Trunk and heads have the layout of MoveNet MultiPose Lightning (MobileNetV2 x1.5, a light feature pyramid,
six CenterNet heads at stride 4; Apache-2.0), so that its published weights load: see `import_movenet`.
Without that model's final top-6 step there is no limit on the number of people.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 4  # picture pixels per output cell
SIZE_MULTIPLE = 32  # height and width of the input must be multiples of this

# MobileNetV2 x1.5 (Sandler et al. 2018, table 2): expansion, channels, repeats, first stride.
_STAGES = (
    (1, 24, 1, 1),
    (6, 40, 2, 2),
    (6, 48, 3, 2),
    (6, 96, 4, 2),
    (6, 144, 3, 1),
    (6, 240, 3, 2),
    (6, 480, 1, 1),
)
_STEM_CHANNELS, _TOP_CHANNELS = 48, 1280
_HEAD_CHANNELS = 96
_INPUT_SCALE = 0.00784301757  # 1/127.5 in float16, as published


class Heads(NamedTuple):
    """The raw maps, (B, C, H/4, W/4).

    Attributes:
        center: 1 channel, 0..1, person centres.
        box_size: 2 channels, box height and width in cells... see `detect.decode` for the use of each map.
        box_offset: 2 channels, box centre relative to the cell.
        keypoint_heat: 17 channels, 0..1.
        keypoint_regression: 34 channels (v, u) from the centre cell to each keypoint, in cells.
        keypoint_offset: 34 channels (v, u) sub-cell refinement at the keypoint's cell.
    """

    center: Tensor
    box_size: Tensor
    box_offset: Tensor
    keypoint_heat: Tensor
    keypoint_regression: Tensor
    keypoint_offset: Tensor


class SameConv(nn.Conv2d):
    """A 3x3 convolution with TensorFlow's SAME padding, which is one-sided at stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            x = F.pad(x, (0, 1, 0, 1))
        return super().forward(x)


def _conv3x3(
    channels_in: int, channels: int, stride: int = 1, groups: int = 1, bias: bool = True
) -> SameConv:
    padding = 0 if stride == 2 else 1
    return SameConv(channels_in, channels, 3, stride, padding, groups=groups, bias=bias)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1; identity skip where the shape allows."""

    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.expand = nn.Conv2d(channels_in, hidden, 1) if expansion > 1 else None
        self.depthwise = _conv3x3(hidden, hidden, stride, groups=hidden)
        self.project = nn.Conv2d(hidden, channels, 1)
        self.has_skip = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.has_skip else y


class SeparableConv(nn.Module):
    """Depthwise 3x3 without bias, pointwise 1x1, ReLU."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.depthwise = _conv3x3(channels_in, channels_in, groups=channels_in, bias=False)
        self.pointwise = nn.Conv2d(channels_in, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return F.relu(y)


class Head(nn.Module):
    """One output map."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.features = SeparableConv(channels_in, _HEAD_CHANNELS)
        self.predict = nn.Conv2d(_HEAD_CHANNELS, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        prediction: Tensor = self.predict(self.features(x))
        return prediction


class Trunk(nn.Module):
    """MobileNetV2 x1.5 with a feature pyramid down to stride 4, 24 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv3x3(3, _STEM_CHANNELS, stride=2)
        self.stages = nn.ModuleList()
        channels = _STEM_CHANNELS
        for expansion, channels_out, repeats, stride in _STAGES:
            blocks = []
            for i in range(repeats):
                blocks.append(
                    InvertedResidual(channels, channels_out, stride if i == 0 else 1, expansion)
                )
                channels = channels_out
            self.stages.append(nn.Sequential(*blocks))
        self.top = nn.Conv2d(channels, _TOP_CHANNELS, 1)
        self.lateral32 = nn.Conv2d(_TOP_CHANNELS, 64, 1)
        self.lateral16 = nn.Conv2d(_STAGES[3][1], 64, 1)
        self.lateral8 = nn.Conv2d(_STAGES[2][1], 32, 1)
        self.lateral4 = nn.Conv2d(_STAGES[1][1], 24, 1)
        self.smooth16 = SeparableConv(64, 32)
        self.smooth8 = SeparableConv(32, 24)
        self.smooth4 = SeparableConv(24, 24)

    def forward(self, x: Tensor) -> Tensor:
        return self.pyramid(x)[-1]

    def pyramid(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All levels: 64, 32, 24 and 24 channels at strides 32, 16, 8 and 4."""
        x = F.relu6(self.stem(x))
        taps = []
        for stage in self.stages:
            x = stage(x)
            taps.append(x)
        top = self.lateral32(F.relu6(self.top(x)))
        y16 = self.smooth16(_upsample2(top) + self.lateral16(taps[3]))
        y8 = self.smooth8(_upsample2(y16) + self.lateral8(taps[2]))
        y4 = self.smooth4(_upsample2(y8) + self.lateral4(taps[1]))
        return top, y16, y8, y4


def _upsample2(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Crowd3dS(nn.Module):
    """RGB tiles (B, 3, H, W), 0..255 -> `Heads`; H and W multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.center = Head(24, 1)
        self.box_size = Head(24, 2)
        self.box_offset = Head(24, 2)
        self.keypoint_heat = Head(24, 17)
        self.keypoint_regression = Head(24, 34)
        self.keypoint_offset = Head(24, 34)

    def forward(self, rgb: Tensor) -> Heads:
        return self.with_pyramid(rgb)[0]

    def with_pyramid(self, rgb: Tensor) -> tuple[Heads, tuple[Tensor, ...]]:
        """The maps, and the levels of the trunk they come from."""
        levels = self.trunk.pyramid(rgb * _INPUT_SCALE - 1.0)
        features = levels[-1]
        heads = Heads(
            center=torch.sigmoid(self.center(features)),
            box_size=self.box_size(features),
            box_offset=self.box_offset(features),
            keypoint_heat=torch.sigmoid(self.keypoint_heat(features)),
            keypoint_regression=self.keypoint_regression(features),
            keypoint_offset=self.keypoint_offset(features),
        )
        return heads, levels
