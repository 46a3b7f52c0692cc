"""The meshes of everybody in a scene, in the camera frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crowd3d.body.model import PEOPLE_AT_ONCE
from crowd3d.scene.scene import Scene


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

    def joined(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """All bodies as one mesh: (N V, 3) vertices and (N F, 3) faces, person by person."""
        n, n_vertices = self.vertices_m.shape[:2]
        offsets = np.arange(n)[:, None, None] * n_vertices
        return self.vertices_m.reshape(-1, 3), (self.faces[None] + offsets).reshape(-1, 3)


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
