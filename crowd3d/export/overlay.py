"""overlay.jpg: the bodies drawn over the photograph, by casting the camera's own rays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crowd3d.export.bodies import CrowdMesh
from crowd3d.export.normals import vertex_normals
from crowd3d.export.outlines import draw_unplaced
from crowd3d.export.palette import person_colors
from crowd3d.maths.raycast import RayCaster
from crowd3d.scene.camera import Camera
from crowd3d.scene.scene import Scene

Picture = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_OPACITY = 0.72
_AMBIENT = 0.38  # share of the colour that a surface seen edge-on keeps
_OUTLINE = 0.55  # brightness of silhouettes, so that overlapping bodies stay apart
_ROWS = 128  # picture rows drawn at once, to bound memory
# Where bodies end, a pixel is the mean of four rays on a rotated grid; elsewhere one ray does.
_SUBPIXELS = np.array([[-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]])


def draw_overlay(scene: Scene, mesh: CrowdMesh, picture_rgb: Picture) -> Picture:
    """The photograph with everybody's body over it, nearer bodies before farther ones.

    Who has no place has no body either, but a box with the reason.

    Args:
        mesh: everybody's posed body.
        picture_rgb: (H, W, 3) the photograph at any size.

    Returns:
        (H, W, 3) uint8.
    """
    drawn = picture_rgb.copy()
    if len(mesh.index):
        _draw_bodies(scene, mesh, drawn)
    draw_unplaced(scene, drawn)
    return drawn


def _draw_bodies(scene: Scene, mesh: CrowdMesh, drawn: Picture) -> None:
    """Bodies over a photograph, in place."""
    height, width = drawn.shape[:2]
    brush = _Brush(scene, mesh, (width, height))
    wanted = _covered(scene.camera, mesh.vertices_m, (width, height))
    for top in range(0, height, _ROWS):
        band = slice(top, min(top + _ROWS, height))
        if wanted[band].any():
            drawn[band] = brush.blend(drawn[band], wanted, top)


class _Brush:
    """Everything needed to colour pixels of a picture of a given (width, height)."""

    def __init__(self, scene: Scene, mesh: CrowdMesh, size: tuple[int, int]) -> None:
        vertices, self.faces = mesh.joined()
        self.caster = RayCaster(vertices, self.faces)
        self.normals = vertex_normals(mesh.vertices_m, mesh.faces).reshape(-1, 3)
        self.faces_each = len(mesh.faces)
        self.colors = person_colors(scene.people.id[mesh.index]).astype(np.float32)
        self.camera = scene.camera
        self.scale = np.array([scene.camera.width / size[0], scene.camera.height / size[1]])

    def blend(self, rows: Picture, wanted: npt.NDArray[np.bool_], top: int) -> Picture:
        """Rows of the picture from `top` on, with the bodies over them."""
        # One more row on each side shows whether a silhouette ends at the border of the band.
        start, stop = max(top - 1, 0), min(top + len(rows) + 1, len(wanted))
        v, u = np.nonzero(wanted[start:stop])
        points = np.stack([u + 0.5, v + start + 0.5], axis=1)
        person = np.full((stop - start, rows.shape[1]), -1, np.int64)
        paint = np.zeros((*person.shape, 4), np.float32)
        person[v, u], paint[v, u] = self.look(points)
        v, u = np.nonzero(silhouettes(person))
        points = np.stack([u + 0.5, v + start + 0.5], axis=1)
        mean = sum(self.look(points + shift)[1] for shift in _SUBPIXELS) / len(_SUBPIXELS)
        paint[v, u] = mean * np.array([_OUTLINE] * 3 + [1.0], np.float32)
        paint = paint[top - start :][: len(rows)]
        blended = rows * (1 - _OPACITY * paint[..., 3:]) + _OPACITY * 255 * paint[..., :3]
        return np.asarray(np.clip(np.rint(blended), 0, 255), dtype=np.uint8)

    def look(self, points: npt.NDArray[np.float64]) -> tuple[IntArray, FloatArray]:
        """(N, 2) points of the picture -> who is seen there or -1, (N, 4) RGB and coverage."""
        rays = self.camera.rays(points * self.scale)
        hits = self.caster.hits(rays)
        seen = hits.face >= 0
        face = hits.face[seen]
        corners = self.normals[self.faces[face]]
        normal = np.einsum("nk,nkc->nc", hits.barycentric[seen], corners)
        facing = np.abs(np.einsum("nc,nc->n", normal, rays[seen].astype(np.float32))).clip(0, 1)
        person = np.full(len(points), -1, np.int64)
        person[seen] = face // self.faces_each
        paint = np.zeros((len(points), 4), np.float32)
        light = _AMBIENT + (1 - _AMBIENT) * facing
        paint[seen, :3] = self.colors[person[seen]] * light[:, None]
        paint[seen, 3] = 1.0
        return person, paint


def silhouettes(person: IntArray) -> npt.NDArray[np.bool_]:
    """(H, W) person indices -> pixels with a neighbour that shows somebody else, or nobody."""
    edge = np.zeros(person.shape, dtype=bool)
    for a, b in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
    ):
        differs = person[a] != person[b]
        edge[a] |= differs
        edge[b] |= differs
    return edge


def _covered(
    camera: Camera, vertices_m: FloatArray, size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """(H, W) pixels inside the box of at least one body, and a margin of one pixel."""
    wanted = np.zeros(size[::-1], dtype=bool)
    scale = np.array([camera.width / size[0], camera.height / size[1]])
    for vertices in vertices_m:
        pixels = camera.project(vertices) / scale
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        if not len(pixels):
            continue
        left, top = np.clip(np.floor(pixels.min(axis=0)).astype(int) - 1, 0, None)
        right, bottom = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 1, 0, None)
        wanted[top:bottom, left:right] = True
    return wanted
