"""Everyday poses by rule: what people in a crowd do and motion capture of a gymnasium does not show.

Legs come from joint angles within human limits, arms from where the wrist is (a pocket, a phone, a railing) by
two-bone inverse kinematics. All angles in degrees here, because anatomy speaks degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

FloatArray = npt.NDArray[np.float64]

# Wrist target from the shoulder, in arm lengths, chest frame: outward, up, forward; its spread; elbow's side.
_ARMS: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "hang": ((0.13, -0.96, 0.05), (0.07, 0.03, 0.12), (0.5, 0.0, -1.0)),
    "pocket": ((0.12, -0.86, 0.08), (0.06, 0.05, 0.10), (1.0, 0.0, -0.7)),
    "hip": ((0.12, -0.70, 0.02), (0.06, 0.06, 0.08), (1.0, 0.0, -0.5)),
    "folded": ((-0.45, -0.42, 0.42), (0.08, 0.08, 0.06), (0.6, -1.0, 0.0)),
    "phone": ((-0.22, -0.30, 0.58), (0.14, 0.16, 0.12), (0.5, -1.0, -0.2)),
    "ear": ((0.08, 0.24, 0.16), (0.06, 0.07, 0.08), (0.8, -1.0, 0.3)),
    "carry_front": ((-0.10, -0.55, 0.55), (0.14, 0.13, 0.12), (0.5, -1.0, -0.4)),
    "behind": ((-0.28, -0.72, -0.26), (0.09, 0.09, 0.06), (1.0, 0.0, -0.3)),
    "wave": ((0.25, 0.50, 0.32), (0.20, 0.24, 0.20), (1.0, -0.6, 0.0)),
    "overhead": ((0.08, 0.86, 0.12), (0.22, 0.12, 0.22), (1.0, 0.0, 0.2)),
    "clasped": ((-0.33, -0.80, 0.30), (0.05, 0.07, 0.07), (1.0, 0.0, -0.4)),
    "face": ((-0.24, 0.20, 0.38), (0.10, 0.10, 0.07), (0.6, -1.0, 0.2)),
    "lap": ((-0.02, -0.66, 0.48), (0.10, 0.08, 0.13), (0.8, -0.4, -0.6)),
    "clap": ((-0.32, -0.20, 0.60), (0.04, 0.16, 0.10), (0.8, -1.0, 0.0)),
    "strap": ((-0.12, -0.14, 0.28), (0.06, 0.08, 0.06), (0.5, -1.0, -0.2)),
    "railing": ((0.05, -0.60, 0.66), (0.14, 0.12, 0.12), (0.8, -0.5, -0.4)),
    "chin": ((-0.36, 0.05, 0.30), (0.06, 0.06, 0.06), (0.4, -1.0, 0.3)),
}
_PAIRED = {
    "folded",
    "clasped",
    "behind",
    "overhead",
    "clap",
    "carry_front",
    "lap",
    "phone",
    "railing",
}


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
    pose[:, 0] = _turn(angle.get("pitch", rng.normal(2, 4, n)), rng.normal(0, 2.5, n), np.zeros(n))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hip, knee, ankle = (1, 4, 7) if side == "left" else (2, 5, 8)
        yaw, abduct, flex, twist = (
            angle[f"{side}_{what}"] for what in ("yaw", "abduct", "flex", "twist")
        )
        pose[:, hip] = _about("y", sign * yaw) @ _about("z", sign * abduct) @ _about("x", -flex)
        pose[:, hip] = pose[:, hip] @ _about("y", sign * twist)
        pose[:, knee] = _about("x", angle[f"{side}_knee"])
        pose[:, ankle] = _turn(-angle[f"{side}_ankle"], np.zeros(n), sign * rng.normal(4, 6, n))
    bend, lean, twist = (
        angle.get("bend", rng.normal(6, 7, n)),
        rng.normal(0, 5, n),
        rng.normal(0, 9, n),
    )
    for joint, share in ((3, 0.35), (6, 0.3), (9, 0.35)):
        pose[:, joint] = _turn(
            share * bend, share * lean, share * (twist + angle.get("counter", 0 * twist))
        )
    gestures = _gestures(rng, n, kind.arms)
    down = np.isin(gestures, ("phone", "lap", "clasped")).any(1) * rng.uniform(0, 30, n)
    nod, look = (
        rng.normal(6, 12, n) + down - 0.5 * angle.get("pitch", 0 * bend),
        rng.normal(0, 26, n),
    )
    for joint in (12, 15):
        pose[:, joint] = _turn(0.5 * nod, 0.5 * rng.normal(0, 7, n), 0.5 * look)
    swing = np.stack(
        [angle.get("left_swing", np.zeros(n)), angle.get("right_swing", np.zeros(n))], axis=1
    )
    for column, sign in ((0, 1.0), (1, -1.0)):
        reach = angle.get("reach", np.full(n, np.nan))
        _place_arm(rng, pose, gestures[:, column], swing[:, column], reach, sign, joints)
    return pose


def _gestures(rng: np.random.Generator, n: int, chances: dict[str, float]) -> npt.NDArray[np.str_]:
    """(n, 2) gesture of the left and right arm; some come in pairs."""
    names = np.array(list(chances))
    weight = np.array(list(chances.values()))
    both = rng.choice(names, (n, 2), p=weight / weight.sum())
    paired = np.isin(both[:, 0], list(_PAIRED)) & (rng.random(n) < 0.75)
    both[paired, 1] = both[paired, 0]
    symmetric = rng.random(n) < 0.3
    both[symmetric, 1] = both[symmetric, 0]
    order = rng.random(n) < 0.5
    both[order] = both[order][:, ::-1]
    return np.asarray(both)


def _place_arm(
    rng: np.random.Generator,
    pose: FloatArray,
    gestures: npt.NDArray[np.str_],
    swing: FloatArray,
    reach: FloatArray,
    sign: float,
    joints: FloatArray,
) -> None:
    """Fill collar, shoulder, elbow and wrist of one side so that the wrist is where the gesture wants it."""
    n = len(pose)
    collar, shoulder, elbow, wrist = (13, 16, 18, 20) if sign > 0 else (14, 17, 19, 21)
    target, pole = _wrist_targets(rng, gestures, swing, reach)
    lift = np.clip(40 * target[:, 1] + 12, 0, 30) + rng.normal(
        0, 4, n
    )  # the shoulder blade follows the arm
    to_side = np.array([sign, 1, 1])
    pose[:, collar] = _turn(np.zeros(n), sign * lift, sign * rng.normal(0, 6, n))
    target, pole = (np.einsum("nji,nj->ni", pose[:, collar], v * to_side) for v in (target, pole))
    upper = float(np.linalg.norm(joints[elbow] - joints[shoulder]))
    lower = float(np.linalg.norm(joints[wrist] - joints[elbow]))
    pose[:, shoulder], flex = two_bone(target * (upper + lower), pole, upper, lower, sign)
    pose[:, elbow] = _about("y", -sign * np.degrees(flex)) @ _about("x", rng.normal(0, 20, n))
    pose[:, wrist] = _turn(rng.normal(0, 15, n), rng.normal(0, 14, n), rng.normal(0, 10, n))


def _wrist_targets(
    rng: np.random.Generator, gestures: npt.NDArray[np.str_], swing: FloatArray, reach: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(n, 3) wrist from the shoulder in arm lengths and (n, 3) direction the elbow goes; outward, up, forward."""
    n = len(gestures)
    target, pole = np.empty((n, 3)), np.empty((n, 3))
    for name, (mean, spread, side) in _ARMS.items():
        at = gestures == name
        target[at] = np.array(mean) + rng.normal(size=(at.sum(), 3)) * spread
        pole[at] = side
    at = (gestures == "point") | (gestures == "any")
    direction = rng.normal(size=(at.sum(), 3)) + np.array((0.3, -0.1, 0.8))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    far = np.where(
        gestures[at] == "point", rng.uniform(0.9, 0.99, at.sum()), rng.uniform(0.35, 0.99, at.sum())
    )
    target[at], pole[at] = direction * far[:, None], (0.8, -0.8, -0.4)
    at = gestures == "swing"
    radians = np.radians(swing[at] + rng.normal(0, 5, at.sum()))
    along = np.stack([rng.normal(0.12, 0.07, at.sum()), -np.cos(radians), np.sin(radians)], axis=1)
    far = np.where(np.isnan(reach[at]), rng.uniform(0.9, 0.99, at.sum()), reach[at])
    target[at], pole[at] = along * far[:, None], (0.35, -0.3, -1.0)
    return target, pole + rng.normal(0, 0.25, (n, 3))


def two_bone(
    target: FloatArray, pole: FloatArray, upper: float, lower: float, sign: float
) -> tuple[FloatArray, FloatArray]:
    """Shoulder rotation and elbow flexion that bring the wrist to a target.

    Args:
        target: (n, 3) wrist from the shoulder, frame of the collar, metres; out of reach is pulled in.
        pole: (n, 3) side to which the elbow goes.
        upper, lower: bone lengths.
        sign: +1 left (rest along +x, bends about -y), -1 right.

    Returns:
        (n, 3, 3) rotation of the upper arm and (n,) flexion in radians.
    """
    distance = np.linalg.norm(target, axis=1)
    along = target / np.maximum(distance, 1e-9)[:, None]
    distance = np.clip(distance, 1.02 * abs(upper - lower) + 0.25 * lower, 0.995 * (upper + lower))
    inner = np.arccos((upper**2 + distance**2 - lower**2) / (2 * upper * distance))
    flex = np.pi - np.arccos((upper**2 + lower**2 - distance**2) / (2 * upper * lower))
    aside = pole - (pole * along).sum(1, keepdims=True) * along
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    arm = np.cos(inner)[:, None] * along + np.sin(inner)[:, None] * aside
    hinge = np.cross(arm, along)
    hinge /= np.linalg.norm(hinge, axis=1, keepdims=True)
    frame = np.stack([arm, hinge, np.cross(arm, hinge)], axis=-1)
    rest = np.stack([(sign, 0, 0), (0, -sign, 0), np.cross((sign, 0, 0), (0, -sign, 0))], axis=-1)
    return frame @ rest.T, flex


def _about(axis: str, degrees: FloatArray) -> FloatArray:
    return np.asarray(Rotation.from_euler(axis, degrees[:, None], degrees=True).as_matrix())


def _turn(x: FloatArray, z: FloatArray, y: FloatArray) -> FloatArray:
    """Turn by y, then z, then x about the body's own axes."""
    return _about("y", y) @ _about("z", z) @ _about("x", x)


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
