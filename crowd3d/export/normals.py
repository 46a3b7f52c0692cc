"""Smooth normals of many bodies that share their triangles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

_CHUNK = 64  # bodies at once


def vertex_normals(
    vertices_m: npt.NDArray[np.floating], faces: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """(N, V, 3) vertices, (F, 3) triangles -> (N, V, 3) unit normals, weighted by area.

    A vertex without area around it gets (0, 1, 0), so that all lengths are one.
    """
    n, n_vertices = vertices_m.shape[:2]
    corners = (faces.reshape(-1), np.repeat(np.arange(len(faces)), 3))
    gather = csr_matrix((np.ones(faces.size, np.float32), corners), shape=(n_vertices, len(faces)))
    normals = np.empty((n, n_vertices, 3), np.float32)
    for start in range(0, n, _CHUNK):
        part = np.asarray(vertices_m[start : start + _CHUNK], dtype=np.float32)
        a, b, c = (part[:, faces[:, k]] for k in range(3))
        across = np.cross(b - a, c - a).transpose(1, 0, 2).reshape(len(faces), -1)
        summed = (gather @ across).reshape(n_vertices, len(part), 3).transpose(1, 0, 2)
        length = np.linalg.norm(summed, axis=-1, keepdims=True)
        good = length > 1e-12
        up = np.array([0.0, 1.0, 0.0], np.float32)
        normals[start : start + _CHUNK] = np.where(good, summed / np.where(good, length, 1), up)
    return normals
