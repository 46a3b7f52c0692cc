"""ProPose: joints in space and a matrix-Fisher prior of every rotation, from one crop (Fang et al., CVPR 2023).

`propose_posterior` joins the two into the posterior of each rotation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from crowd3d.models.backbones.hrnet import HEAD_CHANNELS, ClassificationHead, HRNet
from crowd3d.models.backbones.volumes import soft_argmax_and_spread

INPUT_PX = 256
BINS = 64
CUBE_M = 2.0  # side of the volume around the root
JOINTS = 34  # all of SMPL's but the pelvis, which is the origin, and eleven points of face and feet

_WIDTH = 48


class Prediction(NamedTuple):
    """Output of ProPose.

    Attributes:
        joints: (B, 34, 3) position around the root in units of the 2 m cube, -0.5..0.5.
        spread: (B, 34) standard deviation of the volume along an axis, same unit.
        betas: (B, 10).
        prior: (B, 24, 3, 3) matrix-Fisher parameters.
        camera: (B, 3) scale, x, y.
        features: (B, 2048) of the classification head.
        logits: (B, 34, 64, 64, 64) volumes before the softmax, axes z, y, x.
    """

    joints: Tensor
    spread: Tensor
    betas: Tensor
    prior: Tensor
    camera: Tensor
    features: Tensor
    logits: Tensor


class ProPose(nn.Module):
    """RGB crops (B, 3, 256, 256), ImageNet mean and deviation -> Prediction."""

    mean_betas: Tensor
    mean_camera: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = HRNet(_WIDTH, finest_only=False)
        self.head = ClassificationHead(_WIDTH)
        self.volumes = nn.Conv2d(_WIDTH, JOINTS * BINS, 1)
        self.betas = nn.Linear(HEAD_CHANNELS, 10)
        self.prior = nn.Linear(HEAD_CHANNELS, 24 * 9)
        self.camera = nn.Linear(HEAD_CHANNELS, 3)
        self.register_buffer("mean_betas", torch.zeros(10))
        self.register_buffer("mean_camera", torch.tensor([0.9, 0.0, 0.0]))

    def forward(self, image: Tensor) -> Prediction:
        maps = self.trunk(image)
        logits = self.volumes(maps[0]).unflatten(1, (JOINTS, BINS))
        bins, spread = soft_argmax_and_spread(logits)
        features = self.head(maps)
        return Prediction(
            joints=bins / BINS - 0.5,
            spread=spread / BINS,
            betas=self.betas(features) + self.mean_betas,
            prior=self.prior(features).unflatten(1, (24, 3, 3)),
            camera=self.camera(features) + self.mean_camera,
            features=features,
            logits=logits,
        )
