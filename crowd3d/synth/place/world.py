"""The place of a rendered crowd, in the ground frame: camera, light, terrain, buildings, street furniture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.synth.place.boxes import BOX_FACES, BUILDING, KERB, PARASOL, POST, SEAT, Box, Boxes
from crowd3d.synth.place.light import Light, sample_light
from crowd3d.synth.place.presets import Preset
from crowd3d.synth.place.terrain import level_boxes, sample_levels
from crowd3d.synth.place.view import Level, View, farthest_ground_m, ground_distance_m

FloatArray = npt.NDArray[np.float64]
Rng = np.random.Generator

PERSON_M = 1.7
_MIN_REACH_M = 2.0
_NEAREST_AROUND_M = 0.6  # of people to the point below a camera that sees all around
_WIDEST_HALF_RAD = math.radians(55.0)  # of a view that buildings ahead have to fill


@dataclass
class World:
    """Everything but the people.

    Attributes:
        ground: kind of paving; ground_seed, ground_yaw_rad: its details.
        terrain: the preset's.
        levels_m: the planes people are on, metres in the ground frame; the flat ground first.
        reach_m: distance of the farthest people; near_m: of the nearest ground in view.
    """

    view: View
    light: Light
    boxes: Boxes
    ground: str
    ground_seed: int
    ground_yaw_rad: float
    terrain: str
    levels_m: list[Level]
    near_m: float
    reach_m: float

    def level_at(self, z: float, edge_m: float = 0.0) -> int:
        """Index of the plane at a distance; -1 nearer than `edge_m` to where it ends."""
        for index in range(len(self.levels_m) - 1, 0, -1):
            level = self.levels_m[index]
            if level.back_z < z <= level.front_z:
                clear = level.back_z + edge_m < z <= level.front_z - edge_m
                return index if clear else -1
        first = self.levels_m[1].front_z if len(self.levels_m) > 1 else -math.inf
        return 0 if z > first + edge_m else -1


def sample_view(rng: Rng, size: tuple[int, int], preset: Preset) -> View:
    """A camera of the preset, for a picture of (width, height)."""
    fov_deg = float(rng.uniform(*preset.fov_deg))
    camera = Camera.from_fov(size[0], size[1], fov_deg, preset.projection)
    angles = (float(rng.uniform(*r)) for r in (preset.height_m, preset.pitch_deg, preset.roll_deg))
    return View.of_angles(camera, *angles)


def ground_reach_m(view: View, person_px: float) -> tuple[float, float]:
    """Distances between which people stand: from the lower edge of the view to where they are too small."""
    camera = view.camera
    if view.sees_around:
        far = min(camera.focal_px * PERSON_M / person_px, farthest_ground_m(view))
        return _NEAREST_AROUND_M, max(far, _MIN_REACH_M)
    low = view.rays([camera.width / 2, camera.height - 1.0])
    near = ground_distance_m(view, low) if low[1] < 0 else 4.0
    far = camera.focal_px * PERSON_M / person_px
    top = view.rays([camera.width / 2, 0.06 * camera.height])
    if top[1] < -1e-3:
        far = min(far, ground_distance_m(view, top))
    near = max(near, _MIN_REACH_M)
    return near, max(far, 1.8 * near)


_WALLS = ("b9a48a", "cbbfae", "a86f54", "8d8f92", "d8d2c6", "9c8468", "b7b3ab", "7a5a48", "c7b48f")
_KERB_COLOR = "a3a19c"
_CANOPIES = ("d8d2c4", "e4dcc6", "8a2f2c", "2f4a3c", "c7b48f", "39485e", "c98a3a")
_BENCHES = ("6b4a32", "5a5f63", "8a6a4a")


def _row_of_buildings(
    rng: Rng, start: float, end: float, wall: float, sign: float, base_m: float = 0.0
) -> list[Box]:
    """Buildings side by side from `start` to `end`, their fronts at the distance `wall`.

    Args:
        sign: 0 = across the view, behind the crowd; otherwise along it, on that side.
        base_m: height of their feet.
    """
    found, at = [], start
    while at < end:
        width, height, depth = rng.uniform(14, 34), rng.uniform(9, 26), rng.uniform(10, 16)
        setback = rng.uniform(0, 1.5)
        middle, out = at + width / 2, wall + setback + depth / 2
        x, z = (middle, -out) if sign == 0 else (sign * out, -middle)
        size = (width, height, depth) if sign == 0 else (depth, height, width)
        color = str(rng.choice(_WALLS))
        found.append(Box((x, base_m + height / 2, z), np.array(size) / 2, BUILDING, color))
        at += width + (rng.uniform(4, 9) if rng.random() < 0.25 else 0.0)
    return found


def _street_furniture(
    rng: Rng, preset: Preset, half_width: float, near: float, far: float
) -> list[Box]:
    """Lamp posts, market parasols and benches on the flat ground."""
    rows: list[Box] = []

    def place(count: int, first: float, last: float) -> list[tuple[float, float]]:
        z = -rng.uniform(first, last, count)
        return [(float(rng.uniform(-0.7, 0.7) * half_width), float(v)) for v in z]

    for x, z in place(int(rng.integers(2, 7)), 0.5 * far, 1.1 * far):
        tall = rng.uniform(4.5, 8.0)
        rows.append(Box((x, tall / 2, z), (0.06, tall / 2, 0.06), POST, "3a3d40"))
        turn = float(rng.uniform(0, 3))
        rows.append(Box((x, tall, z), (0.55, 0.05, 0.12), POST, "54575a", turn))
    for x, z in place(int(rng.poisson(preset.parasols)), near + 2, far):
        half, turn = rng.uniform(1.2, 1.8), float(rng.uniform(0, 1.5))
        color = str(rng.choice(_CANOPIES))
        rows.append(Box((x, 1.2, z), (0.03, 1.2, 0.03), POST, "cfcac0"))
        rows.append(Box((x, 2.4, z), (half, 0.22, half), PARASOL, color, turn, 0.06))
    for x, z in place(int(rng.poisson(preset.benches)), near + 1, far):
        turn, color = float(rng.uniform(0, math.pi)), str(rng.choice(_BENCHES))
        rows.append(Box((x, 0.44, z), (0.85, 0.03, 0.22), SEAT, color, turn))
        for side in (-0.65, 0.65):
            leg = (x + side * math.cos(turn), 0.205, z - side * math.sin(turn))
            rows.append(Box(leg, (0.05, 0.205, 0.18), SEAT, "3b3d3f", turn))
    return rows


def sample_boxes(
    rng: Rng, view: View, preset: Preset, near_m: float, reach_m: float
) -> tuple[Boxes, list[Level]]:
    """Terrain, buildings behind and beside the crowd, kerbs, street furniture; and the terrain's planes."""
    half_width = reach_m * math.tan(min(view.camera.fov_rad / 2, _WIDEST_HALF_RAD)) * 1.3 + 10
    levels = sample_levels(rng, preset.terrain, near_m, reach_m)
    ends = [-v.front_z if math.isinf(v.back_z) else -v.back_z for v in levels]
    wall = max(reach_m * preset.front + 4, max(ends) + 6)
    rows = level_boxes(rng, levels, half_width, -(wall + 40))
    last = levels[-1]
    base = last.height_m(-wall) if math.isinf(last.back_z) else 0.0
    if preset.front:
        rows += _row_of_buildings(rng, -half_width, half_width, wall, 0.0, base)
        kerb = (0.0, base + 0.07, -(wall - 2.2))
        rows.append(Box(kerb, (half_width, 0.07, 0.15), KERB, _KERB_COLOR))
    for sign in (-1.0, 1.0) if preset.sides else ():
        out = rng.uniform(7, 12)
        rows += _row_of_buildings(rng, -6.0, wall, out, sign)
        kerb = (sign * (out - 2.5), 0.06, -wall / 2)
        rows.append(Box(kerb, (0.12, 0.06, wall / 2 + 6), KERB, _KERB_COLOR))
    if preset.terrain == "flat":
        rows += _street_furniture(rng, preset, half_width, near_m, wall)
    return Boxes.of(rows), levels


def sample_world(
    rng: Rng, size: tuple[int, int], preset: Preset, view: View | None = None
) -> World:
    """A place of the preset; a given view is used as it is."""
    drawn = sample_view(rng, size, preset)
    view = view or drawn
    near, reach = ground_reach_m(view, preset.person_px * size[1] / 1000)
    boxes, levels = sample_boxes(rng, view, preset, near, reach)
    yaw = rng.normal(0, 0.03) if preset.sides else rng.uniform(-0.8, 0.8)
    return World(
        view=view,
        light=sample_light(rng, preset),
        boxes=boxes,
        ground=str(rng.choice(preset.grounds)),
        ground_seed=int(rng.integers(1 << 30)),
        ground_yaw_rad=float(yaw),
        terrain=preset.terrain,
        levels_m=levels,
        near_m=near,
        reach_m=reach,
    )


__all__ = ["BOX_FACES", "PERSON_M", "Level", "View", "World", "sample_world"]
