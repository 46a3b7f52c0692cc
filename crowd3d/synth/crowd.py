"""Who stands where: groups, pairs, queues, walkers, seated rows, never two people in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from crowd3d.synth import poses
from crowd3d.synth.presets import Preset
from crowd3d.synth.world import BUILDING, PERSON_M, SEAT, TIER, TIER_DEPTH_M, World

FloatArray = npt.NDArray[np.float64]
Rng = np.random.Generator

CLEARANCE_M = 0.58  # least distance of two people's centres
_TRIES = 60  # places tried for each person before the crowd counts as full


@dataclass
class Cast:
    """Everyone in the scene, one row a person, in the ground frame.

    Attributes:
        position_m: (N, 2) x and z of the pelvis.
        level: (N,) index of the horizontal plane.
        yaw_rad: (N,) heading; 0 faces the viewer.
        stature_m: (N,); child, seated: (N,) bool.
        pose: (N, 24, 3) axis-angle, the root upright.
    """

    position_m: FloatArray
    level: npt.NDArray[np.int64]
    yaw_rad: FloatArray
    stature_m: FloatArray
    child: npt.NDArray[np.bool_]
    seated: npt.NDArray[np.bool_]
    pose: FloatArray

    def __len__(self) -> int:
        return len(self.level)


@dataclass
class _Places:
    """Places taken so far."""

    spots: list[tuple[float, float]] = field(default_factory=list)
    rows: list[tuple[float, float, int, float, bool, bool]] = field(default_factory=list)
    _tree: cKDTree | None = None
    _in_tree: int = 0

    def is_free(self, x: float, z: float, clearance_m: float) -> bool:
        if len(self.spots) - self._in_tree > 64:
            self._tree, self._in_tree = cKDTree(np.array(self.spots)), len(self.spots)
        if self._tree is not None and self._tree.query([x, z])[0] < clearance_m:
            return False
        return all(math.hypot(x - a, z - b) >= clearance_m for a, b in self.spots[self._in_tree :])

    def add(self, x: float, z: float, level: int, yaw: float, walks: bool, seated: bool) -> None:
        self.spots.append((x, z))
        self.rows.append((x, z, level, yaw, walks, seated))


def in_view(world: World, x: float, z: float, level: int = 0, margin: float = 0.0) -> bool:
    """Whether a person at a place is in the picture from head to foot (or nearly, by the margin)."""
    base = world.levels_m[level]
    pixels = world.view.project([[x, base, z], [x, base + PERSON_M, z]])
    size = np.array([world.view.camera.width, world.view.camera.height])
    inside = (pixels > -margin * size) & (pixels < (1 + margin) * size)
    return bool(np.isfinite(pixels).all() and inside.all())


def _spot(rng: Rng, world: World, power: float) -> tuple[float, float]:
    """A place in the view: its distance follows a power law, its bearing is even."""
    low, high = world.near_m ** (power + 1), world.reach_m ** (power + 1)
    distance = (low + (high - low) * rng.random()) ** (1 / (power + 1))
    half = math.tan(world.view.camera.fov_rad / 2) * (distance + 0.5 * world.view.height_m)
    return float(rng.uniform(-half, half)), -float(distance)


def _free_of_boxes(world: World, x: float, z: float) -> bool:
    boxes = world.boxes
    if world.rise_z is not None and z < world.rise_z + 0.8:
        return False
    if not len(boxes):
        return True
    # Yawed boxes are small; their half diagonal is enough.
    reach = boxes.half_m[:, [0, 2]].copy()
    turned = boxes.yaw_rad != 0
    reach[turned] = np.linalg.norm(reach[turned], axis=1, keepdims=True)
    gap = np.abs(boxes.center_m[:, [0, 2]] - [x, z]) - reach
    solid = boxes.kind != TIER
    return bool(np.all(gap.max(axis=1)[solid] > 0.45))


def _in_sight(world: World, x: float, z: float) -> bool:
    """Whether no building stands between the camera and a place."""
    walls = world.boxes.kind == BUILDING
    if not walls.any():
        return True
    along = np.linspace(0.02, 1.0, 48)[:, None, None] * np.array([x, z])
    gap = (
        np.abs(along - world.boxes.center_m[walls][:, [0, 2]])
        - world.boxes.half_m[walls][:, [0, 2]]
    )
    return bool(np.all(gap.max(axis=2) > 0.3))


def _cluster(
    rng: Rng, world: World, preset: Preset
) -> list[tuple[float, float, int, float, bool, bool]]:
    """One group of people as (x, z, level, yaw, walks, seated), wherever it may be."""
    kind = rng.choice(5, p=np.array(preset.activities) / sum(preset.activities))
    x, z = _spot(rng, world, preset.depth_power)
    yaw, walks = rng.uniform(-math.pi, math.pi), bool(rng.random() < preset.walking)
    if preset.sides and walks:
        yaw = float(rng.choice([0.0, math.pi]) + rng.normal(0, 0.15))
    along, across = (
        np.array([math.sin(yaw), math.cos(yaw)]),
        np.array([math.cos(yaw), -math.sin(yaw)]),
    )
    if kind == 0:
        return [(x, z, 0, yaw, walks, False)]
    if kind == 1:
        gap = rng.uniform(0.62, 0.85) / 2
        turn = 0.0 if walks else rng.uniform(0.2, 1.3)
        return [
            (
                x + s * gap * across[0],
                z + s * gap * across[1],
                0,
                yaw - s * turn + rng.normal(0, 0.1),
                walks,
                False,
            )
            for s in (-1.0, 1.0)
        ]
    if kind == 2:
        count = int(rng.integers(3, 7))
        radius = max(0.55, CLEARANCE_M * 1.15 / (2 * math.sin(math.pi / count))) * rng.uniform(
            1.0, 1.35
        )
        angles = (
            rng.uniform(0, 2 * math.pi)
            + np.arange(count) * 2 * math.pi / count
            + rng.normal(0, 0.12, count)
        )
        return [
            (
                x + radius * math.sin(a),
                z + radius * math.cos(a),
                0,
                a + math.pi + rng.normal(0, 0.35),
                False,
                False,
            )
            for a in angles
        ]
    if kind == 3:
        steps = np.cumsum(rng.uniform(0.7, 1.1, int(rng.integers(4, 11))))
        return [
            (
                x + s * along[0] + rng.normal(0, 0.07),
                z + s * along[1],
                0,
                yaw + rng.normal(0, 0.3),
                False,
                False,
            )
            for s in steps
        ]
    return _seated_row(rng, world, x, z, yaw)


def _seated_row(
    rng: Rng, world: World, x: float, z: float, yaw: float
) -> list[tuple[float, float, int, float, bool, bool]]:
    """A run of neighbours on one tier, or a bench on flat ground."""
    if world.rise_z is not None:
        level = int(rng.integers(1, len(world.levels_m)))
        edge = world.rise_z - (level - 1) * TIER_DEPTH_M
        places = x + 0.6 * np.arange(int(rng.integers(2, 9)))
        # Feet near the front edge of the step, pelvis on the seat behind them.
        return [(float(u), edge - 0.52, level, rng.normal(0, 0.15), False, True) for u in places]
    across = np.array([math.cos(yaw), -math.sin(yaw)])
    return [
        (
            x + 0.66 * k * across[0],
            z + 0.66 * k * across[1],
            0,
            yaw + rng.normal(0, 0.08),
            False,
            True,
        )
        for k in range(int(rng.integers(1, 4)))
    ]


def place_people(rng: Rng, world: World, preset: Preset, count: int) -> Cast:
    """A crowd of `count` people, or as many as find room."""
    taken = _Places()
    for _ in range(_TRIES * count):
        if len(taken.rows) >= count:
            break
        group = _cluster(rng, world, preset)
        margin = 0.02 if rng.random() < 0.06 else -0.004
        fits = all(
            in_view(world, x, z, level, margin)
            and (level > 0 or (_free_of_boxes(world, x, z) and _in_sight(world, x, z)))
            and taken.is_free(x, z, CLEARANCE_M if not walks else 1.15 * CLEARANCE_M)
            for x, z, level, _, walks, _ in group
        )
        if fits and _apart(group):
            for row in group[: count - len(taken.rows)]:
                taken.add(*row)
    return _cast(rng, preset, taken.rows)


def _apart(group: list[tuple[float, float, int, float, bool, bool]]) -> bool:
    places = np.array([[x, z] for x, z, *_ in group])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(len(places))
    return bool(gaps.min() >= CLEARANCE_M)


def _cast(
    rng: Rng, preset: Preset, rows: list[tuple[float, float, int, float, bool, bool]]
) -> Cast:
    count = len(rows)
    child = (rng.random(count) < preset.children) & ~np.array([r[5] for r in rows], bool)
    male = rng.random(count) < 0.5
    adult = np.where(male, rng.normal(1.75, 0.07, count), rng.normal(1.63, 0.065, count))
    stature = np.where(child, rng.uniform(1.0, 1.5, count), np.clip(adult, 1.46, 1.98))
    pose = np.zeros((count, 24, 3))
    for i, (_, _, _, _, walks, seated) in enumerate(rows):
        make = poses.sitting if seated else poses.walking if walks else poses.standing
        pose[i] = make(rng)
    table = np.array([r[:4] for r in rows], np.float64).reshape(-1, 4)
    return Cast(
        position_m=table[:, :2],
        level=table[:, 2].astype(np.int64),
        yaw_rad=table[:, 3],
        stature_m=stature,
        child=child,
        seated=np.array([r[5] for r in rows], bool),
        pose=pose,
    )


def seats(
    cast: Cast, world: World, seat_height_m: FloatArray
) -> list[tuple[FloatArray, FloatArray, float, int, str]]:
    """A seat under everyone who sits, as rows for `world.add_boxes`.

    Args:
        seat_height_m: (N,) height of the underside of the thighs above the person's plane.
    """
    found: list[tuple[FloatArray, FloatArray, float, int, str]] = []
    for i in np.flatnonzero(cast.seated):
        x, z = cast.position_m[i]
        base, yaw = world.levels_m[cast.level[i]], float(cast.yaw_rad[i])
        top = float(seat_height_m[i])
        back = np.array([math.sin(yaw), 0.0, math.cos(yaw)]) * 0.04
        if cast.level[i] == 0:
            center, half = np.array([x, base + top / 2, z]) + back, np.array([0.33, top / 2, 0.24])
        else:
            center, half = np.array([x, base + top - 0.03, z]) + back, np.array([0.22, 0.03, 0.20])
        found.append((center, half, yaw, SEAT, "8f8d87" if cast.level[i] == 0 else "2f4f86"))
    return found


__all__ = ["CLEARANCE_M", "Cast", "in_view", "place_people", "seats"]
