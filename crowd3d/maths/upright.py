"""The upright frame: every person seen by a camera of their own that knows where down is.

Upright frame of a person: gravity-aligned, x right, y down along gravity, z horizontally away from
the camera in the person's direction. Its virtual camera stands at the same centre, looks along the
person's central ray and has no roll, so that one number, the elevation of that ray, is all that is
left of the camera. The body at rest is y up, facing +z: a person who stands and faces the camera
has the root rotation diag(1, -1, -1).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

_MIN_COS = 0.05  # keypoints more than 87 degrees off the central ray are moved to that angle


def to_upright(
    rays: ArrayLike | Tensor, scores: ArrayLike | Tensor, normal: ArrayLike | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Each person's own virtual camera, from viewing rays alone: no projection is assumed.

    Args:
        rays: (N, 17, 3) directions of the keypoints in the camera frame; not finite where there is
            none.
        scores: (N, 17), 0..1.
        normal: (3,) or (N, 3) upward direction in the camera frame.

    Returns:
        keypoints_upright (N, 17, 3): tangents u right, v down in the virtual camera, and the score;
        elevation_rad (N,): how far the central ray points below the horizon;
        R_upright_cam (N, 3, 3): turns camera-frame vectors into the upright frame.
    """
    rays, scores = as_floats(rays), as_floats(scores)
    up = torch.nn.functional.normalize(as_floats(normal).to(rays), dim=-1).expand(len(rays), 3)
    good = torch.isfinite(rays).all(-1) & torch.isfinite(scores) & (rays.abs().sum(-1) > 0)
    rays = torch.where(good[..., None], rays, torch.zeros_like(rays))
    rays = torch.nn.functional.normalize(rays, dim=-1)
    scores = torch.where(good, scores.to(rays), torch.zeros_like(rays[..., 0])).clamp(0, 1)
    central = (rays * scores[..., None]).sum(1)
    forward = torch.tensor([0.0, 0, 1], dtype=rays.dtype, device=rays.device)
    nobody = central.norm(dim=-1, keepdim=True) < 1e-6
    central = torch.nn.functional.normalize(torch.where(nobody, forward, central), dim=-1)
    R_upright_cam = gravity_axes(central, up)
    elevation = torch.asin((-central * up).sum(-1).clamp(-1, 1))
    right = R_upright_cam[:, 0]
    down = torch.linalg.cross(central, right)
    axes = torch.stack([right, down, central], dim=1)
    seen = torch.einsum("nij,nkj->nki", axes, rays)
    uv = seen[..., :2] / seen[..., 2:].clamp_min(_MIN_COS)
    return torch.cat([uv, scores[..., None]], dim=-1), elevation, R_upright_cam


def gravity_axes(central: Tensor, up: Tensor) -> Tensor:
    """(N, 3, 3) rows x right, y down, z ahead on the level; for a plumb view any direction does."""
    level = central - (central * up).sum(-1, keepdim=True) * up
    for spare in ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0)):
        other = torch.tensor(spare, dtype=up.dtype, device=up.device)
        other = other - (up @ other)[:, None] * up
        level = torch.where(level.norm(dim=-1, keepdim=True) < 1e-4, other, level)
    ahead = torch.nn.functional.normalize(level, dim=-1)
    return torch.stack([torch.linalg.cross(-up, ahead), -up, ahead], dim=1)


def to_camera(rotations: Tensor, fisher: Tensor, R_upright_cam: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the root into the camera frame (x right, y down, z forward).

    Args:
        rotations, fisher: (N, 24, 3, 3) with the root in the upright frame.
        R_upright_cam: (N, 3, 3) from `to_upright`.

    Returns:
        Both with the root turned; the joints below it are unchanged.
    """
    R_cam_upright = as_floats(R_upright_cam).transpose(-1, -2)

    def turn(values: Tensor) -> Tensor:
        values = as_floats(values)
        root = R_cam_upright.to(values) @ values[:, 0]
        return torch.cat([root[:, None], values[:, 1:]], dim=1)

    return turn(rotations), turn(fisher)


def as_floats(values: ArrayLike | Tensor) -> Tensor:
    """Tensors as they are, everything else through numpy; never float16."""
    tensor = values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.to(torch.float64)
