"""Rays against triangle meshes on the CPU, with Embree from a wheel: no GL library, no screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# Measured: 3 million rays a second on one core from 2^12 to 2^18 rays at once, half of it from 2^20 on.
_CHUNK_RAYS = 1 << 16
_START_M = 1e-3  # shadow rays begin so far from their surface, lest it shadows itself


@dataclass(frozen=True)
class Hits:
    """What each of N rays meets first.

    Attributes:
        face: (N,) index of the triangle, -1 for a miss.
        distance_m: (N,) along the ray, inf for a miss.
        barycentric: (N, 3) weights of the triangle's three corners, 0 for a miss.
    """

    face: IntArray
    distance_m: FloatArray
    barycentric: FloatArray


class RayCaster:
    """A triangle mesh that answers ray queries; both sides of a triangle count.

    Args:
        vertices_m: (V, 3) in any one metric frame.
        faces: (F, 3) indices into the vertices.

    Raises:
        ValueError: wrong shapes, non-finite vertices or indices out of range.
    """

    def __init__(self, vertices_m: npt.ArrayLike, faces: npt.ArrayLike) -> None:
        vertices = np.ascontiguousarray(vertices_m, dtype=np.float32).reshape(-1, 3)
        indices = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
        if not np.isfinite(vertices).all():
            raise ValueError("a mesh with non-finite vertices cannot be cast against")
        if indices.size and (indices.min() < 0 or indices.max() >= len(vertices)):
            raise ValueError(f"faces refer to vertices outside 0..{len(vertices) - 1}")
        self._vertices = vertices
        self._faces = indices
        self._scene = EmbreeScene() if len(indices) else None
        if self._scene is not None:
            # The mesh must outlive the scene, which only points to it.
            corners = np.ascontiguousarray(indices, dtype=np.int32)
            self._mesh = TriangleMesh(self._scene, vertices, corners)

    @cached_property
    def face_normals(self) -> FloatArray:
        """(F, 3) unit normals by the right-hand rule; zero for degenerate triangles."""
        a, b, c = (self._vertices[self._faces[:, i]] for i in range(3))
        normals = np.cross(b - a, c - a)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.asarray(normals / np.maximum(length, 1e-30), dtype=np.float32)

    def cast(
        self, directions: npt.ArrayLike, origins: npt.ArrayLike | None = None
    ) -> tuple[IntArray, FloatArray]:
        """First triangle on each ray.

        Args:
            directions: (N, 3), any length.
            origins: (N, 3), (3,) for all, or None for the frame's origin.

        Returns:
            face (N,), -1 for a miss; distance in metres (N,), inf for a miss.
        """
        hits = self.hits(directions, origins)
        return hits.face, hits.distance_m

    def hits(self, directions: npt.ArrayLike, origins: npt.ArrayLike | None = None) -> Hits:
        """Like `cast`, with the place inside the triangle, for shading."""
        count = len(np.asarray(directions))
        face = np.full(count, -1, np.int64)
        distance_m = np.full(count, np.inf, np.float32)
        barycentric = np.zeros((count, 3), np.float32)
        for part, start, way in _chunks(directions, origins):
            if self._scene is None:
                continue
            found = self._scene.run(start, way, output=True)
            hit = found["primID"] >= 0
            face[part] = found["primID"]
            distance_m[part] = np.where(hit, found["tfar"], np.inf)
            u, v = found["u"], found["v"]
            barycentric[part] = np.stack([1 - u - v, u, v], axis=1) * hit[:, None]
        return Hits(face, distance_m, barycentric)

    def occluded(
        self,
        origins: npt.ArrayLike,
        directions: npt.ArrayLike,
        max_distance_m: npt.ArrayLike = np.inf,
    ) -> npt.NDArray[np.bool_]:
        """Whether anything lies between the origins and `max_distance_m` along the directions.

        Args:
            origins: (N, 3); points on the mesh itself are fine, the first millimetre is skipped.
            directions: (N, 3), any length, or (3,) for all.
            max_distance_m: (N,) or a scalar.

        Returns:
            (N,) bool.
        """
        starts = np.asarray(origins, dtype=np.float64).reshape(-1, 3)
        ways = np.broadcast_to(np.asarray(directions, dtype=np.float64), starts.shape)
        limit = np.broadcast_to(np.asarray(max_distance_m, dtype=np.float64), len(starts))
        dark = np.zeros(len(starts), bool)
        for part, start, way in _chunks(ways, starts):
            if self._scene is None:
                continue
            reach = np.minimum(limit[part] - _START_M, 1e30).astype(np.float32)
            found = self._scene.run(start + _START_M * way, way, dists=reach, query="OCCLUDED")
            dark[part] = (found >= 0) & (reach > 0)
        return dark


def _chunks(
    directions: npt.ArrayLike, origins: npt.ArrayLike | None
) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Parts of the rays as Embree wants them: float32, unit length; a bad ray looks at nothing."""
    ways = np.asarray(directions)
    if ways.ndim != 2 or ways.shape[1] != 3:
        raise ValueError(f"ray directions are (N, 3), not {ways.shape}")
    starts = np.broadcast_to(np.zeros(3) if origins is None else np.asarray(origins), ways.shape)
    for begin in range(0, len(ways), _CHUNK_RAYS):
        part = slice(begin, begin + _CHUNK_RAYS)
        way = ways[part].astype(np.float64)
        start = np.array(starts[part], dtype=np.float32)
        length = np.linalg.norm(way, axis=1, keepdims=True)
        good = np.isfinite(length) & (length > 0) & np.isfinite(start).all(axis=1, keepdims=True)
        unit = np.divide(way, length, out=np.tile([0.0, 0.0, 1.0], (len(way), 1)), where=good)
        start[~good[:, 0]] = 1e30
        yield part, start, np.ascontiguousarray(unit, dtype=np.float32)
