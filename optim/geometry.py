"""Rays, planes and verticals in the camera frame (x right, y down, z forward). Pure functions.

Pitch is positive for a camera that looks down; roll is positive where the picture's up direction
leans to the right of the true one. Up in camera coordinates is n = (sin r cos p, -cos r cos p,
-sin p).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from optim.projection import FloatArray


def normal_from_pitch_roll(pitch_rad: float, roll_rad: float) -> FloatArray:
    """(3,) unit vector up, camera frame."""
    return np.array(
        [
            math.sin(roll_rad) * math.cos(pitch_rad),
            -math.cos(roll_rad) * math.cos(pitch_rad),
            -math.sin(pitch_rad),
        ]
    )


def pitch_roll_from_normal(normal: npt.ArrayLike) -> tuple[float, float]:
    """Pitch and roll in radians, the inverse of `normal_from_pitch_roll`; any length of vector."""
    x, y, z = np.asarray(normal, dtype=np.float64)
    return math.atan2(-z, math.hypot(x, y)), math.atan2(x, -y)


def tangent_basis(normal: npt.ArrayLike) -> FloatArray:
    """(2, 3) orthonormal directions in which pitch and roll grow; moves on the sphere of normals.

    A move by delta along the second row changes the roll by delta / cos(pitch).
    """
    pitch, roll = pitch_roll_from_normal(normal)
    up_pitch = [
        -math.sin(roll) * math.sin(pitch),
        math.cos(roll) * math.sin(pitch),
        -math.cos(pitch),
    ]
    return np.array([up_pitch, [math.cos(roll), math.sin(roll), 0.0]])


def unit(vectors: npt.ArrayLike) -> FloatArray:
    """(..., 3) -> the same directions with length 1; NaN for zero vectors."""
    xyz = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(xyz, axis=-1, keepdims=True)
    return np.asarray(xyz / np.where(length > 0, length, np.nan))
