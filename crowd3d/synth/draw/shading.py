"""Light on a tile: rays to radiance, with sun shadows, sky light and contact shadows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.maths.raycast import Hits
from crowd3d.synth import noise
from crowd3d.synth.draw import shadows, surfaces
from crowd3d.synth.draw.floor import ABOVE_M, Floor
from crowd3d.synth.draw.rasterizer import Embree, Rasterizer
from crowd3d.synth.draw.stage import Area, Stage, TileMesh
from crowd3d.synth.figure import fabric
from crowd3d.synth.place.boxes import BUILDING, PARASOL, SEAT, TERRACE, TIER

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Places = npt.NDArray[np.float64]  # (N, 2) pixels

_AIR = np.array([0.72, 0.80, 0.92], np.float32)  # what haze looks like
_MATERIALS = 8  # identity of what is seen: so many times the person, plus the material
_THROUGH_CANVAS = 0.3  # share of the light on a parasol that its underside gives off
_SUBSAMPLES = np.array([[-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]])


@dataclass
class Tile:
    """What the pixels of one area share."""

    area: Area
    mesh: TileMesh | None
    near_shadow: BoolArray
    contact: FloatArray


@dataclass
class Struck:
    """Points that rays meet on a mesh, one row each: triangle, weights, distance, direction, pixel, cell."""

    face: IntArray
    bary: FloatArray
    far: FloatArray
    ways: FloatArray
    places: Places
    cells: IntArray


class Shader:
    """Turns pixels into linear radiance."""

    def __init__(self, stage: Stage, rasterizer: Rasterizer | None = None) -> None:
        self.stage, self.rasterizer = stage, rasterizer or Embree()
        world = stage.world
        self.light, self.view = world.light, world.view
        self.eye = world.view.eye_m.astype(np.float32)
        self.floor = Floor(world)
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
            shadows.contact(self.stage, area, people).reshape(2, -1),
        )
        solid = self.stage.mask(self.stage.hulls, area, seen).ravel()
        solid |= not self.floor.is_plane
        row, column = np.divmod(np.arange(w * h), w)
        centers = np.stack([x + column + 0.5, y + row + 0.5], axis=1)
        hits = None
        if tile.mesh is not None and solid.any():
            hits = self.rasterizer.first(tile.mesh, self.view, area, solid)
        rgb, identity = self._shade(tile, centers, np.arange(w * h), np.flatnonzero(solid), hits)
        edges = _edges(identity.reshape(h, w)).ravel()
        if edges.any():
            rgb[edges] = self._smooth(tile, centers, np.flatnonzero(edges))
        who = np.where(identity >= 0, identity // _MATERIALS, -1).astype(np.int32)
        return rgb.reshape(h, w, 3), who.reshape(h, w)

    def _smooth(self, tile: Tile, centers: Places, edges: IntArray) -> FloatArray:
        """Radiance (E, 3) of pixels on edges, from several rays each."""
        cells = np.repeat(edges, len(_SUBSAMPLES))
        places = centers[cells] + np.tile(_SUBSAMPLES, (len(edges), 1))
        hits = None
        if tile.mesh is not None:
            hits = tile.mesh.caster.hits(self.view.rays(places).astype(np.float32), self.eye)
        fine, _ = self._shade(tile, places, cells, np.arange(len(cells)), hits)
        return np.asarray(fine.reshape(-1, len(_SUBSAMPLES), 3).mean(axis=1), np.float32)

    def _shade(
        self, tile: Tile, places: Places, cells: IntArray, rays: IntArray, hits: Hits | None
    ) -> tuple[FloatArray, IntArray]:
        """Radiance (N, 3) along the rays of pixels, and what they meet: person and material, or below 0.

        Args:
            cells: (N,) the pixel of the tile that each belongs to.
            rays: (R,) those that may meet the mesh; hits: what they meet there.
        """
        ways = self.view.rays(places).astype(np.float32)
        rgb = np.zeros_like(ways)
        identity = np.full(len(ways), -1, np.int64)
        free = np.ones(len(ways), bool)
        if tile.mesh is not None and hits is not None:
            met = (hits.face >= 0) & (
                hits.distance_m < self.floor.distance_m(ways[rays], 1e-5) + 1e-3
            )
            rays, owner = rays[met], tile.mesh.owner[hits.face[met]]
            free[rays] = False
            land = owner == -1 - len(self.stage.world.boxes)
            for chosen, shade in (
                (owner >= 0, self._people),
                ((owner < 0) & ~land, self._boxes),
                (land, self._land),
            ):
                if chosen.any():
                    r, k = rays[chosen], np.flatnonzero(met)[chosen]
                    struck = Struck(
                        hits.face[k],
                        hits.barycentric[k],
                        hits.distance_m[k],
                        ways[r],
                        places[r],
                        cells[r],
                    )
                    color, identity[r] = shade(tile, struck)
                    rgb[r] = self._hazed(color, struck.far)
        below = free & np.isfinite(self.floor.distance_m(ways, 2e-4))
        if below.any():
            rgb[below] = self._plane(tile, ways[below], cells[below], places[below])
        above = free & ~below
        if above.any():
            rgb[above] = surfaces.sky(ways[above], self.light, self._clouds)
        return rgb, identity

    def _people(self, tile: Tile, at: Struck) -> tuple[FloatArray, IntArray]:
        mesh = tile.mesh
        assert mesh is not None
        corners, who = mesh.faces[at.face], mesh.owner[at.face]
        normal = _unit(_blend(mesh.normals, corners, at.bary))
        normal[np.einsum("ni,ni->n", normal, at.ways) > 0.25] *= -1
        rest, material = _blend(mesh.rest_m, corners, at.bary), mesh.material[corners[:, 0]]
        spots = fabric.Spots(rest, material, who, at.far * self.pixel_rad)
        normal = fabric.folded(normal, spots, self.stage.outfits, self._grain)
        openness = _openness(mesh.openness[corners], at.bary)
        color = fabric.albedo(spots, self.stage.outfits, self._grain)
        points = self.eye + at.ways * at.far[:, None]
        sun = shadows.sun(mesh, self.light, points + 0.006 * normal, normal, at.places)
        height = np.clip(points[:, 1] - self.stage.floor_m[who], 0, 3)
        lit = self._lit(color, normal, sun, openness * (1 - 0.35 * np.exp(-height / 0.25)))
        half = _unit(self.light.to_sun.astype(np.float32) - at.ways)
        gloss = np.clip(np.einsum("ni,ni->n", half, normal), 0, 1) ** 24
        facing = np.clip(1 + np.einsum("ni,ni->n", normal, at.ways), 0, 1) ** 4
        sheen = 0.035 * gloss[:, None] * sun + 0.02 * (facing * openness)[:, None] * self.light.sky
        return np.asarray(lit + sheen, np.float32), who * _MATERIALS + material

    def _boxes(self, tile: Tile, at: Struck) -> tuple[FloatArray, IntArray]:
        mesh, boxes = tile.mesh, self.stage.world.boxes
        assert mesh is not None
        index = -1 - mesh.owner[at.face]
        normal = mesh.caster.face_normals[at.face].copy()
        normal *= np.where(np.einsum("ni,ni->n", normal, at.ways) > 0, -1, 1)[:, None]
        points = self.eye + at.ways * at.far[:, None]
        kind, upright = boxes.kind[index], np.abs(normal[:, 1]) < 0.5
        color = boxes.color[index].astype(np.float32)
        wall = (kind == BUILDING) & upright
        if wall.any():
            color[wall] = self._facade(points[wall], normal[wall], index[wall], at.far[wall])
        shade = noise.sample(self._grain, (points[:, 0] + points[:, 2]) * 0.07, points[:, 1] * 0.07)
        color = color * (1 + 0.05 * shade)[:, None]
        color = np.where(((kind == TIER) & upright)[:, None], 0.6 * color, color)
        openness = np.where(kind == SEAT, 0.8, 0.95).astype(np.float32)
        top = (kind == TERRACE) & ~upright
        if top.any():
            color[top] = self.floor.paved(points[top], at.ways[top], normal[top], at.far[top])
            openness[top] = tile.contact[1][at.cells[top]]
        sun = shadows.sun(mesh, self.light, points + 0.01 * normal, normal, at.places)
        lit = self._lit(color, normal, sun, openness)
        under = (kind == PARASOL) & (normal[:, 1] < -0.5)
        if under.any():
            through = _THROUGH_CANVAS * (self.light.sky + self.light.sun * self.light.to_sun[1])
            lit[under] += (color[under] * through).astype(np.float32)
        # The sides of a box differ, so that the edges between them are smoothed too.
        side = 2 * upright + (np.abs(normal[:, 0]) > np.abs(normal[:, 2]))
        return lit, -2 - 4 * index - side

    def _facade(
        self, points: FloatArray, normal: FloatArray, index: IntArray, far: FloatArray
    ) -> FloatArray:
        boxes = self.stage.world.boxes
        half = boxes.half_m[index, 1].astype(np.float32)
        foot = boxes.center_m[index, 1].astype(np.float32) - half
        return surfaces.facade(
            np.where(np.abs(normal[:, 2]) > 0.5, points[:, 0], points[:, 2]),
            points[:, 1] - foot,
            2 * half,
            index,
            boxes.color[index].astype(np.float32),
            far * self.pixel_rad,
            self.light.sky.astype(np.float32),
        )

    def _plane(self, tile: Tile, ways: FloatArray, cells: IntArray, places: Places) -> FloatArray:
        """Radiance (N, 3) of ground that is one plane."""
        far = self.floor.distance_m(ways, 0.0)
        points, normal = self.floor.points(ways, far)
        return self._hazed(self._ground(tile, points, ways, normal, far, cells, places), far)

    def _land(self, tile: Tile, at: Struck) -> tuple[FloatArray, IntArray]:
        """Radiance (N, 3) of smooth terrain, before the haze, and what its points are."""
        assert tile.mesh is not None
        normal = _unit(_blend(tile.mesh.normals, tile.mesh.faces[at.face], at.bary))
        points = self.eye + at.ways * at.far[:, None]
        points[:, 1] += ABOVE_M
        lit = self._ground(tile, points, at.ways, normal, at.far, at.cells, at.places)
        return lit, np.full(len(lit), -2 - 4 * len(self.stage.world.boxes))

    def _ground(
        self,
        tile: Tile,
        points: FloatArray,
        ways: FloatArray,
        normal: FloatArray,
        far: FloatArray,
        cells: IntArray,
        places: Places,
    ) -> FloatArray:
        color = self.floor.paved(points, ways, normal, far)
        facing = np.maximum(normal @ self.light.to_sun, 0)[:, None]
        sun = np.asarray(self.light.sun * facing, np.float32)
        close = tile.near_shadow[cells]
        if tile.mesh is not None and close.any() and self.light.sun.max() > 0.02:
            sun[close] = shadows.sun(
                tile.mesh, self.light, points[close], normal[close], places[close]
            )
        return self._lit(color, normal, sun, tile.contact[0][cells])

    def _lit(
        self, color: FloatArray, normal: FloatArray, sun: FloatArray, openness: FloatArray
    ) -> FloatArray:
        # The ground lights surfaces from below as brightly as the sun makes it.
        bright = 0.6 + 0.4 * self.light.sun.max() * self.light.to_sun[1]
        below = (0.5 - 0.5 * normal[:, 1:2]) * self.light.bounce * bright
        around = (self.light.from_sky(normal) + below) * np.asarray(openness)[:, None]
        return np.asarray(color * (sun + around), np.float32)

    def _hazed(self, rgb: FloatArray, far: FloatArray) -> FloatArray:
        share = 1 - np.exp(-np.asarray(far, np.float32) / self.light.haze_m)
        return np.asarray(rgb + (_AIR - rgb) * share[:, None], np.float32)


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)


def _blend(values: FloatArray, corners: IntArray, bary: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("nkc,nk->nc", values[corners], bary), np.float32)


def _openness(of_corners: FloatArray, bary: FloatArray) -> FloatArray:
    """(N,) how open points of triangles are, from their corners (N, 3); what is half hidden looks darker.

    Rays cast onto an edge may have weights a rounding below 0, of which a power is not a number.
    """
    return np.asarray(np.maximum(np.einsum("nk,nk->n", of_corners, bary), 0) ** 1.25, np.float32)


def _edges(identity: IntArray) -> BoolArray:
    """Pixels beside which another thing is seen."""
    found = np.zeros(identity.shape, bool)
    across, down = identity[:, 1:] != identity[:, :-1], identity[1:] != identity[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found
