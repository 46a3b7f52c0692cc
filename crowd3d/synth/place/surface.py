"""The surface that people walk on, as triangles: pieces of planes, or a smooth terrain on a grid of cells.

Triangles face up; risers and walls belong to no surface. Ground frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crowd3d.synth.place.view import Level

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Surface:
    """vertices_m (V, 3) and faces (F, 3)."""

    vertices_m: FloatArray
    faces: IntArray


@dataclass(frozen=True)
class Area:
    """A rectangle on the map, metres: x from left to right, z from back (far) to front (near)."""

    left_x: float
    right_x: float
    back_z: float
    front_z: float


def level_index(levels: list[Level], x: float, z: float, edge_m: float = 0.0) -> int:
    """Index of the plane at a place: the last that reaches there; -1 nearer than `edge_m` to its edge.

    Behind a raised level there is no ground, only the level's back.
    """
    for index in range(len(levels) - 1, 0, -1):
        v = levels[index]
        if v.back_z < z <= v.front_z and v.left_x < x <= v.right_x:
            deep = v.back_z + edge_m < z <= v.front_z - edge_m
            wide = v.left_x + edge_m < x <= v.right_x - edge_m
            return index if deep and wide else -1
    off = (max(z - v.front_z, v.left_x - x, x - v.right_x) for v in levels[1:])
    return 0 if min(off, default=math.inf) > edge_m else -1


def surface_of(levels: list[Level], area: Area) -> Surface:
    """The planes within an area: cut along the edges of all levels, two triangles a piece."""
    x = _cuts(area.left_x, area.right_x, [e for v in levels for e in (v.left_x, v.right_x)])
    z = _cuts(area.back_z, area.front_z, [e for v in levels[1:] for e in (v.back_z, v.front_z)])
    corners = []
    for left, right in pairwise(x):
        for back, front in pairwise(z):
            index = level_index(levels, (left + right) / 2, (back + front) / 2)
            if index >= 0:
                around = ((left, back), (left, front), (right, front), (right, back))
                corners.append([(u, levels[index].height_m(u, w), w) for u, w in around])
    first = 4 * np.arange(len(corners))[:, None, None]
    faces = (np.array([[0, 1, 2], [0, 2, 3]]) + first).reshape(-1, 3)
    return Surface(np.array(corners, np.float64).reshape(-1, 3), faces)


def _cuts(low: float, high: float, edges: list[float]) -> list[float]:
    return [low, *sorted({e for e in edges if low < e < high}), high]


@dataclass(frozen=True)
class Land:
    """Smooth terrain: heights at the corners of cells, each of which is two flat triangles.

    Attributes:
        x_m (X,), z_m (Z,): where the cells meet, growing.
        height_m: (X, Z).
        area: where people may be; beyond, the cells grow towards the horizon.
    """

    x_m: FloatArray
    z_m: FloatArray
    height_m: FloatArray
    area: Area

    def heights_m(self, x: FloatArray, z: FloatArray) -> FloatArray:
        """(N,) heights at places (N,)."""
        return self._triangles(x, z)[0]

    def plane_at(self, x: float, z: float) -> Level:
        """The plane of the triangle at a place."""
        height, side, back = (float(v[0]) for v in self._triangles(np.array([x]), np.array([z])))
        return Level(height - side * x - back * z, rise=-back, side=side)

    def _triangles(self, x: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Heights (N,), and what the triangles there rise per metre towards +x and +z."""
        i = np.clip(np.searchsorted(self.x_m, x, side="right") - 1, 0, len(self.x_m) - 2)
        k = np.clip(np.searchsorted(self.z_m, z, side="right") - 1, 0, len(self.z_m) - 2)
        wide, deep = self.x_m[i + 1] - self.x_m[i], self.z_m[k + 1] - self.z_m[k]
        u, v = (x - self.x_m[i]) / wide, (z - self.z_m[k]) / deep
        here, right = self.height_m[i, k], self.height_m[i + 1, k]
        near, across = self.height_m[i, k + 1], self.height_m[i + 1, k + 1]
        first = u + v <= 1
        by_u = np.where(first, right - here, across - near)
        by_v = np.where(first, near - here, across - right)
        corner = np.where(first, here, near + right - across)
        return corner + u * by_u + v * by_v, by_u / wide, by_v / deep

    @cached_property
    def whole(self) -> Surface:
        """All of the terrain, to its horizon."""
        return self._cut(np.arange(len(self.x_m)), np.arange(len(self.z_m)))

    @cached_property
    def surface(self) -> Surface:
        """The terrain within the area of the people."""
        a = self.area
        return self._cut(
            np.flatnonzero((self.x_m >= a.left_x) & (self.x_m <= a.right_x)),
            np.flatnonzero((self.z_m >= a.back_z) & (self.z_m <= a.front_z)),
        )

    def _cut(self, columns: IntArray, rows: IntArray) -> Surface:
        x, z = np.meshgrid(self.x_m[columns], self.z_m[rows], indexing="ij")
        vertices = np.stack([x, self.height_m[np.ix_(columns, rows)], z], axis=-1)
        index = np.arange(x.size).reshape(x.shape)
        here, right = index[:-1, :-1].ravel(), index[1:, :-1].ravel()
        near, across = index[:-1, 1:].ravel(), index[1:, 1:].ravel()
        triangles = [np.stack([here, near, right], 1), np.stack([right, near, across], 1)]
        return Surface(vertices.reshape(-1, 3), np.concatenate(triangles))
