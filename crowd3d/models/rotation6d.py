"""The 6D representation of rotations (Zhou et al. 2019, eq. 15), in the layout of the published networks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def rotation_from_6d(six: Tensor) -> Tensor:
    """(..., 6) -> rotation matrices (..., 3, 3).

    The six numbers are a 3x2 matrix, row by row; its columns, made orthonormal one after the other, are the
    first two columns of the rotation.
    """
    first, second = six.reshape(*six.shape[:-1], 3, 2).unbind(-1)
    x = F.normalize(first, dim=-1)
    y = F.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def rotation_to_6d(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 6): the first two columns."""
    return rotation[..., :2].flatten(-2)
