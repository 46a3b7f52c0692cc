"""Small meshes: tubes, discs and rounded boxes, for skirts, hair, hats and bags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass
class Mesh:
    """vertices (V, 3) metres, faces (F, 3)."""

    vertices: FloatArray
    faces: npt.NDArray[np.int64]


def grid_faces(rows: int, columns: int, wrap: bool) -> npt.NDArray[np.int64]:
    """Two triangles a cell of a (rows, columns) grid of vertices; wrapped columns close a tube.

    They face outwards where rows fall and columns turn from the front to the left.
    """
    r = np.arange(rows - 1)[:, None]
    c = np.arange(columns if wrap else columns - 1)[None]
    a, b = r * columns + c, r * columns + (c + 1) % columns
    lower = np.stack([a, b + columns, b], axis=-1).reshape(-1, 3)
    upper = np.stack([a, a + columns, b + columns], axis=-1).reshape(-1, 3)
    return np.concatenate([lower, upper])


def tube(
    center: FloatArray,
    radius: FloatArray,
    segments: int,
    arc_rad: tuple[float, float] | None = None,
) -> Mesh:
    """Elliptic rings stacked along y; angle 0 is the front (+z), growing towards the left (+x).

    Args:
        center: (R, 3); radius: (R, 2) along x and z.
        arc_rad: part of the full turn; None = closed.
    """
    low, high = arc_rad or (0.0, 2 * np.pi)
    angle = np.linspace(low, high, segments, endpoint=arc_rad is not None)
    ring = np.stack([np.sin(angle), np.zeros(segments), np.cos(angle)], axis=1)
    scale = np.stack([radius[:, 0], np.zeros(len(radius)), radius[:, 1]], axis=1)
    vertices = center[:, None] + ring[None] * scale[:, None]
    faces = grid_faces(len(center), segments, arc_rad is None)
    return Mesh(vertices.reshape(-1, 3).astype(np.float32), faces)


def pillow(center: npt.ArrayLike, half: npt.ArrayLike, roundness: float = 0.35) -> Mesh:
    """A rounded box: a superellipsoid; roundness 1 is an ellipsoid, near 0 a box."""
    u = np.linspace(np.pi / 2, -np.pi / 2, 9)[:, None]
    v = np.linspace(-np.pi, np.pi, 16, endpoint=False)[None]

    def power(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.sign(x) * np.abs(x) ** roundness)

    ones = np.ones_like(v)
    unit = np.stack(
        [
            power(np.cos(u)) * power(np.sin(v)),
            power(np.sin(u)) * ones,
            power(np.cos(u)) * power(np.cos(v)),
        ],
        axis=-1,
    )
    vertices = unit.reshape(-1, 3) * np.asarray(half) + np.asarray(center)
    return Mesh(vertices.astype(np.float32), grid_faces(9, 16, True))


def vertex_normals(vertices: FloatArray, faces: npt.NDArray[np.int64]) -> FloatArray:
    """(V, 3) unit normals, area-weighted."""
    corner = vertices[faces]
    weighted = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normals = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(weighted[:, axis], 3), len(vertices))
            for axis in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.maximum(length, 1e-12), np.float32)
