"""pose-s, the keypoints of one person in the middle of a window, looked at closely.

The layout is that of MoveNet Single Pose Thunder (MobileNetV2 x1.75, a light feature pyramid, four CenterNet
heads at stride 4; Apache-2.0), so that its published weights load: see `import_movenet`. The lower stages are
facing-s, whose weights are not stored again, and their features come out beside the maps: one run tells heading
and keypoints. Thunder was published for squares of 256 px; other windows are fine (see `pose_s_decode`).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from crowd3d.models.crowd3ds import Branch, FeaturePyramid
from crowd3d.models.facing_s import STAGES, WIDTH, FacingTrunk
from crowd3d.models.mobilenet import one_by_one, scaled, stage_channels, stages


class PoseMaps(NamedTuple):
    """What the network gives; `pose_s_decode` reads the person off the maps, (B, C, H/4, W/4).

    Attributes:
        features: those of facing-s, (B, 168, H/16, W/16).
        center: 1 channel, 0..1, person centres.
        keypoint_heat: 17 channels, 0..1.
        keypoint_regression: 34 channels (v, u) from the centre cell to each keypoint, in cells.
        keypoint_offset: 34 channels (v, u) sub-cell refinement at the keypoint's cell.
    """

    features: Tensor
    center: Tensor
    keypoint_heat: Tensor
    keypoint_regression: Tensor
    keypoint_offset: Tensor


class UpperTrunk(FeaturePyramid):
    """What facing-s makes at each stage -> the finest level of the pyramid, (B, 24, H/4, W/4)."""

    def __init__(self) -> None:
        super().__init__()
        channels = stage_channels(WIDTH)
        self.stages = stages(WIDTH, STAGES, len(channels))
        self.add_levels(channels)

    def forward(self, lower: list[Tensor]) -> Tensor:
        return self.levels([*lower, *one_by_one(self.stages, lower[-1])])[-1]


class PoseS(nn.Module):
    """RGB windows (B, 3, H, W), 0..255 -> `PoseMaps`; H and W multiples of 32."""

    scaled = staticmethod(scaled)

    def __init__(self) -> None:
        super().__init__()
        self.lower = FacingTrunk()
        self.upper = UpperTrunk()
        self.center = Branch(24, 1)
        self.keypoint_heat = Branch(24, 17)
        self.keypoint_regression = Branch(24, 34)
        self.keypoint_offset = Branch(24, 34)

    def forward(self, rgb: Tensor) -> PoseMaps:
        return self.of_scaled(self.scaled(rgb))

    def of_scaled(self, x: Tensor) -> PoseMaps:
        """`forward` of windows in -1..1."""
        lower = self.lower.each_stage(x)
        level = self.upper(lower)
        return PoseMaps(
            features=lower[-1],
            center=self.center(level).sigmoid(),
            keypoint_heat=self.keypoint_heat(level).sigmoid(),
            keypoint_regression=self.keypoint_regression(level),
            keypoint_offset=self.keypoint_offset(level),
        )
