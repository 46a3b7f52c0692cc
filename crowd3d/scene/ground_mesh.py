"""The ground of a scene as triangles, where people are and a little around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.scene.frames import ExportFrame
from crowd3d.scene.ground import Ground
from crowd3d.scene.people import People
from optim.ground.surface import STANDS, TERRAIN

FloatArray = npt.NDArray[np.float64]

_MARGIN_M = 3.0  # around the people
_AHEAD_M = 20.0  # ground shown where nobody stands
_MOST_CELLS, _CELL_M = (
    62,
    0.5,
)  # along a side of bent ground (3,969 vertices at most); the smallest one
_BENT = (STANDS, TERRAIN)
_STEEPEST = 1e-3  # cosine of a level's tilt; no ground is a wall


@dataclass(frozen=True)
class GroundMesh:
    """A piece of ground above a rectangle.

    Attributes:
        vertices_m: (rows, columns, 3) camera frame; columns go to the right, rows ahead.
        normals: (rows, columns, 3) unit vectors of the ground, up.
    """

    vertices_m: FloatArray
    normals: FloatArray

    @property
    def shares(self) -> FloatArray:
        """(rows, columns, 2) where the vertices are in the rectangle, from 0 to 1: to the right, and ahead."""
        rows, columns = self.vertices_m.shape[:2]
        right, ahead = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
        return np.stack([right, ahead], axis=-1)

    @property
    def faces(self) -> npt.NDArray[np.int64]:
        """(F, 3) triangles of the vertices, counted row by row; counter-clockwise seen from above."""
        rows, columns = self.vertices_m.shape[:2]
        number = np.arange(rows * columns).reshape(rows, columns)
        near, far = number[:-1], number[1:]
        corners = (near[:, :-1], near[:, 1:], far[:, 1:], far[:, :-1])
        a, b, c, d = (corner.ravel() for corner in corners)
        return np.stack([a, b, c, a, c, d], axis=1).reshape(-1, 3)


def ground_meshes(ground: Ground, frame: ExportFrame, people: People) -> dict[int, GroundMesh]:
    """Meshes of the ground by the plane that people on it have; one of ground that is no level.

    Of several levels, each is as large as the crowd on it; those where nobody stands are left out, but for the
    first.
    """
    feet = frame.z_up(people.hvip_m)
    is_known = np.isfinite(feet).all(axis=1)
    if ground.surface is not None:
        cells = _MOST_CELLS if ground.kind in _BENT else 1
        return {0: _over_surface(ground, frame, _grid(feet[is_known], cells))}
    meshes = {}
    for k, plane in enumerate(ground.planes):
        standing = feet[is_known & (people.plane == k)]
        if k > 0 and not len(standing):
            continue
        points = _grid(standing, 1)
        normal = frame.R_zup_cam @ plane.normal
        height = plane.offset_m + float(plane.normal @ frame.origin_m)
        points[..., 2] = -(points[..., :2] @ normal[:2] + height) / max(normal[2], _STEEPEST)
        vertices = frame.from_z_up(points)
        meshes[k] = GroundMesh(vertices, np.broadcast_to(plane.normal, vertices.shape))
    return meshes


def _over_surface(ground: Ground, frame: ExportFrame, points: FloatArray) -> GroundMesh:
    shape = points.shape
    level = frame.from_z_up(points.reshape(-1, 3))
    vertices = ground.feet_m(level, np.zeros(len(level), np.int64))
    normals = ground.tangents(vertices, np.zeros(len(level), np.int64)).normals
    return GroundMesh(vertices.reshape(shape), np.asarray(normals).reshape(shape))


def _grid(feet_m: FloatArray, most_cells: int) -> FloatArray:
    """(N, 3) feet, z up -> (rows, columns, 3) points over the rectangle around them and a margin, z = 0."""
    feet = feet_m[:, :2] if len(feet_m) else np.array([[0.0, 0.0], [0.0, _AHEAD_M]])
    low, high = feet.min(axis=0) - _MARGIN_M, feet.max(axis=0) + _MARGIN_M
    cells = np.clip(np.ceil((high - low) / _CELL_M), 1, most_cells).astype(int)
    return level_grid(low, high, cells)


def level_grid(low_m: FloatArray, high_m: FloatArray, cells: npt.NDArray[np.int64]) -> FloatArray:
    """(rows, columns, 3) corners of so many cells (2,) between two corners (2,) of a rectangle, z = 0."""
    x, y = (np.linspace(low_m[k], high_m[k], cells[k] + 1) for k in range(2))
    return np.stack([*np.meshgrid(x, y), np.zeros((len(y), len(x)))], axis=-1)
