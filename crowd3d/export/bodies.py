"""The meshes of everybody in a scene, in the camera frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crowd3d.body.model import PEOPLE_AT_ONCE
from crowd3d.scene.frames import ExportFrame
from crowd3d.scene.scene import Scene

_BODIES_AT_ONCE = 256  # in a file that is written part by part


@dataclass(frozen=True)
class CrowdMesh:
    """Posed bodies that share their triangles.

    Attributes:
        index: (N,) rows of the scene's people; who has no place in 3D is missing.
        vertices_m: (N, V, 3) float32, camera frame.
        faces: (F, 3) of one body.
    """

    index: npt.NDArray[np.int64]
    vertices_m: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int64]

    def filter(self, keep: npt.NDArray[np.int64]) -> CrowdMesh:
        """The bodies that an index array selects, in that order."""
        return CrowdMesh(self.index[keep], self.vertices_m[keep], self.faces)

    def joined(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """All bodies as one mesh: (N V, 3) vertices and (N F, 3) faces, person by person."""
        n, n_vertices = self.vertices_m.shape[:2]
        offsets = np.arange(n)[:, None, None] * n_vertices
        return self.vertices_m.reshape(-1, 3), (self.faces[None] + offsets).reshape(-1, 3)


@dataclass(frozen=True)
class LocalBodies:
    """The same bodies, y up, each relative to the foot of its torso; made part by part.

    Attributes:
        feet_m: (N, 3) y up; the middle of the body if its foot is unknown.
    """

    mesh: CrowdMesh
    frame: ExportFrame
    feet_m: npt.NDArray[np.float64]

    @classmethod
    def of(cls, scene: Scene, mesh: CrowdMesh, frame: ExportFrame) -> LocalBodies:
        """The bodies of a scene's people."""
        feet = frame.y_up(scene.people.hvip_m[mesh.index])
        lost = ~np.isfinite(feet).all(axis=1)
        if lost.any():
            feet[lost] = frame.y_up(mesh.vertices_m[lost]).mean(axis=1)
        return cls(mesh, frame, feet)

    def parts(self) -> Iterator[npt.NDArray[np.float64]]:
        """(n, V, 3) vertices of the next n bodies, until all N were given."""
        for start in range(0, len(self.feet_m), _BODIES_AT_ONCE):
            part = slice(start, start + _BODIES_AT_ONCE)
            yield self.frame.y_up(self.mesh.vertices_m[part]) - self.feet_m[part, None]


def posed_vertices(scene: Scene, body: Any) -> npt.NDArray[np.float32]:
    """(N, V, 3) vertices of all people in the camera frame, metres; NaN for who has no place.

    Args:
        body: a `crowd3d.body.BodyModel`, or anything called the same way.
    """
    people = scene.people
    vertices = np.full((len(people), body.n_vertices, 3), np.nan, np.float32)
    with torch.inference_mode():
        for start in range(0, len(people), PEOPLE_AT_ONCE):
            part = slice(start, start + PEOPLE_AT_ONCE)
            pose, betas, transl = (
                torch.as_tensor(values[part], dtype=torch.float32)
                for values in (people.pose, people.betas, people.transl_m)
            )
            vertices[part] = np.asarray(body(pose, betas, transl).vertices)
    return vertices


def crowd_mesh(scene: Scene, body: Any) -> CrowdMesh:
    """Meshes of everybody who has a place in 3D."""
    vertices = posed_vertices(scene, body)
    index = np.flatnonzero(np.isfinite(vertices).all(axis=(1, 2)))
    return CrowdMesh(index, vertices[index], np.asarray(body.faces, dtype=np.int64))
