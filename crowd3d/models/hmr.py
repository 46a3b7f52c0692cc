"""HMR with group normalisation: one person's SMPL parameters from a crop, by three rounds of correction.

Kanazawa et al., CVPR 2018, in the form whose statistics do not depend on the batch, so that it can be
adapted on single frames (Guan et al., DynaBOA, TPAMI 2022).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from crowd3d.maths.rotation import rotation_from_6d
from crowd3d.models.backbones.resnet import RESNET_CHANNELS, GroupNorm4, ResNet50

INPUT_PX = 224
FOCAL_PX = 5000.0  # of the virtual camera behind `camera`
ROUNDS = 3
_HIDDEN = 1024
_POSE, _BETAS, _CAMERA = 24 * 6, 10, 3


class Body(NamedTuple):
    """Output of HMR.

    Attributes:
        rotations: (B, 24, 3, 3) SMPL pose.
        betas: (B, 10).
        camera: (B, 3) scale, x, y of the crop's weak perspective.
        pooled: (B, 2048) the trunk's features, averaged over the crop.
        hidden: (B, 1024) first hidden layer of the last round; its change tells how far an adaptation moved.
    """

    rotations: Tensor
    betas: Tensor
    camera: Tensor
    pooled: Tensor
    hidden: Tensor


class HMR(nn.Module):
    """RGB crops (B, 3, 224, 224), ImageNet mean and deviation -> Body."""

    mean_pose: Tensor
    mean_betas: Tensor
    mean_camera: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = ResNet50(norm=GroupNorm4)
        self.hidden = nn.Linear(RESNET_CHANNELS + _POSE + _BETAS + _CAMERA, _HIDDEN)
        self.hidden2 = nn.Linear(_HIDDEN, _HIDDEN)
        self.pose = nn.Linear(_HIDDEN, _POSE)
        self.betas = nn.Linear(_HIDDEN, _BETAS)
        self.camera = nn.Linear(_HIDDEN, _CAMERA)
        self.dropout = nn.Dropout()
        rest = torch.eye(3)[:, :2].reshape(1, 6).repeat(1, 24)
        self.register_buffer("mean_pose", rest)
        self.register_buffer("mean_betas", torch.zeros(1, _BETAS))
        self.register_buffer("mean_camera", torch.tensor([[0.9, 0.0, 0.0]]))

    def forward(self, image: Tensor) -> Body:
        pooled = self.trunk(image).mean((-2, -1))
        count = len(image)
        pose, betas, camera = (
            mean.expand(count, -1) for mean in (self.mean_pose, self.mean_betas, self.mean_camera)
        )
        for _ in range(ROUNDS):
            hidden = self.hidden(torch.cat([pooled, pose, betas, camera], dim=1))
            state = self.dropout(self.hidden2(self.dropout(hidden)))
            pose = pose + self.pose(state)
            betas = betas + self.betas(state)
            camera = camera + self.camera(state)
        rotations = rotation_from_6d(pose.reshape(count, 24, 6))
        return Body(rotations, betas, camera, pooled, hidden)
