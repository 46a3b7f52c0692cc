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

_MIN_FALL = 1e-12  # sine of the smallest angle below the horizon that still meets the plane


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


def intersect_plane(
    rays: npt.ArrayLike, normal: npt.ArrayLike, offset_m: npt.ArrayLike
) -> FloatArray:
    """(..., 3) points where rays from the camera meet n.X + d = 0; NaN where they do not.

    Args:
        rays: (..., 3) directions, any length.
        normal: (3,) or (..., 3) unit vectors up.
        offset_m: height of the camera above the plane; negative for planes above the camera.
    """
    directions = np.asarray(rays, dtype=np.float64)
    rate = np.sum(directions * np.asarray(normal, dtype=np.float64), axis=-1)
    offset = np.asarray(offset_m, dtype=np.float64)
    tiny = _MIN_FALL * np.linalg.norm(directions, axis=-1)
    distance = -offset / np.where(np.abs(rate) > tiny, rate, np.nan)
    return np.asarray(directions * np.where(distance > 0, distance, np.nan)[..., None])


def height_above(points_m: npt.ArrayLike, normal: npt.ArrayLike, offset_m: float) -> FloatArray:
    """(...,) signed height of (..., 3) points above the plane."""
    return np.asarray(np.asarray(points_m, dtype=np.float64) @ np.asarray(normal) + offset_m)


def upright_rotation(rays: npt.ArrayLike, normal: npt.ArrayLike) -> FloatArray:
    """Rotation into the virtual camera that looks along a ray with no roll against gravity.

    Args:
        rays: (..., 3) directions of view.
        normal: (3,) unit vector up.

    Returns:
        (..., 3, 3) R_virtual_cam: rows are the virtual camera's right, down and forward axes in
        the camera frame. For rays along gravity, where "no roll" has no meaning, right stays
        nearest to the camera's.
    """
    forward = unit(rays)
    up = np.broadcast_to(unit(normal), forward.shape)
    right = np.cross(forward, up)
    sine = np.linalg.norm(right, axis=-1, keepdims=True)
    x_axis = np.broadcast_to([1.0, 0.0, 0.0], forward.shape)
    fallback = x_axis - np.sum(x_axis * forward, axis=-1, keepdims=True) * forward
    right = unit(np.where(sine > 1e-9, right, fallback))
    return np.stack([right, np.cross(forward, right), forward], axis=-2)
