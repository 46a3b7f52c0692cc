"""Makes arm gestures: where the wrist is, and the inverse kinematics that brings it there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

FloatArray = npt.NDArray[np.float64]

# Wrist target from the shoulder, in arm lengths, chest frame: outward, up, forward; its spread;
# elbow's side.
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


def draw_gestures(
    rng: np.random.Generator, n: int, chances: dict[str, float]
) -> npt.NDArray[np.str_]:
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


def place_arm(
    rng: np.random.Generator,
    pose: FloatArray,
    gestures: npt.NDArray[np.str_],
    swing: FloatArray,
    reach: FloatArray,
    sign: float,
    joints: FloatArray,
) -> None:
    """Fill collar, shoulder, elbow and wrist of one side so that the wrist meets its target."""
    n = len(pose)
    collar, shoulder, elbow, wrist = (13, 16, 18, 20) if sign > 0 else (14, 17, 19, 21)
    target, pole = _wrist_targets(rng, gestures, swing, reach)
    # The shoulder blade follows the arm.
    lift = np.clip(40 * target[:, 1] + 12, 0, 30) + rng.normal(0, 4, n)
    to_side = np.array([sign, 1, 1])
    pose[:, collar] = turn(np.zeros(n), sign * lift, sign * rng.normal(0, 6, n))
    target, pole = (np.einsum("nji,nj->ni", pose[:, collar], v * to_side) for v in (target, pole))
    upper = float(np.linalg.norm(joints[elbow] - joints[shoulder]))
    lower = float(np.linalg.norm(joints[wrist] - joints[elbow]))
    pose[:, shoulder], flex = two_bone(target * (upper + lower), pole, upper, lower, sign)
    pose[:, elbow] = about("y", -sign * np.degrees(flex)) @ about("x", rng.normal(0, 20, n))
    pose[:, wrist] = turn(rng.normal(0, 15, n), rng.normal(0, 14, n), rng.normal(0, 10, n))


def _wrist_targets(
    rng: np.random.Generator, gestures: npt.NDArray[np.str_], swing: FloatArray, reach: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Wrist from the shoulder in arm lengths, and the elbow's side; (n, 3) outward, up, forward."""
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
        target: (n, 3) wrist from the shoulder, frame of the collar, metres; out of reach is pulled
            in.
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


def about(axis: str, degrees: FloatArray) -> FloatArray:
    """(n, 3, 3) turns about "x", "y" or "z" by angles (n,)."""
    return np.asarray(Rotation.from_euler(axis, degrees[:, None], degrees=True).as_matrix())


def turn(x: FloatArray, z: FloatArray, y: FloatArray) -> FloatArray:
    """Turn by y, then z, then x about the body's own axes."""
    return about("y", y) @ about("z", z) @ about("x", x)
