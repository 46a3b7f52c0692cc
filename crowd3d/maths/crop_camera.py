"""The turn from a crop network's own camera to the scene's.

A crop network takes the person to be in the middle of its view. Away from the picture's centre that is not so:
the ray to the person differs from the optical axis, by up to 50 degrees in a panorama.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ray_rotation(box_center_px: Tensor, focal_px: float, center_px: Tensor) -> Tensor:
    """(N, 3, 3) the smallest turn from the optical axis to each box's ray."""
    offset = (box_center_px - center_px) / focal_px
    ray = torch.nn.functional.normalize(
        torch.cat([offset, torch.ones_like(offset[:, :1])], dim=1), dim=1
    )
    x, y, z = ray.unbind(1)
    share = 1 / (1 + z)  # Rodrigues' formula; z > 0 for whatever a picture shows
    rows = [
        [1 - x * x * share, -x * y * share, x],
        [-x * y * share, 1 - y * y * share, y],
        [-x, -y, z],
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
