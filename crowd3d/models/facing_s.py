"""facing-s, the trunk that tells where people face: the lower stages of a single-person pose network.

The layout is that of MoveNet Single Pose Thunder (MobileNetV2 x1.75; Apache-2.0) up to stride 16, so that its
published weights load: see `import_movenet`. That network was trained on people who fill the picture, so its
features tell front from back better than the default network's. The layers that name keypoints are left out,
and with them three quarters of the weights: `pose_s` has them. `crowd3d.detect.facing` reads the heading off
the features.
"""

from __future__ import annotations

from torch import Tensor

from crowd3d.models.mobilenet import MobileNetV2, scaled

STRIDE = 16  # picture pixels per output cell
CHANNELS = 168
WIDTH, STAGES = 1.75, 5  # of MobileNetV2


class FacingTrunk(MobileNetV2):
    """RGB windows (B, 3, H, W), 0..255 -> features (B, CHANNELS, H/16, W/16); H and W multiples of 16."""

    scaled = staticmethod(scaled)

    def __init__(self) -> None:
        super().__init__(WIDTH, STAGES)

    def forward(self, rgb: Tensor) -> Tensor:
        return self.of_scaled(self.scaled(rgb))

    def of_scaled(self, x: Tensor) -> Tensor:
        """`forward` of windows in -1..1."""
        return self.each_stage(x)[-1]
