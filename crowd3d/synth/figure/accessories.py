"""What hangs on a figure: hems, skirts, long hair, hats, backpacks and bags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from crowd3d.synth.cast import outfits as wear
from crowd3d.synth.cast.outfits import Outfits
from crowd3d.synth.figure.meshes import Mesh, pillow, tube

FloatArray = npt.NDArray[np.float32]

BODY, TOP, BOTTOM, HAIR, HAT, BAG = range(6)  # materials
HAT_Y = 0.655

_HEAD_JOINT, _CHEST_JOINT, _HANDS = 15, 9, (22, 23)
_LEFT = [1, 4, 7, 10]
_RIGHT = [2, 5, 8, 11]


@dataclass
class Part:
    """A loose mesh on the resting body.

    Attributes:
        rest_m: (V, 3) the same places on the mean template.
        material: its code.
        joint: the joint it follows rigidly; None = the body around it.
        hangs: how much the two legs share their motion, as a skirt makes them.
    """

    mesh: Mesh
    rest_m: FloatArray
    material: int
    joint: int | None = None
    hangs: float = 0.0

    def soften(self, weights: FloatArray) -> FloatArray:
        """(V, 24) weights with the legs' motion partly shared."""
        if self.hangs == 0:
            return weights
        shared = weights.copy()
        for a, b in zip(_LEFT, _RIGHT, strict=True):
            mean = (weights[:, a] + weights[:, b]) / 2
            shared[:, a] += self.hangs * (mean - weights[:, a])
            shared[:, b] += self.hangs * (mean - weights[:, b])
        return shared


def _girth(
    cloth: FloatArray, rest: FloatArray, heights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Centres (R, 3) and half axes (R, 2) of the trunk and thighs at heights of the template."""
    centers, radii = [], []
    trunk = np.abs(rest[:, 0]) < 0.2
    for y in heights:
        near = cloth[trunk & (np.abs(rest[:, 1] - y) < 0.035)]
        low, high = near.min(axis=0), near.max(axis=0)
        centers.append([(low[0] + high[0]) / 2, near[:, 1].mean(), (low[2] + high[2]) / 2])
        radii.append([(high[0] - low[0]) / 2, (high[2] - low[2]) / 2])
    return np.array(centers, np.float32), np.array(radii, np.float32)


def _around_body(
    cloth: FloatArray,
    rest: FloatArray,
    top_y: float,
    end_y: float,
    gap_m: float,
    flare: float,
    material: int,
    hangs: float,
) -> Part:
    """A tube of cloth around trunk and legs: it starts inside the cloth and hangs free below the hips."""
    heights = np.linspace(top_y, end_y, 9).astype(np.float32)
    center, radius = _girth(cloth, rest, heights)
    drop = np.linspace(0, 1, 9, dtype=np.float32)[:, None]
    radius = np.maximum.accumulate(radius, axis=0) * (1 + flare * drop) + gap_m * (
        2.2 * drop**0.5 - 0.5
    )
    mesh = tube(center, radius, 28)
    middle, girth = _girth(rest, rest, heights)
    middle[:, 1] = heights
    on_rest = tube(middle, np.maximum.accumulate(girth, axis=0), 28).vertices
    return Part(mesh, on_rest, material, hangs=hangs)


def worn(cloth: FloatArray, rest: FloatArray, outfits: Outfits, i: int) -> list[Part]:
    """Loose parts of person i, on the resting body `cloth` (V, 3)."""
    parts = []
    gap = float(outfits.loose_top_m[i])
    if outfits.skirt_y[i] < wear.CROTCH_Y:
        material = TOP if outfits.coat[i] else BOTTOM
        flare = 0.18 if not outfits.opening[i] else 0.08
        parts.append(
            _around_body(cloth, rest, 0.14, float(outfits.skirt_y[i]), 0.008, flare, material, 0.55)
        )
    if not outfits.tucked[i] and not (outfits.coat[i] and outfits.skirt_y[i] < wear.CROTCH_Y):
        parts.append(
            _around_body(
                cloth, rest, 0.16, float(outfits.hem_y[i]), 0.35 * gap + 0.003, 0.02, TOP, 0.3
            )
        )
    scale = float(np.ptp(cloth[:, 1]) / np.ptp(rest[:, 1]))
    head = cloth[(rest[:, 1] > 0.60)]
    middle = (head.min(axis=0) + head.max(axis=0)) / 2
    shift = middle - np.array([0.0, 0.66, 0.06], np.float32)
    size = float(np.ptp(head[:, 0])) / 0.16
    if outfits.hair_end_y[i] < 0.5:
        parts.append(_long_hair(float(outfits.hair_end_y[i]), shift, size))
    if outfits.hat_kind[i] in (wear.CAP, wear.BRIM):
        parts.append(_brim(bool(outfits.hat_kind[i] == wear.BRIM), shift, size))
    if outfits.bag_kind[i] == wear.BACKPACK:
        back = cloth[(np.abs(rest[:, 1] - 0.25) < 0.05) & (np.abs(rest[:, 0]) < 0.12)][:, [1, 2]]
        center = np.array([0.0, back[:, 0].mean() - 0.02, back[:, 1].min() - 0.065 * scale])
        mesh = pillow(center, np.array([0.145, 0.20, 0.085]) * scale, 0.45)
        parts.append(Part(mesh, mesh.vertices, BAG, joint=_CHEST_JOINT))
    if outfits.bag_kind[i] == wear.SHOULDER_BAG:
        side = 1.0 if outfits.wrinkle_seed[i] > 0.5 else -1.0
        hip = float(
            np.abs(
                cloth[(np.abs(rest[:, 1] + 0.05) < 0.05) & (np.abs(rest[:, 0]) < 0.2)][:, 0]
            ).max()
        )
        mesh = pillow(
            [side * (hip + 0.055), -0.06 * scale, 0.01], np.array([0.05, 0.11, 0.145]) * scale, 0.4
        )
        parts.append(Part(mesh, mesh.vertices, BAG, joint=0))
    return parts


def _long_hair(end_y: float, shift: FloatArray, size: float) -> Part:
    """A curtain from ear to ear behind the head, falling to the shoulders or below."""
    heights = np.linspace(0.69, end_y, 9).astype(np.float32)
    t = np.linspace(0, 1, 9, dtype=np.float32)
    bulge = np.sqrt(np.clip(1 - ((heights - 0.60) / 0.115) ** 2, 0.35, 1))
    center = np.stack([0 * t, heights, 0.045 - 0.012 * t], axis=1)
    below = heights < 0.6
    radius = np.stack([0.098 * bulge + 0.012 * t, np.where(below, 0.10, 0.105 * bulge)], axis=1)
    mesh = tube(center, radius.astype(np.float32) * size, 22, (0.55 * np.pi, 1.45 * np.pi))
    rest = mesh.vertices.copy()
    return Part(Mesh(mesh.vertices + shift, mesh.faces), rest, HAIR)


def _brim(round_brim: bool, shift: FloatArray, size: float) -> Part:
    """The brim of a hat or the peak of a cap."""
    arc = None if round_brim else (-0.36 * np.pi, 0.36 * np.pi)
    wide = 0.145 if round_brim else 0.160
    center = np.array([[0, 0.668, 0.062], [0, 0.657, 0.062], [0, 0.642, 0.066]], np.float32)
    radius = np.array(
        [[0.078, 0.098], [0.12, 0.14], [wide * 0.75 if not round_brim else wide, wide + 0.02]],
        np.float32,
    )
    mesh = tube(center, radius * size, 28, arc)
    rest = mesh.vertices.copy()
    return Part(Mesh(mesh.vertices + shift, mesh.faces), rest, HAT, joint=_HEAD_JOINT)


def held(
    joints_m: npt.NDArray[np.float64], root: npt.NDArray[np.float64], outfits: Outfits, i: int
) -> list[tuple[Mesh, int]]:
    """Things in a hand or pushed by both, already in the ground frame."""
    side = int(outfits.wrinkle_seed[i] > 0.5)
    hand, other = joints_m[_HANDS[side]], joints_m[_HANDS[1 - side]]
    found = []
    if outfits.bag_kind[i] == wear.SHOPPING:
        found += _bag_in_hand(joints_m, root, hand)
    gear = outfits.gear[i]
    if gear == wear.UMBRELLA:
        found += _umbrella(joints_m, other, float(outfits.wrinkle_seed[i]))
    elif gear == wear.PHONE:
        upper = hand if hand[1] > other[1] else other
        found.append((_turned([0, 0.03, 0.02], [0.04, 0.08, 0.006], 0.3, root, upper), BAG))
    elif gear == wear.PRAM:
        found += _pram(joints_m, root)
    return found


def _turned(
    center: npt.ArrayLike,
    half: npt.ArrayLike,
    roundness: float,
    root: npt.NDArray[np.float64],
    place_m: npt.NDArray[np.float64],
) -> Mesh:
    """A pillow, turned like somebody's root and moved to a place."""
    mesh = pillow(center, half, roundness)
    vertices = Rotation.from_rotvec(root).apply(mesh.vertices) + place_m
    return Mesh(vertices.astype(np.float32), mesh.faces)


def _bag_in_hand(
    joints_m: npt.NDArray[np.float64],
    root: npt.NDArray[np.float64],
    hand: npt.NDArray[np.float64],
) -> list[tuple[Mesh, int]]:
    if hand[1] > joints_m[0, 1] + 0.15:
        return []
    low = min(0.17, (hand[1] - joints_m[:, 1].min() - 0.08) / 2)
    if low < 0.05:
        return []
    return [(_turned([0, -low - 0.05, 0], [0.045, low, 0.13], 0.3, root, hand), BAG)]


def _umbrella(
    joints_m: npt.NDArray[np.float64], hand: npt.NDArray[np.float64], look: float
) -> list[tuple[Mesh, int]]:
    """A canopy above the head, tilted a little, and its stick from the hand."""
    head = joints_m[_HEAD_JOINT]
    t = np.linspace(0, 1, 6, dtype=np.float32)
    radius = 0.42 + 0.13 * look
    drop = 0.20 * t**2
    rings = tube(
        np.stack([0 * t, -drop, 0 * t], axis=1), np.stack([radius * t + 0.005] * 2, axis=1), 16
    )
    tilt = Rotation.from_euler("xz", [0.5 * look - 0.25, 0.3 * (2 * look - 1)])
    top = np.array([0.6 * head[0] + 0.4 * hand[0], head[1] + 0.42, 0.6 * head[2] + 0.4 * hand[2]])
    canopy = Mesh((tilt.apply(rings.vertices) + top).astype(np.float32), rings.faces)
    along = np.linspace(0, 1, 4)[:, None]
    line = (top + along * (hand - top)).astype(np.float32)
    return [(canopy, HAT), (tube(line, np.full((4, 2), 0.01, np.float32), 6), BAG)]


def _pram(
    joints_m: npt.NDArray[np.float64], root: npt.NDArray[np.float64]
) -> list[tuple[Mesh, int]]:
    """A pram before somebody: a carrycot with a hood, wheels below."""
    ground = joints_m[:, 1].min() - 0.05
    place = np.array([joints_m[0, 0], ground, joints_m[0, 2]])
    parts: list[tuple[list[float], list[float], float, int]] = [
        ([0, 0.62, 0.85], [0.2, 0.16, 0.40], 0.45, HAT),
        ([0, 0.85, 1.08], [0.2, 0.17, 0.18], 0.8, HAT),
        ([0, 0.95, 0.38], [0.22, 0.02, 0.02], 0.5, BAG),
        ([0.2, 0.78, 0.5], [0.015, 0.17, 0.15], 0.5, BAG),
        ([-0.2, 0.78, 0.5], [0.015, 0.17, 0.15], 0.5, BAG),
    ]
    parts += [
        ([x, 0.13, z], [0.025, 0.13, 0.13], 1.0, BAG) for x in (-0.22, 0.22) for z in (0.6, 1.1)
    ]
    return [
        (_turned(center, half, roundness, root, place), code)
        for center, half, roundness, code in parts
    ]
