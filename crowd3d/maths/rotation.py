"""Rotations as matrices, quaternions, rotation vectors and six numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def quaternion_to_matrix(q: Tensor) -> Tensor:
    """Unit quaternions (..., 4), scalar first -> rotation matrices (..., 3, 3)."""
    w, x, y, z = q.unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def small_turns(rotvec: Tensor) -> Tensor:
    """Rotation vectors (..., 3) in radians -> rotation matrices (..., 3, 3); exact at any angle."""
    half = rotvec.norm(dim=-1, keepdim=True) / 2
    return quaternion_to_matrix(
        torch.cat([half.cos(), torch.sinc(half / math.pi) * rotvec / 2], dim=-1)
    )


def skew(v: Tensor) -> Tensor:
    """(..., 3) -> (..., 3, 3) with skew(v) w = v x w."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    rows = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    return rows.reshape(*x.shape, 3, 3)


def about_y(angle: Tensor) -> Tensor:
    """(M,) radians -> (M, 3, 3) turns about y."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = torch.stack([c, zero, s, zero, one, zero, -s, zero, c], dim=-1)
    return rows.reshape(*angle.shape, 3, 3)


def rotation_from_6d(six: Tensor) -> Tensor:
    """(..., 6) -> rotation matrices (..., 3, 3): the 6D representation (Zhou et al. 2019, eq. 15).

    As the published networks lay it out: the six numbers are a 3x2 matrix, row by row; its columns, made
    orthonormal one after the other, are the first two columns of the rotation.
    """
    first, second = six.reshape(*six.shape[:-1], 3, 2).unbind(-1)
    x = F.normalize(first, dim=-1)
    y = F.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def rotation_to_6d(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 6): the first two columns."""
    return rotation[..., :2].flatten(-2)
