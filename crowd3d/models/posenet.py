"""PoseNet: root-relative joints of a crop from one volume a joint (Moon et al., ICCV 2019)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from crowd3d.models.backbones.resnet import RESNET_CHANNELS, ResNet50
from crowd3d.models.backbones.volumes import Enlarger, soft_argmax

INPUT_PX = 256
BINS = 64
CUBE_M = 2.0  # side of the volume along the depth
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


def joints_in_camera(
    bins: Tensor, box_xywh_px: Tensor, root_depth_m: Tensor, intrinsics: Tensor
) -> Tensor:
    """Metric joints in the camera's frame.

    Args:
        bins: (N, J, 3) from the network.
        box_xywh_px: (N, 4) extended box that the crop shows.
        root_depth_m: (N,) depth of the root.
        intrinsics: (3, 3) or (N, 3, 3), pixels.

    Returns:
        (N, J, 3) metres.
    """
    pixel = bins[..., :2] / BINS * box_xywh_px[:, None, 2:] + box_xywh_px[:, None, :2]
    depth = (bins[..., 2] / BINS - 0.5) * CUBE_M + root_depth_m[:, None]
    K = intrinsics.expand(len(bins), 3, 3)
    principal = K[:, None, :2, 2]
    focal = K.diagonal(dim1=-2, dim2=-1)[:, None, :2]
    return torch.cat([(pixel - principal) / focal * depth[..., None], depth[..., None]], dim=-1)
