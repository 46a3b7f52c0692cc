"""Everyday poses by rule, as (24, 3) axis-angle in SMPL's order with an upright root.

At rest the body stands in the T-pose, y up, facing +z, its left arm along +x. A leg swings forward by a
negative angle about x; a knee bends by a positive one. All angles here are in degrees.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

Pose = npt.NDArray[np.float64]
Rng = np.random.Generator

_L_HIP, _R_HIP, _SPINE1, _L_KNEE, _R_KNEE, _SPINE2, _L_ANKLE, _R_ANKLE, _SPINE3 = range(1, 10)
_NECK, _L_COLLAR, _R_COLLAR, _HEAD = 12, 13, 14, 15
_ARMS = ((16, 18, 20, 1.0), (17, 19, 21, -1.0))  # shoulder, elbow, wrist, sign of x


def _vector(order: str, *angles_deg: float) -> Pose:
    return np.asarray(Rotation.from_euler(order, angles_deg, degrees=True).as_rotvec())


def set_arm(
    pose: Pose,
    side: int,
    *,
    down: float,
    forward: float = 0.0,
    inward: float = 0.0,
    elbow: float = 0.0,
) -> None:
    """Pose one arm in place.

    Args:
        side: 0 left, 1 right.
        down: 0 in the T-pose, 90 along the body, negative above the shoulder.
        forward: swing about the shoulders' axis.
        inward: twist of the upper arm that turns the bent forearm towards the chest.
        elbow: flexion.
    """
    shoulder, joint, _, sign = _ARMS[side]
    swing = Rotation.from_euler("x", -forward, degrees=True)
    drop = Rotation.from_euler("z", -sign * down, degrees=True)
    twist = Rotation.from_euler("x", inward, degrees=True)
    pose[shoulder] = (swing * drop * twist).as_rotvec()
    pose[joint] = _vector("y", -sign * elbow)


def _set_leg(pose: Pose, side: int, swing: float, knee: float, ankle: float, out: float) -> None:
    sign = 1.0 if side == 0 else -1.0
    pose[_L_HIP + side] = _vector("xz", -swing, sign * out)
    pose[_L_KNEE + side] = _vector("x", knee)
    pose[_L_ANKLE + side] = _vector("xy", ankle, sign * 2 * out)


def relaxed(rng: Rng) -> Pose:
    """Standing with the arms down, weight on one leg."""
    pose = np.zeros((24, 3))
    for side in (0, 1):
        set_arm(
            pose,
            side,
            down=rng.uniform(68, 80),
            forward=rng.normal(2, 6),
            inward=rng.uniform(0, 35),
            elbow=rng.uniform(8, 32),
        )
        _set_leg(
            pose, side, rng.normal(1, 3), abs(rng.normal(2, 3)), rng.normal(0, 2), rng.uniform(1, 6)
        )
    if rng.random() < 0.4:
        side = int(rng.integers(2))
        bend = rng.uniform(8, 22)
        _set_leg(pose, side, 0.6 * bend, bend, -0.4 * bend, rng.uniform(2, 7))
    pose[_SPINE1] = _vector("xyz", rng.normal(1, 3), rng.normal(0, 3), rng.normal(0, 2))
    pose[_SPINE2] = _vector("xyz", rng.normal(2, 3), rng.normal(0, 3), rng.normal(0, 2))
    pose[_SPINE3] = _vector("xyz", rng.normal(1, 3), rng.normal(0, 3), rng.normal(0, 2))
    pose[_NECK] = _vector("xyz", rng.normal(3, 4), rng.normal(0, 10), rng.normal(0, 3))
    pose[_HEAD] = _vector("xyz", rng.normal(2, 6), rng.normal(0, 15), rng.normal(0, 4))
    return pose


def phone(rng: Rng) -> Pose:
    """Looking at a phone held in one or both hands."""
    pose = relaxed(rng)
    sides = (0, 1) if rng.random() < 0.35 else (int(rng.integers(2)),)
    for side in sides:
        set_arm(
            pose,
            side,
            down=rng.uniform(70, 80),
            forward=rng.uniform(10, 30),
            inward=rng.uniform(25, 45),
            elbow=rng.uniform(90, 120),
        )
    pose[_NECK] = _vector("x", rng.uniform(10, 22))
    pose[_HEAD] = _vector("x", rng.uniform(8, 20))
    return pose


def call(rng: Rng) -> Pose:
    """A phone at the ear."""
    pose = relaxed(rng)
    set_arm(pose, int(rng.integers(2)), down=rng.uniform(50, 65), forward=25, inward=5, elbow=140)
    return pose


def arms_crossed(rng: Rng) -> Pose:
    """Arms folded before the chest."""
    pose = relaxed(rng)
    for side in (0, 1):
        forward = rng.uniform(22, 34) + 6 * side
        set_arm(
            pose,
            side,
            down=72,
            forward=forward,
            inward=rng.uniform(62, 74),
            elbow=rng.uniform(98, 110),
        )
    return pose


def hands_on_hips(rng: Rng) -> Pose:
    """Elbows out, hands at the waist; sometimes one arm only."""
    pose = relaxed(rng)
    for side in (0, 1) if rng.random() < 0.6 else (int(rng.integers(2)),):
        set_arm(pose, side, down=52, forward=-18, inward=62, elbow=rng.uniform(85, 100))
    return pose


def hands_in_pockets(rng: Rng) -> Pose:
    """Hands at the hips, elbows slightly back."""
    pose = relaxed(rng)
    for side in (0, 1):
        set_arm(pose, side, down=72, forward=-12, inward=30, elbow=rng.uniform(28, 42))
    return pose


def waving(rng: Rng) -> Pose:
    """One arm up."""
    pose = relaxed(rng)
    set_arm(
        pose,
        int(rng.integers(2)),
        down=rng.uniform(-50, 0),
        forward=15,
        inward=-80,
        elbow=rng.uniform(30, 80),
    )
    return pose


def photographing(rng: Rng) -> Pose:
    """Both hands with a camera before the face."""
    pose = relaxed(rng)
    for side in (0, 1):
        set_arm(
            pose, side, down=68, forward=rng.uniform(52, 66), inward=32, elbow=rng.uniform(85, 100)
        )
    return pose


def arms_up(rng: Rng) -> Pose:
    """Cheering, waving or filming over the heads: one arm in the air, or both."""
    pose = relaxed(rng)
    sides = (0, 1) if rng.random() < 0.5 else (int(rng.integers(2)),)
    for side in sides:
        set_arm(
            pose,
            side,
            down=rng.uniform(-75, -25),
            forward=rng.uniform(0, 40),
            inward=rng.uniform(-60, 20),
            elbow=rng.uniform(5, 60),
        )
    pose[_HEAD] = _vector("x", rng.uniform(-20, 5))
    return pose


def talking(rng: Rng) -> Pose:
    """A forearm raised while speaking."""
    pose = relaxed(rng)
    set_arm(
        pose,
        int(rng.integers(2)),
        down=rng.uniform(62, 76),
        forward=rng.uniform(5, 25),
        inward=rng.uniform(-10, 30),
        elbow=rng.uniform(60, 105),
    )
    return pose


def walking(rng: Rng) -> Pose:
    """A phase of the gait; the arms swing against the legs, sometimes one carries or holds a phone."""
    pose = phone(rng) if rng.random() < 0.10 else relaxed(rng)
    carrying = int(rng.integers(2)) if rng.random() < 0.3 else -1
    phase, stride = rng.uniform(0, 2 * np.pi), rng.uniform(18, 28)
    free = np.linalg.norm(pose[_HEAD]) < 0.6
    for side in (0, 1):
        angle = phase + np.pi * side
        swing = stride * np.sin(angle) + 3
        # The knee bends most while the leg passes forward under the body.
        knee = 6 + 48 * max(0.0, float(np.cos(angle + 0.35))) ** 1.5
        planted = np.cos(angle) < 0
        ankle = float(np.clip((swing - knee) * (0.9 if planted else 0.5), -30, 18))
        _set_leg(pose, side, swing, knee, ankle, rng.uniform(0, 2))
        if free and side != carrying:
            arm = -0.9 * stride * np.sin(angle)
            set_arm(
                pose,
                side,
                down=rng.uniform(74, 80),
                forward=arm,
                inward=12,
                elbow=18 + 0.5 * max(arm, 0),
            )
    pose[_SPINE1] = _vector("xy", rng.uniform(0, 5), 6 * np.sin(phase))
    return pose


def sitting(rng: Rng) -> Pose:
    """On a seat of chair height, hands on the lap, at a phone or on the thighs."""
    pose = phone(rng) if rng.random() < 0.25 else relaxed(rng)
    lean = rng.uniform(-6, 16)
    for side in (0, 1):
        swing, out = 84 + rng.normal(0, 3) - 0.0 * lean, rng.uniform(2, 12)
        knee = rng.uniform(78, 98)
        _set_leg(pose, side, swing, knee, swing - knee, out)
    if rng.random() < 0.7:
        for side in (0, 1):
            set_arm(
                pose,
                side,
                down=rng.uniform(70, 78),
                forward=rng.uniform(15, 30),
                inward=rng.uniform(15, 35),
                elbow=rng.uniform(55, 80),
            )
    pose[_SPINE1] = _vector("x", lean)
    return pose


def carrying(rng: Rng) -> Pose:
    """Both hands at the legs of a child on one's shoulders."""
    pose = relaxed(rng)
    for side in (0, 1):
        set_arm(
            pose,
            side,
            down=rng.uniform(48, 58),
            forward=rng.uniform(15, 30),
            inward=rng.uniform(0, 15),
            elbow=rng.uniform(125, 138),
        )
    pose[_HEAD] = _vector("x", rng.uniform(5, 12))
    return pose


def riding(rng: Rng) -> Pose:
    """On somebody's shoulders: the legs hang down before them, the hands are on their head or in the air."""
    pose = arms_up(rng) if rng.random() < 0.3 else relaxed(rng)
    for side in (0, 1):
        _set_leg(pose, side, rng.uniform(66, 74), rng.uniform(62, 72), 0.0, rng.uniform(18, 24))
    if abs(pose[_ARMS[0][1]]).max() < 0.7:  # no arm is up
        for side in (0, 1):
            set_arm(pose, side, down=60, forward=rng.uniform(35, 45), inward=25, elbow=60)
    pose[_SPINE1] = _vector("x", rng.uniform(0, 10))
    return pose


_STANDING: tuple[tuple[Callable[[Rng], Pose], float], ...] = (
    (relaxed, 0.34),
    (phone, 0.14),
    (call, 0.04),
    (arms_crossed, 0.08),
    (hands_on_hips, 0.07),
    (hands_in_pockets, 0.13),
    (waving, 0.04),
    (photographing, 0.05),
    (talking, 0.11),
)


def standing(rng: Rng) -> Pose:
    """One of the standing poses, by how common they are."""
    weights = np.array([weight for _, weight in _STANDING])
    return _STANDING[int(rng.choice(len(weights), p=weights / weights.sum()))][0](rng)
