"""The place of a rendered crowd, in the ground frame: camera, light, terrain and what stands on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.synth.place.boxes import BOX_FACES, KERB, Box, Boxes
from crowd3d.synth.place.light import Light, sample_light
from crowd3d.synth.place.preset import Preset
from crowd3d.synth.place.scenery import (
    around_stage,
    behind_tribune,
    on_hills,
    row_of_buildings,
    street_furniture,
)
from crowd3d.synth.place.surface import Area, Land, Surface, level_index, surface_of
from crowd3d.synth.place.terrain import level_boxes, sample_ground, sample_land, sample_levels
from crowd3d.synth.place.view import (
    GROUND,
    WIDEST_HALF_RAD,
    Level,
    View,
    farthest_ground_m,
    ground_distance_m,
)

FloatArray = npt.NDArray[np.float64]
Rng = np.random.Generator

PERSON_M = 1.7
_MIN_REACH_M = 2.0
_NEAREST_AROUND_M = 0.6  # of people to the point below a camera that sees all around


@dataclass
class World:
    """Everything but the people.

    Attributes:
        ground: kind of paving; ground_seed, ground_yaw_rad: its details.
        terrain: the preset's.
        levels_m: the planes people are on, metres in the ground frame; the ground first. Of smooth terrain, the
            one plane that fits it best where people are.
        near_m, reach_m: distance of the nearest ground in view, and of the farthest people.
        surface: all that people may walk on.
        land: smooth terrain, where the ground is that.
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
    surface: Surface
    land: Land | None = None

    @property
    def is_flat(self) -> bool:
        """Whether the ground is one level plane."""
        return self.land is None and self.levels_m == [GROUND]

    def level_at(self, x: float, z: float, edge_m: float = 0.0) -> int:
        """Index of the plane at a place; -1 nearer than `edge_m` to where it ends."""
        return level_index(self.levels_m, x, z, edge_m)

    def floor(self, x: float, z: float, level: int) -> Level:
        """The plane below somebody at a place and on a level; on smooth terrain, that of the triangle there."""
        return self.levels_m[level] if self.land is None else self.land.plane_at(x, z)

    def floor_m(self, x: float, z: float, level: int) -> float:
        """Height of the surface below somebody at a place and on a level."""
        return self.floor(x, z, level).height_m(x, z)


def sample_view(rng: Rng, size: tuple[int, int], preset: Preset, ground: Level = GROUND) -> View:
    """A camera of the preset, for a picture of (width, height); over a slope it looks up or down with it."""
    fov_deg = float(rng.uniform(*preset.fov_deg))
    camera = Camera.from_fov(size[0], size[1], fov_deg, preset.projection)
    ranges = (preset.height_m, preset.pitch_deg, preset.roll_deg)
    height_m, pitch_deg, roll_deg = (float(rng.uniform(*r)) for r in ranges)
    if preset.pitch_deg[0] < preset.pitch_deg[1]:  # else the pitch was asked for
        pitch_deg -= math.degrees(math.atan(ground.rise))
    turn_deg = float(rng.uniform(*preset.turn_deg)) if preset.turn_deg != (0.0, 0.0) else 0.0
    return View.of_angles(camera, height_m, pitch_deg, roll_deg, turn_deg)


def ground_reach_m(view: View, person_px: float, ground: Level = GROUND) -> tuple[float, float]:
    """Distances between which people stand: from the lower edge of the view to where they are too small."""
    camera = view.camera
    if view.sees_around:
        far = min(camera.focal_px * PERSON_M / person_px, farthest_ground_m(view))
        return _NEAREST_AROUND_M, max(far, _MIN_REACH_M)
    low = view.rays([camera.width / 2, camera.height - 1.0])
    near = ground_distance_m(view, low, ground) if low @ ground.normal < 0 else 4.0
    far = camera.focal_px * PERSON_M / person_px
    top = view.rays([camera.width / 2, 0.06 * camera.height])
    if top @ ground.normal < -1e-3:
        far = min(far, ground_distance_m(view, top, ground))
    near = max(near, _MIN_REACH_M)
    return near, max(far, 1.8 * near)


_KERB_COLOR = "a3a19c"
_YARD_M = 40.0  # of ground behind the front of the buildings
_BEHIND_M = 5.0  # the surface goes on behind the camera
_TURNED_WIDER = 1.8  # than what is seen straight ahead, where the terrain is turned


def sample_boxes(
    rng: Rng, preset: Preset, levels: list[Level], near_m: float, half_width: float, wall: float
) -> Boxes:
    """Raised levels, buildings behind (at `wall`) and beside the crowd, kerbs, street furniture."""
    rows = level_boxes(rng, levels, half_width, -(wall + _YARD_M), preset.terrain)
    last = levels[-1]
    ends = any(math.isfinite(edge) for edge in (last.back_z, last.left_x, last.right_x))
    base = 0.0 if ends else last.height_m(0.0, -wall)
    if preset.front:
        rows += row_of_buildings(rng, -half_width, half_width, wall, 0.0, base)
        kerb = (0.0, base + 0.07, -(wall - 2.2))
        rows.append(Box(kerb, (half_width, 0.07, 0.15), KERB, _KERB_COLOR))
    for sign in (-1.0, 1.0) if preset.sides else ():
        out = rng.uniform(7, 12)
        rows += row_of_buildings(rng, -6.0, wall, out, sign)
        kerb = (sign * (out - 2.5), 0.06, -wall / 2)
        rows.append(Box(kerb, (0.12, 0.06, wall / 2 + 6), KERB, _KERB_COLOR))
    if preset.terrain == "flat":
        rows += street_furniture(rng, preset, half_width, near_m, wall)
    if preset.terrain == "tribune":
        rows.append(behind_tribune(rng, last, half_width))
    if preset.terrain == "stage":
        rows += around_stage(rng, last)
    return Boxes.of(rows)


def sample_world(
    rng: Rng, size: tuple[int, int], preset: Preset, view: View | None = None
) -> World:
    """A place of the preset; a given view is used as it is."""
    ground = sample_ground(rng, preset.terrain)
    drawn = sample_view(rng, size, preset, ground)
    view = view or drawn
    near, reach = ground_reach_m(view, preset.person_px * size[1] / 1000, ground)
    levels = sample_levels(rng, preset.terrain, near, reach, view, ground)
    half_width = reach * math.tan(min(view.camera.fov_rad / 2, WIDEST_HALF_RAD)) * 1.3 + 10
    if preset.turn_deg != (0.0, 0.0):
        half_width *= _TURNED_WIDER
    ends = [-v.front_z if math.isinf(v.back_z) else -v.back_z for v in levels]
    wall = max(reach * preset.front + 4, max(ends) + 6)
    boxes = sample_boxes(rng, preset, levels, near, half_width, wall)
    end = max(wall + _YARD_M, 1.2 * reach)
    front = end if view.sees_around else _BEHIND_M
    area, land = Area(-half_width, half_width, -end, front), None
    if preset.terrain == "rolling":
        land = sample_land(rng, area)
        levels = [_best_plane(land, view, reach)]
    if preset.terrain in ("hillside", "rolling"):
        floor = land.plane_at if land is not None else lambda x, z: ground
        houses = on_hills(rng, view, lambda x, z: floor(x, z).height_m(x, z), near, reach)
        boxes = boxes.with_more(houses)
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
        surface=surface_of(levels, area) if land is None else land.surface,
        land=land,
    )


def _best_plane(land: Land, view: View, reach_m: float) -> Level:
    """The plane that fits smooth terrain best where people are seen."""
    points = land.surface.vertices_m
    pixels = view.project(points)
    seen = ((pixels >= 0) & (pixels < (view.camera.width, view.camera.height))).all(axis=1)
    seen &= np.linalg.norm(points[:, [0, 2]], axis=1) < reach_m
    x, y, z = points[seen if seen.sum() > 2 else slice(None)].T
    side, back, base = np.linalg.lstsq(np.stack([x, z, np.ones_like(x)], 1), y, rcond=None)[0]
    return Level(float(base), rise=-float(back), side=float(side))


__all__ = ["BOX_FACES", "PERSON_M", "Level", "View", "World", "sample_world"]
