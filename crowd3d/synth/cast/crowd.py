"""Who stands where: groups, pairs, queues, walkers, seated rows, never two people in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from crowd3d.synth.cast import poses, raised
from crowd3d.synth.cast.everyone import Cast
from crowd3d.synth.cast.riders import with_riders
from crowd3d.synth.cast.spot import Spot
from crowd3d.synth.cast.squares import Square, sample_squares
from crowd3d.synth.place.boxes import BUILDING, PARASOL, SEAT, TERRACE, TIER, Box
from crowd3d.synth.place.preset import Preset
from crowd3d.synth.place.view import View, ground_distance_m
from crowd3d.synth.place.world import PERSON_M, World

FloatArray = npt.NDArray[np.float64]
Rng = np.random.Generator

_NEAREST_M = 0.6  # nobody stands nearer to the camera
_NEAR_POWER = 4  # most crowds begin at the picture's lower border, some far away
_WIDE = 2.0  # a crowd that does not fill the view is at most so many times as wide as deep
_TOGETHER_SD_RAD = 0.3
_TRUNK_M = 1.0  # above the ground
_TRIES = 60  # places tried for each person before the crowd counts as full
# Least distance to where a level ends; nobody stands right before or on the edge of a step.
_EDGE_M = {
    "stands": 0.8,
    "tribune": 0.8,
    "terraces": 0.45,
    "beside": 0.45,
    "stage": 0.45,
    "stairs": 0.1,
    "slope": 0.3,
}


@dataclass
class _Places:
    """Places taken so far."""

    rows: list[Spot] = field(default_factory=list)
    _tree: cKDTree | None = None
    _in_tree: int = 0

    def is_free(self, x: float, z: float, clearance_m: float) -> bool:
        if len(self.rows) - self._in_tree > 64:
            spots = np.array([row[:2] for row in self.rows])
            self._tree, self._in_tree = cKDTree(spots), len(spots)
        if self._tree is not None and self._tree.query([x, z])[0] < clearance_m:
            return False
        recent = self.rows[self._in_tree :]
        return all(math.hypot(x - row.x, z - row.z) >= clearance_m for row in recent)


def in_view(world: World, x: float, z: float, level: int = 0, margin: float = 0.0) -> bool:
    """Whether a person at a place is in the picture from head to foot (or nearly, by the margin)."""
    base = world.floor_m(x, z, level)
    pixels = world.view.project([[x, base, z], [x, base + PERSON_M, z]])
    size = np.array([world.view.camera.width, world.view.camera.height])
    inside = (pixels > -margin * size) & (pixels < (1 + margin) * size)
    return bool(np.isfinite(pixels).all() and inside.all())


def free_of_boxes(world: World, x: float, z: float) -> bool:
    """Whether a place is clear of buildings, seats and posts, and of the edges of levels and tiers."""
    boxes = world.boxes
    if world.level_at(x, z, _EDGE_M.get(world.terrain, 0.0)) < 0:
        return False
    solid = ~np.isin(boxes.kind, (TIER, TERRACE, PARASOL))
    gap = np.abs(boxes.center_m[:, [0, 2]] - [x, z]) - boxes.reach_m()
    return bool(np.all(gap.max(axis=1)[solid] > 0.45))


def _in_sight(world: World, x: float, z: float) -> bool:
    """Whether no building and no hill stands between the camera and somebody's trunk at a place."""
    if world.land is not None:
        share, eye = np.linspace(0.02, 0.98, 96), world.view.height_m
        sight = eye + share * (world.floor_m(x, z, 0) + _TRUNK_M - eye)
        if (world.land.heights_m(share * x, share * z) > sight).any():
            return False
    walls = world.boxes.kind == BUILDING
    if not walls.any():
        return True
    along = np.linspace(0.02, 1.0, 48)[:, None, None] * np.array([x, z])
    gap = (
        np.abs(along - world.boxes.center_m[walls][:, [0, 2]])
        - world.boxes.half_m[walls][:, [0, 2]]
    )
    return bool(np.all(gap.max(axis=2) > 0.3))


class _Reach(NamedTuple):
    """The part of the view in which people are.

    Attributes:
        view: the camera.
        near_m, far_m: distances between which they are.
        power: they are spread over the distances by this power law.
        width: of the crowd, in widths of the view.
    """

    view: View
    near_m: float
    far_m: float
    power: float
    width: float = 1.0

    @classmethod
    def of(cls, rng: Rng, world: World, preset: Preset, count: int) -> _Reach:
        """All the view; or, for a crowd of a density, as much of it as `count` people fill, somewhere in it."""
        if preset.density is None:
            return cls(world.view, world.near_m, world.reach_m, preset.depth_power)
        if world.view.sees_around:
            area_m2 = count / float(rng.uniform(*preset.density))
            radius = math.sqrt(world.near_m**2 + area_m2 / math.pi)
            return cls(world.view, world.near_m, min(radius, world.reach_m), preset.depth_power)
        camera, height = world.view.camera, world.view.height_m
        near = world.near_m
        below = world.view.rays([camera.width / 2, camera.height * (1 + preset.overflow)])
        ground = world.levels_m[0]
        if below @ ground.normal < 0:
            near = max(_NEAREST_M, min(near, ground_distance_m(world.view, below, ground)))
        tangent, width = math.tan(camera.fov_rad / 2), 1 + preset.overflow

        def area(far: float) -> float:  # of a trapezium that is as wide as `anywhere` has it
            return tangent * width * far * (far + height)

        def distance(area_m2: float) -> float:
            return math.sqrt(max(0.0, area_m2) / (tangent * width) + height**2 / 4) - height / 2

        needed = count / float(rng.uniform(*preset.density))
        last = max(near, distance(area(world.reach_m) - needed))
        near += (last - near) * float(rng.random()) ** _NEAR_POWER
        # Too few for the whole width are a crowd of some depth all the same, and no line.
        deep = math.sqrt(needed / _WIDE)
        share = min(1.0, needed / (area(near + deep) - area(near)))
        far = min(distance(area(near) + needed / share), world.reach_m)
        return cls(world.view, near, far, preset.depth_power, width * share)

    def anywhere(self, rng: Rng) -> tuple[float, float]:
        """A place: its distance follows the power law, its bearing is even; or evenly all around."""
        if self.view.sees_around:
            distance = math.sqrt(rng.uniform(self.near_m**2, self.far_m**2))
            bearing = rng.uniform(-math.pi, math.pi)
            return distance * math.sin(bearing), -distance * math.cos(bearing)
        low, high = (end ** (self.power + 1) for end in (self.near_m, self.far_m))
        distance = (low + (high - low) * rng.random()) ** (1 / (self.power + 1))
        half = math.tan(self.view.camera.fov_rad / 2) * (distance + 0.5 * self.view.height_m)
        half *= self.width
        return self.view.on_map(float(rng.uniform(-half, half)), float(distance))


def _cluster(
    rng: Rng, world: World, preset: Preset, reach: _Reach, squares: list[Square]
) -> list[Spot]:
    """One group of people, on one of the squares, or wherever it may be if there are none."""
    kind = rng.choice(5, p=np.array(preset.activities) / sum(preset.activities))
    if preset.aloft and rng.random() < preset.aloft:
        x, z = raised.up_there(rng, world)
    elif squares:
        x, z = squares[rng.integers(len(squares))].anywhere(rng)
    else:
        x, z = reach.anywhere(rng)
    yaw, walks = rng.uniform(-math.pi, math.pi), bool(rng.random() < preset.walking)
    if preset.sides and walks:
        yaw = float(rng.choice([0.0, math.pi]) + rng.normal(0, 0.15))
    if kind == 4:
        if raised.has_rows(world):
            return raised.row_of_neighbours(rng, world, x, preset.on_feet)
        return _bench(rng, world, x, z, yaw)
    if kind == 0:
        group = [Spot(x, z, 0, yaw, walks)]
    elif kind == 1:
        group = _pair(rng, x, z, yaw, walks)
    elif kind == 2:
        group = _circle(rng, x, z, preset.clearance_m)
    else:
        group = _queue(rng, x, z, yaw)
    group = [raised.on_level(world, spot) for spot in group]
    if world.terrain == "stage":
        group = [raised.before_stage(rng, world, spot) for spot in group]
    return group


def _pair(rng: Rng, x: float, z: float, yaw: float, walks: bool) -> list[Spot]:
    """Two side by side; who stands turns towards the other."""
    gap = rng.uniform(0.62, 0.85) / 2
    turn = 0.0 if walks else rng.uniform(0.2, 1.3)
    across = (math.cos(yaw), -math.sin(yaw))
    return [
        Spot(
            x + side * gap * across[0],
            z + side * gap * across[1],
            0,
            yaw - side * turn + rng.normal(0, 0.1),
            walks,
        )
        for side in (-1.0, 1.0)
    ]


def _circle(rng: Rng, x: float, z: float, clearance_m: float) -> list[Spot]:
    """A few people who face each other."""
    count = int(rng.integers(3, 7))
    radius = max(0.55, clearance_m * 1.15 / (2 * math.sin(math.pi / count)))
    radius *= rng.uniform(1.0, 1.35)
    even = np.arange(count) * 2 * math.pi / count
    angles = rng.uniform(0, 2 * math.pi) + even + rng.normal(0, 0.12, count)
    return [
        Spot(
            x + radius * math.sin(a),
            z + radius * math.cos(a),
            0,
            a + math.pi + rng.normal(0, 0.35),
        )
        for a in angles
    ]


def _queue(rng: Rng, x: float, z: float, yaw: float) -> list[Spot]:
    """People one behind the other."""
    steps = np.cumsum(rng.uniform(0.7, 1.1, int(rng.integers(4, 11))))
    return [
        Spot(
            x + s * math.sin(yaw) + rng.normal(0, 0.07),
            z + s * math.cos(yaw),
            0,
            yaw + rng.normal(0, 0.3),
        )
        for s in steps
    ]


def _bench(rng: Rng, world: World, x: float, z: float, yaw: float) -> list[Spot]:
    """A few who sit side by side on the ground's own level."""
    across = (math.cos(yaw), -math.sin(yaw))
    return [
        raised.on_level(
            world,
            Spot(
                x + 0.66 * k * across[0],
                z + 0.66 * k * across[1],
                0,
                yaw + rng.normal(0, 0.08),
                seated=True,
            ),
        )
        for k in range(int(rng.integers(1, 4)))
    ]


def place_people(rng: Rng, world: World, preset: Preset, count: int) -> Cast:
    """A crowd of `count` people, or as many as find room."""
    taken, riders = _Places(), round(preset.shoulders * count)
    count -= riders
    squares = _squares(rng, world, preset)
    reach, clearance = _Reach.of(rng, world, preset, count), preset.clearance_m
    for _ in range(_TRIES * count):
        if len(taken.rows) >= count:
            break
        group = _cluster(rng, world, preset, reach, squares)
        at_border = 0.02 if rng.random() < 0.06 else -0.004
        margin = preset.overflow or at_border
        on_stand = raised.has_rows(world) and group[0].level > 0
        fits = all(
            taken.is_free(s.x, s.z, clearance if not s.walks else 1.15 * clearance)
            and in_view(world, s.x, s.z, s.level, margin)
            and (on_stand or (free_of_boxes(world, s.x, s.z) and _in_sight(world, s.x, s.z)))
            for s in group
        )
        if fits and _apart(group, clearance):
            taken.rows += group[: count - len(taken.rows)]
    cast = _cast(rng, preset, taken.rows)
    return with_riders(rng, cast, riders) if riders else cast


def _squares(rng: Rng, world: World, preset: Preset) -> list[Square]:
    if preset.squares is None:
        return []
    low, high = preset.squares
    return sample_squares(rng, world, int(rng.integers(low, high + 1)))


def _apart(group: list[Spot], clearance_m: float) -> bool:
    places = np.array([spot[:2] for spot in group])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(len(places))
    return bool(gaps.min() >= clearance_m)


def _cast(rng: Rng, preset: Preset, rows: list[Spot]) -> Cast:
    count = len(rows)
    seated = np.array([row.seated for row in rows], bool)
    child = (rng.random(count) < preset.children) & ~seated
    male = rng.random(count) < 0.5
    adult = np.where(male, rng.normal(1.75, 0.07, count), rng.normal(1.63, 0.065, count))
    stature = np.where(child, rng.uniform(1.0, 1.5, count), np.clip(adult, 1.46, 1.98))
    pose = np.zeros((count, 24, 3))
    for i, row in enumerate(rows):
        make = poses.sitting if row.seated else poses.walking if row.walks else poses.standing
        if preset.raised and not row.seated and rng.random() < preset.raised:
            make = poses.arms_up
        pose[i] = make(rng)
    table = np.array([r[:4] for r in rows], np.float64).reshape(-1, 4)
    if preset.together:
        one_way = rng.random(count) < preset.together
        ahead = rng.uniform(-math.pi, math.pi) + rng.normal(0, _TOGETHER_SD_RAD, count)
        table[one_way, 3] = ahead[one_way]
    return Cast(
        position_m=table[:, :2],
        level=table[:, 2].astype(np.int64),
        yaw_rad=table[:, 3],
        stature_m=stature,
        child=child,
        seated=seated,
        pose=pose,
        carrier=np.full(count, -1),
    )


def seats(cast: Cast, world: World, seat_height_m: FloatArray) -> list[Box]:
    """A seat under everyone who sits and is not carried, and the benches of a tribune.

    Args:
        seat_height_m: (N,) height of the underside of the thighs above the person's plane.
    """
    found = raised.benches(world)
    for i in np.flatnonzero(cast.seated & (cast.carrier < 0)):
        x, z = cast.position_m[i]
        base, yaw = world.floor_m(x, z, cast.level[i]), float(cast.yaw_rad[i])
        top = float(seat_height_m[i])
        x, z = x + 0.04 * math.sin(yaw), z + 0.04 * math.cos(yaw)
        if raised.has_rows(world) and cast.level[i] > 0:
            found.append(Box((x, base + top - 0.03, z), (0.22, 0.03, 0.20), SEAT, "2f4f86", yaw))
        else:
            found.append(Box((x, base + top / 2, z), (0.33, top / 2, 0.24), SEAT, "8f8d87", yaw))
    return found
