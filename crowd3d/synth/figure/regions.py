"""Where on the resting body things are: functions of the template's coordinates, shared by cut and colour.

Every function takes points (N, 3) of the resting template and one row of clothes a point.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crowd3d.synth.cast.outfits import ANKLE_Y, WAIST_Y
from crowd3d.synth.noise import smoothstep

FloatArray = npt.NDArray[np.float32]

_ARM_X, _ARM_Y = 0.172, 0.30
_HAIR_Z = np.array([-0.05, 0.025, 0.058, 0.095, 0.14, 0.17], np.float32)
_HAIR_Y = np.array([0.525, 0.545, 0.605, 0.655, 0.678, 0.69], np.float32)
_SHOE_TOP_Y = -0.838


def is_arm(p: FloatArray) -> npt.NDArray[np.bool_]:
    """Arms and hands, from the shoulder's edge on."""
    return np.asarray((np.abs(p[:, 0]) > _ARM_X) & (p[:, 1] > _ARM_Y))


def along_around(p: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coordinates on cloth in metres: along the limb or trunk, and around it."""
    arm = is_arm(p)
    along = np.where(arm, np.abs(p[:, 0]), p[:, 1])
    # Legs have their own axis, arms run along x at the height of the shoulder.
    leg = p[:, 1] < -0.16
    axis_x = np.where(leg, 0.12 * np.sign(p[:, 0]), 0.0)
    angle = np.where(
        arm,
        np.arctan2(p[:, 2] - 0.03, p[:, 1] - 0.40),
        np.arctan2(p[:, 0] - axis_x, p[:, 2] - 0.03),
    )
    radius = np.where(arm, 0.045, np.where(leg, 0.07, 0.15))
    return np.asarray(along, np.float32), np.asarray(angle * radius, np.float32)


def hair_edge_y(p: FloatArray, hairline: FloatArray) -> FloatArray:
    """Height above which the scalp has hair: low at the nape, high at the forehead."""
    return np.asarray(np.interp(p[:, 2], _HAIR_Z, _HAIR_Y).astype(np.float32) + hairline)


def neckline_y(p: FloatArray, neck_y: FloatArray) -> FloatArray:
    """Upper end of the top: lower in front than behind."""
    front = smoothstep(0.02, 0.10, p[:, 2]) * (1 - np.minimum(np.abs(p[:, 0]) / 0.09, 1))
    return np.asarray(neck_y - 0.055 * front, np.float32)


def top_cover(
    p: FloatArray, sleeve_x: FloatArray, hem_y: FloatArray, neck_y: FloatArray
) -> npt.NDArray[np.bool_]:
    """Whether the top covers a point."""
    arm = is_arm(p)
    sleeve = arm & (np.abs(p[:, 0]) < sleeve_x)
    trunk = ~arm & (p[:, 1] > hem_y) & (p[:, 1] < neckline_y(p, neck_y))
    return np.asarray(sleeve | trunk)


def bottom_cover(p: FloatArray, leg_y: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether the trousers cover a point (the top lies over them)."""
    return np.asarray((p[:, 1] < WAIST_Y) & (p[:, 1] > np.minimum(leg_y, -0.16)) & ~is_arm(p))


def shoe_cover(p: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether a shoe covers a point; its top slopes from the ankle down to the instep."""
    return np.asarray(p[:, 1] < _SHOE_TOP_Y - 0.25 * np.clip(p[:, 2] - 0.06, 0, 0.05))


def ankle_fraction(p: FloatArray) -> FloatArray:
    """0 at the crotch, 1 at the ankle."""
    return np.asarray(np.clip((-0.13 - p[:, 1]) / (-0.13 - ANKLE_Y), 0, 1), np.float32)
