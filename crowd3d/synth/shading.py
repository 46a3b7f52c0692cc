"""Light on a tile: rays to radiance, with sun shadows, sky light and contact shadows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.synth import fabric, noise, surfaces
from crowd3d.synth.stage import Area, Stage, TileMesh
from crowd3d.synth.world import BUILDING, SEAT, TIER

FloatArray = npt.NDArray[np.float32]

_SUN_RADIUS = 0.006  # of its disc, radians; a little more than true, as haze makes it
_SUN_RAYS = 10  # two everywhere, the others in penumbras
_HAZE_M = 2200.0
# Spheres that darken the ground below a person: SMPL joint and radius in metres.
_OCCLUDERS = (
    (10, 0.085),
    (11, 0.085),
    (7, 0.085),
    (8, 0.085),
    (4, 0.11),
    (5, 0.11),
    (0, 0.21),
    (6, 0.21),
    (9, 0.21),
)
_SUBSAMPLES = np.array([[-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]])


@dataclass
class Tile:
    """What the pixels of one area share."""

    area: Area
    mesh: TileMesh | None
    near_shadow: npt.NDArray[np.bool_]
    contact: FloatArray


class Shader:
    """Turns pixels into linear radiance."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        world = stage.world
        self.light = world.light
        self.ground = surfaces.Ground(world.ground, world.ground_seed, world.ground_yaw_rad)
        rng = np.random.default_rng(world.ground_seed + 1)
        self._grain, self._clouds = noise.texture(rng, 1.1, 3), noise.texture(rng, 1.7, 2)
        self.pixel_rad = 1.0 / world.view.camera.focal_px

    def tile(self, area: Area) -> tuple[FloatArray, npt.NDArray[np.int32]]:
        """(h, w, 3) radiance and (h, w) who is seen (-1 nobody) of an area of the picture."""
        x, y, w, h = area
        people = self.stage.touching(area, with_shadows=True)
        seen = self.stage.touching(area, with_shadows=False)
        tile = Tile(
            area,
            self.stage.mesh(people),
            self.stage.mask(self.stage.shadows, area, people).ravel(),
            self._contact(area, people).ravel(),
        )
        solid = self.stage.mask(self.stage.hulls, area, seen).ravel()
        row, column = np.divmod(np.arange(w * h), w)
        centers = np.stack([x + column + 0.5, y + row + 0.5], axis=1)
        rgb, identity = self._shade(tile, centers, np.arange(w * h), solid)
        edges = _edges(identity.reshape(h, w)).ravel()
        if edges.any():
            cells = np.repeat(np.flatnonzero(edges), len(_SUBSAMPLES))
            places = centers[cells] + np.tile(_SUBSAMPLES, (int(edges.sum()), 1))
            fine, _ = self._shade(tile, places, cells, np.ones(len(cells), bool))
            rgb[edges] = fine.reshape(-1, len(_SUBSAMPLES), 3).mean(axis=1)
        who = np.where(identity >= 0, identity // 8, -1).astype(np.int32)
        return rgb.reshape(h, w, 3), who.reshape(h, w)

    def _shade(
        self,
        tile: Tile,
        places_px: npt.NDArray[np.float64],
        cells: npt.NDArray[np.int64],
        solid: npt.NDArray[np.bool_],
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Radiance (N, 3) along the rays of pixels, and what they meet: 8 * person + material, or below 0."""
        ways = self.stage.world.view.rays(places_px).astype(np.float32)
        rgb = np.zeros_like(ways)
        identity = np.full(len(ways), -1, np.int64)
        open_sky = np.ones(len(ways), bool)
        if tile.mesh is not None and solid.any():
            rays = np.flatnonzero(solid)
            hits = tile.mesh.caster.hits(ways[rays], self.stage.world.view.eye_m)
            met = hits.face >= 0
            ground_m = np.where(
                ways[rays, 1] < -1e-5,
                self.stage.world.view.height_m / np.maximum(-ways[rays, 1], 1e-5),
                np.inf,
            )
            met &= hits.distance_m < ground_m + 1e-3
            rays, face, bary, far = (
                rays[met],
                hits.face[met],
                hits.barycentric[met],
                hits.distance_m[met],
            )
            open_sky[rays] = False
            owner = tile.mesh.owner[face]
            for chosen, shade in ((owner >= 0, self._people), (owner < 0, self._boxes)):
                if chosen.any():
                    r = rays[chosen]
                    rgb[r], identity[r] = shade(
                        tile.mesh, face[chosen], bary[chosen], far[chosen], ways[r], places_px[r]
                    )
                    rgb[r] = self._hazed(rgb[r], far[chosen], ways[r])
        below = open_sky & (ways[:, 1] < -2e-4)
        if below.any():
            rgb[below] = self._ground(tile, ways[below], cells[below], places_px[below])
        above = open_sky & ~below
        if above.any():
            rgb[above] = surfaces.sky(ways[above], self.light, self._clouds)
        return rgb, identity

    def _people(
        self,
        mesh: TileMesh,
        face: npt.NDArray[np.int64],
        bary: FloatArray,
        far: FloatArray,
        ways: FloatArray,
        places: npt.NDArray[np.float64],
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        corners, who = mesh.faces[face], mesh.owner[face]
        normal = _blend(mesh.normals, corners, bary)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        inside = np.einsum("ni,ni->n", normal, ways) > 0.25
        normal[inside] *= -1
        rest = _blend(mesh.rest_m, corners, bary)
        material = mesh.material[corners[:, 0]]
        normal = fabric.folded(normal, rest, material, who, far * self.pixel_rad, self._grain)
        openness = np.einsum("nk,nk->n", mesh.openness[corners], bary) ** 1.25
        color = fabric.albedo(
            rest, material, who, self.stage.outfits, far * self.pixel_rad, self._grain
        )
        points = self.stage.world.view.eye_m.astype(np.float32) + ways * far[:, None]
        sun = self._sun(mesh, points + 0.006 * normal, normal, places)
        height = np.clip(points[:, 1], 0, 3)
        lit = self._lit(color, normal, sun, openness * (1 - 0.35 * np.exp(-height / 0.25)))
        half = self.light.to_sun.astype(np.float32) - ways
        half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
        gloss = np.clip(np.einsum("ni,ni->n", half, normal), 0, 1) ** 24
        facing = np.clip(1 + np.einsum("ni,ni->n", normal, ways), 0, 1) ** 4
        sheen = 0.035 * gloss[:, None] * sun + 0.02 * (facing * openness)[:, None] * self.light.sky
        return np.asarray(lit + sheen, np.float32), who * 8 + material

    def _boxes(
        self,
        mesh: TileMesh,
        face: npt.NDArray[np.int64],
        bary: FloatArray,
        far: FloatArray,
        ways: FloatArray,
        places: npt.NDArray[np.float64],
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        boxes, index = self.stage.world.boxes, -1 - mesh.owner[face]
        normal = mesh.caster.face_normals[face].copy()
        normal *= np.where(np.einsum("ni,ni->n", normal, ways) > 0, -1, 1)[:, None]
        points = (self.stage.world.view.eye_m + ways.astype(np.float64) * far[:, None]).astype(
            np.float32
        )
        color = boxes.color[index].astype(np.float32)
        kind = boxes.kind[index]
        wall = (kind == BUILDING) & (np.abs(normal[:, 1]) < 0.5)
        if wall.any():
            p, n = points[wall], normal[wall]
            along = np.where(np.abs(n[:, 2]) > 0.5, p[:, 0], p[:, 2])
            pixel = far[wall] * self.pixel_rad
            color[wall] = surfaces.facade(
                along,
                p[:, 1],
                2 * boxes.half_m[index[wall], 1].astype(np.float32),
                index[wall],
                color[wall],
                pixel,
                self.light.sky.astype(np.float32),
            )
        shade = noise.sample(self._grain, (points[:, 0] + points[:, 2]) * 0.07, points[:, 1] * 0.07)
        color = color * (1 + 0.05 * shade)[:, None]
        dark_front = (kind == TIER) & (np.abs(normal[:, 1]) < 0.5)
        color = np.where(dark_front[:, None], 0.6 * color, color)
        sun = self._sun(mesh, points + 0.01 * normal, normal, places)
        closed = np.where(kind == SEAT, 0.8, 0.95)
        return self._lit(color, normal, sun, closed.astype(np.float32)), -2 - index

    def _ground(
        self,
        tile: Tile,
        ways: FloatArray,
        cells: npt.NDArray[np.int64],
        places: npt.NDArray[np.float64],
    ) -> FloatArray:
        height = self.stage.world.view.height_m
        far = (height / -ways[:, 1]).astype(np.float32)
        x, z = ways[:, 0] * far, ways[:, 2] * far
        flat = np.hypot(ways[:, 0], ways[:, 2])
        along = np.stack([ways[:, 0], ways[:, 2]], axis=1) / np.maximum(flat, 1e-6)[:, None]
        near_m = far * self.pixel_rad
        extent = self.ground.pixel_extent(
            along.astype(np.float32), near_m, np.asarray(near_m / -ways[:, 1], np.float32)
        )
        color = self.ground.albedo(x, z, *extent)
        normal = np.zeros_like(ways)
        normal[:, 1] = 1
        sun = np.tile((self.light.sun * self.light.to_sun[1]).astype(np.float32), (len(ways), 1))
        close = tile.near_shadow[cells]
        if tile.mesh is not None and close.any() and self.light.sun.max() > 0.02:
            points = np.stack(
                [x[close], np.full(int(close.sum()), 0.002, np.float32), z[close]], axis=1
            )
            sun[close] = self._sun(tile.mesh, points, normal[close], places[close])
        return self._hazed(self._lit(color, normal, sun, tile.contact[cells]), far, ways)

    def _sun(
        self,
        mesh: TileMesh,
        points: FloatArray,
        normal: FloatArray,
        places: npt.NDArray[np.float64],
    ) -> FloatArray:
        """(N, 3) irradiance by the sun, with the penumbra of its disc; `places` fix the rays."""
        facing = np.clip(normal @ self.light.to_sun.astype(np.float32), 0, 1)
        lit = np.flatnonzero(facing > 0)
        pick = (places[lit] * 8).astype(np.int64).T
        share = self._sun_share(mesh, points[lit], pick, range(2))
        # Opposite points of the disc disagree only in a penumbra: look closer there.
        soft = np.flatnonzero((share > 0) & (share < 1))
        if len(soft):
            share[soft] = self._sun_share(
                mesh, points[lit[soft]], pick[:, soft], range(2, _SUN_RAYS)
            )
        facing[lit] *= share
        return np.asarray(facing[:, None] * self.light.sun, np.float32)

    def _sun_share(
        self, mesh: TileMesh, points: FloatArray, pick: npt.NDArray[np.int64], rays: range
    ) -> FloatArray:
        """(N,) share of some rays to the sun's disc that are free; `pick` (2, N) turns the disc."""
        to_sun = self.light.to_sun
        across = np.cross(to_sun, [0.0, 0.0, 1.0])
        across /= np.linalg.norm(across)
        other = np.cross(to_sun, across)
        turn = 2 * np.pi * noise.hashed(pick[0], pick[1], 5)
        free = np.zeros(len(points), np.float32)
        for k in rays:
            angle = turn + k * np.pi + 0.7 * (k // 2)
            radius = (
                _SUN_RADIUS * math.sqrt((k // 2 + 0.5) / (_SUN_RAYS / 2))
                if len(rays) > 2
                else 0.7 * _SUN_RADIUS
            )
            way = to_sun + radius * (
                np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * other
            )
            free += ~mesh.caster.occluded(points, way, 200.0)
        return np.asarray(free / len(rays), dtype=np.float32)

    def _lit(
        self, color: FloatArray, normal: FloatArray, sun: FloatArray, openness: FloatArray
    ) -> FloatArray:
        up = 0.5 + 0.5 * normal[:, 1:2]
        around = (
            up * self.light.sky + (1 - up) * self.light.bounce * self._brightness()
        ) * np.asarray(openness)[:, None]
        return np.asarray(color * (sun + around), np.float32)

    def _brightness(self) -> float:
        """How bright the ground is that lights surfaces from below, against an overcast day."""
        return float(0.6 + 0.4 * self.light.sun.max() * self.light.to_sun[1])

    def _hazed(self, rgb: FloatArray, far: FloatArray, ways: FloatArray) -> FloatArray:
        share = 1 - np.exp(-np.asarray(far, np.float32) / _HAZE_M)
        return np.asarray(
            rgb + (np.array([0.72, 0.80, 0.92], np.float32) - rgb) * share[:, None], np.float32
        )

    def _contact(self, area: Area, people: npt.NDArray[np.int64]) -> FloatArray:
        """(h, w) share of the sky that the ground sees past the people who stand there."""
        x, y, w, h = area
        openness = np.ones((h, w), np.float32)
        view, bodies = self.stage.world.view, self.stage.bodies
        for i in people:
            joints = bodies.joints_m[i]
            if bodies.bounds_m[i, 0, 1] > 0.3:
                continue  # on a tier
            feet = joints[[0, 7, 8]]
            ring = np.array([[dx, 0, dz] for dx in (-0.8, 0.8) for dz in (-0.8, 0.8)]) + feet.mean(
                axis=0
            ) * [1, 0, 1]
            corners = view.project(ring)
            if not np.isfinite(corners).all():
                continue
            low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - [x, y], 0)
            high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) - [x, y], [w, h])
            if (high <= low).any():
                continue
            step = max(1, int((high - low).max()) // 96)
            u, v = (np.arange(low[k], high[k] + step, step) + 0.5 for k in (0, 1))
            grid = np.stack(np.broadcast_arrays(u[None] + x, v[:, None] + y), axis=-1)
            rays = view.rays(grid)
            ground = rays * (view.height_m / np.maximum(-rays[..., 1:2], 1e-4)) + view.eye_m
            coarse = _sky_share(ground, joints)
            size = (len(u) * step, len(v) * step)
            fine = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
            openness[low[1] : high[1], low[0] : high[0]] *= fine[
                : high[1] - low[1], : high[0] - low[0]
            ]
        return openness


def _sky_share(ground_m: npt.NDArray[np.float64], joints_m: npt.NDArray[np.float64]) -> FloatArray:
    """Sky that points of the ground see past spheres at the joints: 1 - cos(theta) (r / d)^2 each."""
    share = np.ones(ground_m.shape[:2], np.float32)
    for joint, radius in _OCCLUDERS:
        gap = joints_m[joint] - ground_m
        distance2 = np.sum(gap**2, axis=-1)
        lift = np.maximum(gap[..., 1], 0.02)
        share *= 1 - np.minimum(0.85, lift * radius**2 / np.maximum(distance2, radius**2) ** 1.5)
    return share


def _blend(values: FloatArray, corners: npt.NDArray[np.int64], bary: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("nkc,nk->nc", values[corners], bary), np.float32)


def _edges(identity: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Pixels beside which another thing is seen."""
    found = np.zeros(identity.shape, bool)
    across, down = identity[:, 1:] != identity[:, :-1], identity[1:] != identity[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found
