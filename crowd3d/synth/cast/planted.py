"""Feet on ground that slopes: the uphill leg bends, and the soles lie on the slope; the trunk stays upright."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

FloatArray = npt.NDArray[np.float64]

LEVEL_DEG = 0.5  # what slopes less is left as it is
_LEGS = ((1, 4, 7), (2, 5, 8))  # hip, knee, ankle


def planted(pose: FloatArray, normal: FloatArray, rest_joints_m: FloatArray) -> FloatArray:
    """Poses of people who stand or walk, fitted to the slope below each.

    The lower foot stays where it is, the other rises with the ground: its knee bends until hip and ankle are
    as far apart as they then must be, and the hip turns until the ankle is in place.

    Args:
        pose: (N, 24, 3) axis-angle of poses on level ground, y up.
        normal: (N, 3) unit normals of the ground.
        rest_joints_m: (N, 24, 3) of the resting bodies.
    """
    found = pose.copy()
    tilted = np.flatnonzero(normal[:, 1] < np.cos(np.radians(LEVEL_DEG)))
    if not len(tilted):
        return found
    local, rest, normal = found[tilted], rest_joints_m[tilted], normal[tilted]
    root = Rotation.from_rotvec(local[:, 0])
    legs = [_Leg(local, rest, root, joints) for joints in _LEGS]
    rise = np.stack([-(leg.ankle_m * normal)[:, [0, 2]].sum(axis=1) for leg in legs])
    rise = (rise - rise.min(axis=0)) / normal[:, 1]
    onto = _between(np.tile([0.0, 1.0, 0.0], (len(tilted), 1)), normal)
    for leg, higher in zip(legs, rise, strict=True):
        local[:, leg.joints] = leg.raised(higher, onto)
    found[tilted] = local
    return found


class _Leg:
    """One leg of N people; positions are relative to the pelvis."""

    def __init__(
        self, local: FloatArray, rest: FloatArray, root: Rotation, joints: tuple[int, int, int]
    ) -> None:
        hip, knee, ankle = joints
        self.joints = list(joints)
        self._root = root
        self._thigh = root * Rotation.from_rotvec(local[:, hip])
        self._bend = Rotation.from_rotvec(local[:, knee])
        self._foot = self._thigh * self._bend * Rotation.from_rotvec(local[:, ankle])
        self._rest = rest[:, knee] - rest[:, hip], rest[:, ankle] - rest[:, knee]
        self._hip_m = root.apply(rest[:, hip] - rest[:, 0])
        self.ankle_m = self._hip_m + self._from_hip(self._thigh, self._bend)

    def _from_hip(self, thigh: Rotation, bend: Rotation) -> FloatArray:
        """(N, 3) from the hip to the ankle."""
        return np.asarray(thigh.apply(self._rest[0] + bend.apply(self._rest[1])))

    def raised(self, higher_m: FloatArray, onto: Rotation) -> FloatArray:
        """(N, 3, 3) rotations of hip, knee and ankle with the ankle so much higher and the foot turned."""
        target = self.ankle_m + higher_m[:, None] * [0.0, 1.0, 0.0] - self._hip_m
        lengths = [np.linalg.norm(part, axis=1) for part in self._rest]

        def angle(away_m: FloatArray) -> FloatArray:  # in the knee, by the law of cosines
            squares = lengths[0] ** 2 + lengths[1] ** 2 - away_m**2
            return np.asarray(np.arccos(np.clip(squares / (2 * lengths[0] * lengths[1]), -1, 1)))

        before, after = (
            angle(np.linalg.norm(way, axis=1)) for way in (self.ankle_m - self._hip_m, target)
        )
        bend = self._bend * Rotation.from_euler("x", (before - after)[:, None])
        swing = _between(self._from_hip(self._thigh, bend), target)
        thigh = swing * self._thigh
        ankle = (thigh * bend).inv() * onto * self._foot
        rows = ((self._root.inv() * thigh), bend, ankle)
        return np.stack([turn.as_rotvec().reshape(-1, 3) for turn in rows], axis=1)


def _between(start: FloatArray, end: FloatArray) -> Rotation:
    """The smallest turns of (N, 3) directions into others."""
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (start, end))
    axis = np.cross(a, b)
    sine, cosine = np.linalg.norm(axis, axis=1), (a * b).sum(axis=1)
    turn = np.arctan2(sine, cosine) / np.maximum(sine, 1e-12)
    return Rotation.from_rotvec(axis * turn[:, None])
