"""Makes everyday poses by rule: what people in a crowd do and motion capture in a hall does not show.

Legs come from joint angles within human limits, arms from where the wrist is (a pocket, a phone, a
railing) by two-bone inverse kinematics. All angles in degrees here, because anatomy speaks degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crowd3d.training.poses.gestures import FloatArray, about, draw_gestures, place_arm, turn


@dataclass(frozen=True)
class Kind:
    """A family of poses: how the legs are made, and how often each arm gesture occurs with them."""

    share: float
    legs: Callable[[np.random.Generator, int], dict[str, FloatArray]]
    arms: dict[str, float]


def everyday_poses(rng: np.random.Generator, count: int, joints: FloatArray) -> FloatArray:
    """Local rotations of everyday poses, facing +z within the lean of the body.

    Args:
        rng: seeded source of randomness.
        count: how many.
        joints: (24, 3) T-pose joints of the body in metres (only proportions matter).

    Returns:
        (count, 24, 3, 3).
    """
    shares = np.array([kind.share for kind in KINDS.values()])
    numbers = rng.multinomial(count, shares / shares.sum())
    parts = [
        _poses_of(rng, n, kind, joints)
        for n, kind in zip(numbers, KINDS.values(), strict=True)
        if n
    ]
    poses = np.concatenate(parts)
    return np.asarray(poses[rng.permutation(len(poses))])


def _poses_of(rng: np.random.Generator, n: int, kind: Kind, joints: FloatArray) -> FloatArray:
    """n poses of one kind."""
    angle = kind.legs(rng, n)
    pose = np.tile(np.eye(3), (n, 24, 1, 1))
    pose[:, 0] = turn(angle.get("pitch", rng.normal(2, 4, n)), rng.normal(0, 2.5, n), np.zeros(n))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hip, knee, ankle = (1, 4, 7) if side == "left" else (2, 5, 8)
        yaw, abduct, flex, twist = (
            angle[f"{side}_{what}"] for what in ("yaw", "abduct", "flex", "twist")
        )
        pose[:, hip] = about("y", sign * yaw) @ about("z", sign * abduct) @ about("x", -flex)
        pose[:, hip] = pose[:, hip] @ about("y", sign * twist)
        pose[:, knee] = about("x", angle[f"{side}_knee"])
        pose[:, ankle] = turn(-angle[f"{side}_ankle"], np.zeros(n), sign * rng.normal(4, 6, n))
    bend, lean, twist = (
        angle.get("bend", rng.normal(6, 7, n)),
        rng.normal(0, 5, n),
        rng.normal(0, 9, n),
    )
    for joint, share in ((3, 0.35), (6, 0.3), (9, 0.35)):
        pose[:, joint] = turn(
            share * bend, share * lean, share * (twist + angle.get("counter", 0 * twist))
        )
    gestures = draw_gestures(rng, n, kind.arms)
    down = np.isin(gestures, ("phone", "lap", "clasped")).any(1) * rng.uniform(0, 30, n)
    nod, look = (
        rng.normal(6, 12, n) + down - 0.5 * angle.get("pitch", 0 * bend),
        rng.normal(0, 26, n),
    )
    for joint in (12, 15):
        pose[:, joint] = turn(0.5 * nod, 0.5 * rng.normal(0, 7, n), 0.5 * look)
    swing = np.stack(
        [angle.get("left_swing", np.zeros(n)), angle.get("right_swing", np.zeros(n))], axis=1
    )
    for column, sign in ((0, 1.0), (1, -1.0)):
        reach = angle.get("reach", np.full(n, np.nan))
        place_arm(rng, pose, gestures[:, column], swing[:, column], reach, sign, joints)
    return pose


def _leg(
    rng: np.random.Generator, n: int, side: str, **means: tuple[float, float]
) -> dict[str, FloatArray]:
    """Angles of one leg: name = (mean, spread); the knee never bends the wrong way."""
    default = {"yaw": (2.0, 4.0), "abduct": (4.0, 4.0), "flex": (3.0, 6.0), "twist": (6.0, 9.0)}
    default |= {"knee": (6.0, 6.0), "ankle": (2.0, 5.0)}
    angles = {f"{side}_{k}": rng.normal(*v, size=n) for k, v in (default | means).items()}
    angles[f"{side}_knee"] = np.clip(angles[f"{side}_knee"], 0, 155)
    return angles


def _legs(rng: np.random.Generator, n: int, **means: tuple[float, float]) -> dict[str, FloatArray]:
    return _leg(rng, n, "left", **means) | _leg(rng, n, "right", **means)


def _stand(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    angles = _legs(rng, n)
    relaxed = rng.random(n) < 0.4  # the weight on the other leg
    angles["left_knee"] += relaxed * rng.uniform(5, 35, n)
    angles["left_flex"] += relaxed * rng.uniform(0, 22, n)
    angles["left_abduct"] += relaxed * rng.uniform(0, 10, n)
    return angles


def _gait(
    rng: np.random.Generator,
    n: int,
    stride: FloatArray,
    knee_peak: float,
    lean: tuple[float, float],
) -> dict[str, FloatArray]:
    """All phases of a cycle: 0 = left heel strikes, pi = it leaves the ground."""
    phase = rng.uniform(0, 2 * np.pi, n)
    angles = _legs(rng, n, yaw=(0, 3), abduct=(2, 3), twist=(4, 6)) | {
        "pitch": rng.normal(*lean, size=n)
    }
    for side, offset in (("left", 0.0), ("right", np.pi)):
        here = (phase + offset) % (2 * np.pi)
        hump = np.exp(-(((here - 1.45 * np.pi) / 0.75) ** 2))
        load = np.exp(-(((here - 0.35 * np.pi) / 0.5) ** 2))
        angles[f"{side}_flex"] = 8 + 26 * stride * np.cos(here) + 12 * hump + rng.normal(0, 4, n)
        knee = 5 + knee_peak * np.sqrt(stride) * hump + 12 * load + rng.normal(0, 5, n)
        angles[f"{side}_knee"] = np.clip(knee, 0, 140)
        push = np.exp(-(((here - 1.1 * np.pi) / 0.4) ** 2))
        angles[f"{side}_ankle"] = 4 - 22 * push + rng.normal(0, 5, n)
        angles[f"{side}_swing"] = 4 - 28 * stride * np.cos(here)
    angles["counter"] = 8 * stride * np.cos(phase)
    return angles


def _walk(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    return _gait(rng, n, rng.uniform(0.25, 1.15, n), 55, (3, 3))


def _run(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    return _gait(rng, n, rng.uniform(1.0, 1.9, n), 75, (9, 5)) | {"reach": rng.uniform(0.6, 0.8, n)}


def _sit(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    angles = _legs(rng, n, flex=(88, 12), knee=(85, 22), yaw=(10, 10), abduct=(0, 3), twist=(0, 8))
    crossed = rng.random(n) < 0.12
    angles["left_flex"] += crossed * 18
    angles["left_yaw"] -= crossed * 22
    return angles | {"pitch": rng.normal(-6, 9, n), "bend": rng.normal(14, 14, n)}


def _crouch(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    angles = _legs(
        rng, n, flex=(105, 18), knee=(120, 20), yaw=(14, 12), abduct=(2, 4), ankle=(20, 10)
    )
    kneeling = rng.random(n) < 0.4
    angles["left_flex"] = np.where(kneeling, rng.normal(5, 12, n), angles["left_flex"])
    angles["left_knee"] = np.where(kneeling, rng.normal(95, 15, n), angles["left_knee"])
    return angles | {"pitch": rng.normal(14, 12, n), "bend": rng.normal(20, 14, n)}


def _bend(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    pitch = rng.uniform(10, 65, n)
    angles = _legs(rng, n, knee=(18, 16))
    for side in ("left", "right"):
        angles[f"{side}_flex"] += pitch + 0.4 * angles[f"{side}_knee"]
    return angles | {"pitch": pitch, "bend": rng.normal(28, 16, n)}


def _step_up(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    raised = rng.uniform(25, 100, n)
    angles = _legs(rng, n, knee=(12, 8))
    angles["left_flex"] = raised + rng.normal(0, 6, n)
    angles["left_knee"] = np.clip(raised * rng.uniform(0.4, 1.25, n), 0, 140)
    return angles | {"pitch": rng.normal(5, 6, n)}


def _stride(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """Legs anywhere within their limits: football, dancing, balancing."""
    return _legs(rng, n, flex=(22, 32), knee=(35, 30), abduct=(12, 14), yaw=(4, 10), twist=(4, 14))


_REST = {
    "hang": 6.0,
    "pocket": 2.0,
    "hip": 1.2,
    "folded": 1.2,
    "phone": 2.0,
    "ear": 0.5,
    "carry_front": 1.0,
}
_REST |= {"behind": 0.6, "wave": 0.7, "overhead": 0.6, "clasped": 1.0, "face": 0.6, "clap": 0.5}
_REST |= {"strap": 0.6, "railing": 0.5, "chin": 0.3, "point": 1.0, "any": 1.5}
_MOVING = {
    "swing": 9.0,
    "pocket": 0.8,
    "phone": 1.2,
    "carry_front": 0.8,
    "strap": 0.6,
    "ear": 0.4,
    "any": 1.0,
}
_MOVING |= {"hang": 1.0, "point": 0.5, "wave": 0.4}
_SEATED = {
    "lap": 6.0,
    "phone": 2.0,
    "folded": 1.0,
    "face": 0.6,
    "clasped": 1.0,
    "any": 1.5,
    "railing": 1.0,
}
_SEATED |= {"hang": 0.6, "clap": 0.5, "overhead": 0.4, "point": 0.4, "chin": 0.6}
_BUSY = {
    "any": 4.0,
    "carry_front": 2.0,
    "lap": 1.5,
    "railing": 1.5,
    "hang": 2.0,
    "point": 1.0,
    "hip": 0.5,
}

KINDS: dict[str, Kind] = {
    "stand": Kind(0.34, _stand, _REST),
    "walk": Kind(0.28, _walk, _MOVING),
    "run": Kind(0.06, _run, {"swing": 8.0, "any": 1.0}),
    "sit": Kind(0.10, _sit, _SEATED),
    "crouch": Kind(0.05, _crouch, _BUSY),
    "bend": Kind(0.06, _bend, _BUSY),
    "step_up": Kind(0.04, _step_up, _MOVING | {"railing": 1.0}),
    "stride": Kind(
        0.07, _stride, {"any": 6.0, "hang": 1.0, "overhead": 1.0, "wave": 1.0, "point": 2.0}
    ),
}
