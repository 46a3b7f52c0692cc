"""facing-s, where people face: the lower stages of a network for the pose of one person.

The layout is that of MoveNet Single Pose Thunder (MobileNetV2 x1.75; Apache-2.0) up to stride 16, so that its
published weights load: see `import_movenet`. Taught on people who fill the picture, it tells front from back
by more than the default network sees of them; what it takes to name their keypoints is left out, and with it
three quarters of the weights. `crowd3d.detect.facing` reads the answer off.
"""

from __future__ import annotations

from torch import Tensor

from crowd3d.models.mobilenet import INPUT_SCALE, MobileNetV2

STRIDE = 16  # picture pixels per output cell
CHANNELS = 168
_WIDTH, _STAGES = 1.75, 5


class FacingTrunk(MobileNetV2):
    """RGB windows (B, 3, H, W), 0..255 -> features (B, CHANNELS, H/16, W/16); H and W multiples of 16."""

    def __init__(self) -> None:
        super().__init__(_WIDTH, _STAGES)

    def forward(self, rgb: Tensor) -> Tensor:
        return self.each_stage(rgb * INPUT_SCALE - 1.0)[-1]
