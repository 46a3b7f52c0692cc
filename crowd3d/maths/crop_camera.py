"""From a crop network's own camera to the scene's: place, and the turn that the crop's direction asks for.

A crop network believes that it looks straight at the person through a camera of its own. Far from the picture's
centre it does not: the crop's ray differs from the optical axis, by up to 50 degrees in a panorama.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CROWDNET_FOCAL_PX, CROWDNET_CROP_PX = 5000.0, 256.0
PROPOSE_FOCAL_PX, PROPOSE_CROP_PX = 1000.0, 256.0
HMR_FOCAL_PX, HMR_CROP_PX = 5000.0, 224.0
# Depth that 3DCrowdNet's third number scales: at it, 2.5 m fill the crop.
_CROWDNET_K_M = math.sqrt(CROWDNET_FOCAL_PX**2 * 2.5**2 / CROWDNET_CROP_PX**2)


def translation_from_crowdnet(camera: Tensor) -> Tensor:
    """3DCrowdNet's (N, 3) raw numbers -> (N, 3) metres in its own camera."""
    return torch.cat([camera[:, :2], _CROWDNET_K_M * torch.sigmoid(camera[:, 2:])], dim=1)


def translation_from_weak_perspective(camera: Tensor, focal_px: float, crop_px: float) -> Tensor:
    """(N, 3) scale, x, y of HMR or ProPose -> (N, 3) metres in the crop's own camera."""
    depth = 2 * focal_px / (crop_px * camera[:, :1])
    return torch.cat([camera[:, 1:], depth], dim=1)


def scene_translation(
    crop_m: Tensor,
    crop_focal_px: float,
    crop_px: float,
    box_center_px: Tensor,
    box_side_px: Tensor,
    focal_px: float,
    center_px: Tensor,
) -> Tensor:
    """The place in the scene whose image is that of the crop: same scale, same pixel.

    Args:
        crop_m: (N, 3) translation in the crop's camera, metres.
        crop_focal_px, crop_px: focal length and side of the crop as the network believes them.
        box_center_px: (N, 2) centre of the (extended) box in the full picture.
        box_side_px: (N,) its side.
        focal_px, center_px: the scene's focal length and (2,) principal point.

    Returns:
        (N, 3) metres in the scene's camera.
    """
    depth = crop_m[:, 2] * focal_px * crop_px / (crop_focal_px * box_side_px)
    across = crop_m[:, :2] + (box_center_px - center_px) * depth[:, None] / focal_px
    return torch.cat([across, depth[:, None]], dim=1)


def ray_rotation(box_center_px: Tensor, focal_px: float, center_px: Tensor) -> Tensor:
    """(N, 3, 3) the smallest turn from the optical axis to each box's ray."""
    offset = (box_center_px - center_px) / focal_px
    ray = torch.nn.functional.normalize(
        torch.cat([offset, torch.ones_like(offset[:, :1])], dim=1), dim=1
    )
    x, y, z = ray.unbind(1)
    share = 1 / (
        1 + z
    )  # Rodrigues' formula between unit vectors; z > 0 for whatever a picture shows
    rows = [
        [1 - x * x * share, -x * y * share, x],
        [-x * y * share, 1 - y * y * share, y],
        [-x, -y, z],
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
