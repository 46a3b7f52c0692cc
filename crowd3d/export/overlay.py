"""overlay.jpg: the bodies drawn over the photograph, by casting the camera's own rays."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.export.palette import person_colors
from crowd3d.raycast import RayCaster
from crowd3d.scene import Scene

Picture = npt.NDArray[np.uint8]

_OPACITY = 0.72
_AMBIENT = 0.38  # share of the colour that a surface seen edge-on keeps
_OUTLINE = 0.35  # brightness of silhouettes
_FINE_PX = 1_500_000  # pictures below are drawn at twice their size and averaged
_ROWS = 256  # rays of so many picture rows are cast at once, to bound memory


def draw_overlay(
    scene: Scene, vertices_m: npt.NDArray[np.float32], faces: npt.NDArray[np.int64], picture_rgb: Picture
) -> Picture:
    """The photograph with everybody's body over it, nearer bodies before farther ones.

    Args:
        vertices_m: (N, V, 3) camera frame, metres, row i for the i-th person that has a place.
        faces: (F, 3) of one body.
        picture_rgb: (H, W, 3) the photograph at any size.

    Returns:
        (H, W, 3) uint8.
    """
    if len(vertices_m) == 0:
        return picture_rgb.copy()
    height, width = picture_rgb.shape[:2]
    zoom = 2 if height * width < _FINE_PX else 1
    person, shade = _render(scene, vertices_m, faces, width * zoom, height * zoom)
    color = np.vstack([person_colors(np.arange(len(vertices_m))), np.zeros(3)])[person] * shade[..., None]
    color[_silhouettes(person)] *= _OUTLINE
    opacity = np.where(person >= 0, _OPACITY, 0.0)
    if zoom > 1:
        color = cv2.resize(color * opacity[..., None], (width, height), interpolation=cv2.INTER_AREA)
        opacity = cv2.resize(opacity, (width, height), interpolation=cv2.INTER_AREA)
    else:
        color = color * opacity[..., None]
    blended = picture_rgb * (1.0 - opacity[..., None]) + 255.0 * color
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8)


def _render(
    scene: Scene, vertices_m: npt.NDArray[np.float32], faces: npt.NDArray[np.int64], width: int, height: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(H, W) person index or -1, and brightness 0..1 of what is seen."""
    n, n_vertices = vertices_m.shape[:2]
    all_faces = (faces[None] + np.arange(n)[:, None, None] * n_vertices).reshape(-1, 3)
    caster = RayCaster(vertices_m.reshape(-1, 3), all_faces)
    scale = scene.camera.width / width
    wanted = _covered(scene, vertices_m, width, height, scale)
    person = np.full((height, width), -1, dtype=np.int64)
    shade = np.zeros((height, width))
    for top in range(0, height, _ROWS):
        rows, columns = np.nonzero(wanted[top : top + _ROWS])
        if not len(rows):
            continue
        pixels = np.stack([columns + 0.5, rows + top + 0.5], axis=1) * scale
        rays = scene.camera.rays(pixels)
        hits = caster.hits(rays)
        seen = hits.face >= 0
        where = (rows[seen] + top, columns[seen])
        corners = caster.vertex_normals[all_faces[hits.face[seen]]]
        normal = np.einsum("nk,nkc->nc", hits.barycentric[seen], corners)
        facing = np.abs(np.einsum("nc,nc->n", normal, rays[seen])).clip(0, 1)
        person[where] = hits.face[seen] // len(faces)
        shade[where] = _AMBIENT + (1 - _AMBIENT) * facing
    return person, shade


def _covered(
    scene: Scene, vertices_m: npt.NDArray[np.float32], width: int, height: int, scale: float
) -> npt.NDArray[np.bool_]:
    """(H, W) pixels inside the box of at least one body."""
    wanted = np.zeros((height, width), dtype=bool)
    for vertices in vertices_m:
        pixels = scene.camera.project(vertices) / scale
        if not np.isfinite(pixels).all():
            continue
        left, top = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - 1, 0)
        right, bottom = np.ceil(pixels.max(axis=0)).astype(int) + 2
        wanted[top : max(bottom, 0), left : max(right, 0)] = True
    return wanted


def _silhouettes(person: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(H, W) pixels of a body whose right or lower neighbour belongs to another one, or to nobody."""
    edge = np.zeros(person.shape, dtype=bool)
    edge[:, :-1] |= person[:, :-1] != person[:, 1:]
    edge[:-1] |= person[:-1] != person[1:]
    return edge & (person >= 0)
