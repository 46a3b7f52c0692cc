"""The scene as the ray caster wants it: which figures and boxes a tile needs, as one mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.maths.raycast import RayCaster
from crowd3d.synth.cast.everyone import Cast
from crowd3d.synth.cast.outfits import Outfits
from crowd3d.synth.cast.people import Bodies
from crowd3d.synth.figure.figures import Figure, tailor
from crowd3d.synth.figure.meshes import vertex_normals
from crowd3d.synth.place.boxes import BOX_FACES
from crowd3d.synth.place.view import Level, View
from crowd3d.synth.place.world import World

FloatArray = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Area = tuple[int, int, int, int]  # x, y, width, height in pixels

_CLOTH_M = 0.22  # bags, hats and skirts reach so far beyond the body
_FULL_LEVEL_PX = 110.0  # taller people get the fine body
_OUTLINE_RAYS = 1 << 18
_NEAREST_M = 0.15  # hulls with a corner nearer than this (or behind the camera) cover everything
_LEAST_FACING = 0.05  # of a slope towards the sun, where shadows still end
_STRAIGHT_STEPS = 7  # points on each line between two corners, which a fisheye bends
_FARTHEST_OFF_AXIS = math.cos(math.radians(150.0))  # beyond, the outline goes round the picture


@dataclass
class TileMesh:
    """All triangles of a tile, ground frame. Vertex arrays (V, ...).

    Its owner (F,) is a person, or -1 - box, or, as if it were one more box, the smooth terrain.
    """

    caster: RayCaster
    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    normals: npt.NDArray[np.float32]
    rest_m: npt.NDArray[np.float32]
    material: npt.NDArray[np.int8]
    openness: npt.NDArray[np.float32]


def _hulls(world: World, corners_m: FloatArray) -> list[npt.NDArray[np.float32] | None]:
    """Convex hulls (K, 2) of the projections of (N, 8, 3) corners; None where one is behind the camera."""
    in_camera = world.view.to_camera(corners_m)
    if world.view.camera.is_perspective:
        ahead = in_camera[..., 2].min(axis=1) > _NEAREST_M
    else:
        in_camera = _lines_between(in_camera)
        away = np.linalg.norm(in_camera, axis=-1)
        ahead = (away > _NEAREST_M) & (in_camera[..., 2] > _FARTHEST_OFF_AXIS * away)
        ahead = ahead.all(axis=1)
    pixels = world.view.camera.project(in_camera)
    return [
        cv2.convexHull(p.astype(np.float32))[:, 0] if ok else None
        for p, ok in zip(pixels, ahead, strict=True)
    ]


def _lines_between(corners_m: FloatArray) -> FloatArray:
    """(N, 8, 3) -> (N, P, 3) points on the lines between every two corners, of which outlines are made."""
    one, other = np.triu_indices(corners_m.shape[1], k=1)
    share = np.linspace(0.0, 1.0, _STRAIGHT_STEPS)[:, None]
    start, end = corners_m[:, one, None], corners_m[:, other, None]
    return np.asarray((start + share * (end - start)).reshape(len(corners_m), -1, 3))


def _lowest(world: World) -> Level:
    """A plane below which no shadow falls: the ground, or a level one as low as the deepest hollow."""
    if world.land is None:
        return world.levels_m[0]
    return Level(float(world.land.height_m.min()))


def _box_corners(low: FloatArray, high: FloatArray) -> FloatArray:
    pick = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    return np.where(pick[None] > 0, high[:, None], low[:, None])


class Stage:
    """People and boxes with their outlines in the picture; figures are dressed when first needed.

    Attributes:
        hulls, shadows: outlines of everybody, then of every box, and of what they may shade.
        floors: the plane that each person is on; floor_m: its height there; raised: whether not the lowest.
        outline_px: (N,) pixels that each figure drawn so far would fill if nothing stood before it.
    """

    def __init__(self, world: World, bodies: Bodies, outfits: Outfits, cast: Cast) -> None:
        self.world, self.bodies, self.outfits = world, bodies, outfits
        rows = [
            (float(x), float(z), k) for (x, z), k in zip(cast.position_m, cast.level, strict=True)
        ]
        self.floors = [world.floor(*row) for row in rows]
        self.floor_m = np.array([world.floor_m(*row) for row in rows], np.float32)
        self.raised = cast.level > 0
        low, high = bodies.bounds_m[:, 0] - _CLOTH_M, bodies.bounds_m[:, 1] + _CLOTH_M
        low[:, 1] = bodies.bounds_m[:, 0, 1]
        corners = np.concatenate([_box_corners(low, high), world.boxes.corners_m()])
        self.hulls = _hulls(world, corners)
        to_sun = world.light.to_sun
        ground = _lowest(world)
        facing = max(float(ground.normal @ to_sun), _LEAST_FACING)
        away = (corners @ ground.normal + ground.offset_m) / facing
        shadow = corners - to_sun * away[..., None]
        # Between a body and its shadow on the ground lie those that it casts on raised levels.
        start = corners * [1, 0, 1] if world.is_flat else corners
        self.shadows = _hulls(world, np.concatenate([shadow, start], axis=1))
        spans = [np.ptp(h[:, 1]) if h is not None else np.inf for h in self.hulls[: len(bodies)]]
        self._level = ["full" if s > _FULL_LEVEL_PX else "crowd" for s in spans]
        self._figures: dict[int, Figure] = {}
        self.outline_px = np.zeros(len(bodies), np.int64)

    def touching(self, area: Area, with_shadows: bool) -> npt.NDArray[np.int64]:
        """People whose outline (or shadow) meets an area of the picture."""
        count = len(self.bodies)
        found = [
            i
            for i in range(count)
            if _meets(self.hulls[i], area) or (with_shadows and _meets(self.shadows[i], area))
        ]
        return np.array(found, np.int64)

    def forget_above(self, y: int) -> None:
        """Drops figures that end above a row of the picture, shadow included."""
        for i in list(self._figures):
            hulls = (self.hulls[i], self.shadows[i])
            if all(h is not None and h[:, 1].max() < y for h in hulls):
                del self._figures[i]

    def mesh(self, people: npt.NDArray[np.int64]) -> TileMesh | None:
        """The triangles of some people, of all boxes and of smooth terrain; None if there are none."""
        figures = [self._figure(int(i)) for i in people]
        corners, faces_of_place, owners_of_place, normals_of_place = self._place
        if not figures and not len(faces_of_place):
            return None
        starts = np.cumsum([0, *(len(f.vertices_m) for f in figures)])
        faces = np.concatenate(
            [f.faces + s for f, s in zip(figures, starts, strict=False)]
            + [faces_of_place + starts[-1]]
        )
        owners = [np.full(len(f.faces), i, np.int64) for f, i in zip(figures, people, strict=True)]
        blank = np.zeros_like(corners)
        vertices = np.concatenate([f.vertices_m for f in figures] + [corners])
        return TileMesh(
            caster=RayCaster(vertices, faces),
            vertices=vertices,
            faces=faces,
            owner=np.concatenate([*owners, owners_of_place]),
            normals=np.concatenate([f.normals for f in figures] + [normals_of_place]),
            rest_m=np.concatenate([f.rest_m for f in figures] + [blank]),
            material=np.concatenate(
                [f.material for f in figures] + [np.zeros(len(corners), np.int8)]
            ),
            openness=np.concatenate(
                [f.openness for f in figures] + [np.ones(len(corners), np.float32)]
            ),
        )

    @cached_property
    def _place(self) -> tuple[Single, IntArray, IntArray, Single]:
        """What is no person: vertices, faces, their owners, and normals (of terrain only)."""
        corners = self.world.boxes.corners_m().reshape(-1, 3).astype(np.float32)
        count = len(self.world.boxes)
        faces = (BOX_FACES[None] + 8 * np.arange(count)[:, None, None]).reshape(-1, 3)
        owners = -1 - np.repeat(np.arange(count), len(BOX_FACES))
        normals = np.zeros_like(corners)
        if self.world.land is not None:
            land = self.world.land.whole
            ground = land.vertices_m.astype(np.float32)
            faces = np.concatenate([faces, land.faces + len(corners)])
            owners = np.concatenate([owners, np.full(len(land.faces), -1 - count)])
            normals = np.concatenate([normals, vertex_normals(ground, land.faces)])
            corners = np.concatenate([corners, ground])
        return corners, faces, owners, normals

    def mask(
        self, hulls: list[npt.NDArray[np.float32] | None], area: Area, people: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """(height, width) which pixels of an area lie in the hulls of some people or of any box."""
        x, y, w, h = area
        found = np.zeros((h, w), np.uint8)
        for i in [*people, *range(len(self.bodies), len(hulls))]:
            hull = hulls[i]
            if hull is None:
                found[:] = 1
            elif _meets(hull, area):
                inside = np.clip(hull - [x, y], -8000, 24000)
                cv2.fillConvexPoly(found, np.round(inside).astype(np.int32), 1)
        return np.asarray(cv2.dilate(found, np.ones((5, 5), np.uint8)) > 0)

    def _figure(self, i: int) -> Figure:
        if i not in self._figures:
            figure = tailor(self._level[i]).figure(self.bodies, self.outfits, i)
            self._figures[i] = figure
            self.outline_px[i] = _outline_px(figure, self.world.view, self.hulls[i])
        return self._figures[i]


def _outline_px(figure: Figure, view: View, hull: npt.NDArray[np.float32] | None) -> int:
    """Pixel centres that a figure alone covers, outside the picture too; 0 if it is too near to say."""
    if hull is None:
        return 0
    low, high = np.floor(hull.min(axis=0)).astype(int), np.ceil(hull.max(axis=0)).astype(int)
    caster, found = RayCaster(figure.vertices_m, figure.faces), 0
    u = np.arange(low[0], high[0] + 1) + 0.5
    band = max(1, _OUTLINE_RAYS // len(u))
    for top in range(low[1], high[1] + 1, band):
        v = np.arange(top, min(top + band, high[1] + 1)) + 0.5
        centers = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
        face, _ = caster.cast(view.rays(centers), view.eye_m)
        found += int((face >= 0).sum())
    return found


def _meets(hull: npt.NDArray[np.float32] | None, area: Area) -> bool:
    if hull is None:
        return True
    x, y, w, h = area
    low, high = hull.min(axis=0), hull.max(axis=0)
    return bool(low[0] < x + w and high[0] > x and low[1] < y + h and high[1] > y)
