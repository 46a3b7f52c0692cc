"""overlay.jpg: the bodies drawn over the photograph, by casting the camera's own rays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import numpy.typing as npt
import torch

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
_BLOCK_PX = 512  # side of the parts that are drawn one by one
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
    """Bodies over a photograph, in place; block by block, as a crowd's triangles take much memory."""
    height, width = drawn.shape[:2]
    box_px = _boxes(scene.camera, mesh.vertices_m, (width, height))

    def draw(corner: tuple[int, int]) -> None:
        top, left = corner
        bottom, right = min(top + _BLOCK_PX, height), min(left + _BLOCK_PX, width)
        # One pixel more on each side shows whether a silhouette ends at the border of the block.
        low = np.array([max(left - 1, 0), max(top - 1, 0)])
        high = np.array([min(right + 1, width), min(bottom + 1, height)])
        is_near = (box_px[:, :2] < high).all(axis=1) & (box_px[:, 2:] > low).all(axis=1)
        if is_near.any():
            brush = _Brush(scene, mesh.filter(np.flatnonzero(is_near)), (width, height))
            paint = brush.paint(box_px[is_near], low, high)
            paint = paint[top - low[1] : bottom - low[1], left - low[0] : right - low[0]]
            block = drawn[top:bottom, left:right]
            blended = block * (1 - _OPACITY * paint[..., 3:]) + _OPACITY * 255 * paint[..., :3]
            block[:] = np.clip(np.rint(blended), 0, 255)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(draw, product(range(0, height, _BLOCK_PX), range(0, width, _BLOCK_PX))))


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

    def paint(self, box_px: IntArray, low: IntArray, high: IntArray) -> FloatArray:
        """(H, W, 4) RGB and coverage of the block from `low` to `high` (2,), column and row."""
        width, height = high - low
        wanted = np.zeros((height, width), bool)
        for left, top, right, bottom in np.maximum(box_px - np.tile(low, 2), 0):
            wanted[top:bottom, left:right] = True
        v, u = np.nonzero(wanted)
        person = np.full((height, width), -1, np.int64)
        paint = np.zeros((height, width, 4), np.float32)
        person[v, u], paint[v, u] = self.look(np.stack([u, v], axis=1) + (low + 0.5))
        v, u = np.nonzero(silhouettes(person))
        points = np.stack([u, v], axis=1) + (low + 0.5)
        mean = sum(self.look(points + shift)[1] for shift in _SUBPIXELS) / len(_SUBPIXELS)
        paint[v, u] = mean * np.array([_OUTLINE] * 3 + [1.0], np.float32)
        return paint

    def look(self, points: npt.NDArray[np.floating]) -> tuple[IntArray, FloatArray]:
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


def _boxes(camera: Camera, vertices_m: FloatArray, size: tuple[int, int]) -> IntArray:
    """(N, 4) left, top, right, bottom of each body and a margin of one pixel; zeros if it is not seen."""
    scale = np.array([camera.width / size[0], camera.height / size[1]])
    boxes = np.zeros((len(vertices_m), 4), np.int64)
    for box, vertices in zip(boxes, vertices_m, strict=True):
        pixels = camera.project(vertices) / scale
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        if len(pixels):
            box[:2] = np.clip(np.floor(pixels.min(axis=0)) - 1, 0, size)
            box[2:] = np.clip(np.ceil(pixels.max(axis=0)) + 1, 0, size)
    return boxes
