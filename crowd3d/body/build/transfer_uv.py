"""Texture coordinates of one mesh carried to another that lies on it. Only for `build_open`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

_N_NEAR = 24  # source triangles looked at for a corner
_METRES_PER_UV = 0.5  # what leaving the face's own chart costs, against distance on the surface
_TORN_UV = 0.04  # a corner this far from the face's own map was found on the far side of a seam


def _barycentric(points: Array, triangles: Array) -> Array:
    """(..., 3) points, (..., 3, 3) triangles -> (..., 3) coordinates of the foot on the plane."""
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    normal = np.cross(b - a, c - a)
    area = np.maximum((normal * normal).sum(axis=-1), 1e-18)
    v = (np.cross(points - a, c - a) * normal).sum(axis=-1) / area
    w = (np.cross(b - a, points - a) * normal).sum(axis=-1) / area
    return np.stack([1 - v - w, v, w], axis=-1)


def corner_uv(
    source: Array, source_faces: Index, source_uv: Array, vertices: Array, faces: Index
) -> Array:
    """(F, 3, 2) coordinates for every corner of a mesh, no face torn across two charts.

    A face takes the affine map of the source triangle nearest to its middle; each corner is then
    looked up on the nearby triangles that agree with this map.

    Args:
        source, vertices: (S, 3), (V, 3); source_uv: (G, 3, 2) for the corners of (G, 3) faces.
    """
    triangles = source[source_faces]
    tree = cKDTree(triangles.mean(axis=1))
    corners = vertices[faces]
    home = tree.query(corners.mean(axis=1))[1]
    guess = np.einsum(
        "fkc,fcu->fku", _barycentric(corners, triangles[home][:, None]), source_uv[home]
    )
    near = tree.query(corners.reshape(-1, 3), k=_N_NEAR)[1].reshape(*faces.shape, _N_NEAR)
    inside = np.clip(_barycentric(corners[:, :, None], triangles[near]), 0, 1)
    inside /= inside.sum(axis=-1, keepdims=True)
    foot = np.einsum("fknc,fkncx->fknx", inside, triangles[near])
    uv = np.einsum("fknc,fkncu->fknu", inside, source_uv[near])
    cost = np.linalg.norm(foot - corners[:, :, None], axis=-1)
    cost += _METRES_PER_UV * np.linalg.norm(uv - guess[:, :, None], axis=-1)
    best = cost.argmin(axis=-1)[..., None, None]
    found = np.take_along_axis(uv, best, axis=2)[:, :, 0]
    # Beyond a seam nothing nearby agrees with the map: continue the map itself.
    torn = np.linalg.norm(found - guess, axis=-1, keepdims=True) > _TORN_UV
    return np.asarray(np.clip(np.where(torn, guess, found), 0.0, 1.0))


def shared_uv(uv: Array, faces: Index) -> tuple[Array, Index]:
    """(F, 3, 2) per corner -> (T, 2) and (F, 3) indices: one entry per vertex, two at a seam."""
    keys = np.concatenate([faces.reshape(-1, 1), np.round(uv.reshape(-1, 2) * 4096)], axis=1)
    unique, index = np.unique(keys.astype(np.int64), axis=0, return_inverse=True)
    return unique[:, 1:] / 4096.0, index.reshape(faces.shape)
