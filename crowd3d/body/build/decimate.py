"""Fewer vertices for a mirror-symmetric body, none of them moved. Only for `build_open`.

Quadric error metrics (Garland & Heckbert, SIGGRAPH 1997) with half-edge collapses: what is kept is a
subset of the vertices, so that shape directions and skinning weights stay as they were made. The
left half is simplified and mirrored; it meets the other at vertices that are their own image.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

_LEAST_COSINE = 0.2  # a face that turns further than this in a collapse would fold over
_LEAST_ROUNDNESS = 0.15  # of a new face: 1 equilateral, 0 a needle
_LENGTH_SHARE = 1e-4  # a collapse also costs this share of area times squared length


def decimate(poses: Array, faces: Index, mirror: Index, n_vertices: int) -> tuple[Index, Index]:
    """Collapse edges, cheapest first, until about `n_vertices` are left.

    Args:
        poses: (P, V, 3) one body in several poses, the first of them symmetric in x. Costs add over
            poses: what is flat at rest but bends is kept.
        faces: (F, 3); every one lies on one side of x = 0, and mirrored faces are faces.
        mirror: (V,) index of every vertex's mirror image.

    Returns:
        kept (n,) ascending indices of vertices, and faces (G, 3) that index into `kept`.
    """
    middle = mirror == np.arange(len(mirror))
    left = (poses[0, faces, 0] * ~middle[faces]).sum(axis=1) > 0
    half = _Half(poses, faces[left], middle)
    while half.count > n_vertices and half.collapse_cheapest():
        pass
    own = np.array(sorted(set().union(*half.rings.values())))
    image = mirror[own][:, [0, 2, 1]]
    kept, index = np.unique(np.concatenate([own, image]), return_inverse=True)
    return kept, index.reshape(-1, 3)


def _normals(corners: Array) -> Array:
    """(..., 3, 3) triangles -> (..., 3) normals, as long as twice the area."""
    first = corners[..., 0, :]
    return np.cross(corners[..., 1, :] - first, corners[..., 2, :] - first)


class _Half:
    """One half of the mesh while it shrinks.

    Attributes:
        rings: vertex -> its faces, as tuples of three vertices; count: vertices of the whole.
    """

    def __init__(self, poses: Array, faces: Index, middle: npt.NDArray[np.bool_]) -> None:
        self.poses, self.middle = poses, middle
        self.rings: dict[int, set[tuple[int, ...]]] = {int(v): set() for v in np.unique(faces)}
        for face in map(tuple, faces.tolist()):
            for v in face:
                self.rings[v].add(face)
        self.count = sum(1 if middle[v] else 2 for v in self.rings)
        self.quadrics = {v: self._quadric(v) for v in self.rings}
        self.queue: list[tuple[float, int, int, int]] = []
        self.age = dict.fromkeys(self.rings, 0)
        for v in self.rings:
            self._offer(v)

    def collapse_cheapest(self) -> bool:
        """Move one vertex onto a neighbour; False when none can."""
        while self.queue:
            _, gone, kept, age = heapq.heappop(self.queue)
            if self.age.get(gone) == age and self._allowed(gone, kept):
                self._collapse(gone, kept)
                return True
        return False

    def _neighbours(self, v: int) -> set[int]:
        return {w for face in self.rings[v] for w in face} - {v}

    def _quadric(self, v: int) -> Array:
        """(P, 4, 4) squared distance to the planes of the faces around, weighted by their areas."""
        corners = self.poses[:, list(self.rings[v])]
        normal = _normals(corners)
        area = np.linalg.norm(normal, axis=-1, keepdims=True)
        normal = normal / np.maximum(area, 1e-12)
        plane = np.concatenate([normal, -(normal * corners[:, :, 0]).sum(-1, keepdims=True)], -1)
        return np.asarray(np.einsum("pfi,pfj,pf->pij", plane, plane, area[..., 0]))

    def _offer(self, gone: int) -> None:
        """Queue the vertex with the neighbours onto which it may go; older entries are void."""
        self.age[gone] += 1
        others = [w for w in self._neighbours(gone) if self.middle[w] or not self.middle[gone]]
        target = np.concatenate(
            [self.poses[:, others], np.ones((len(self.poses), len(others), 1))], -1
        )
        error = np.einsum("pwi,pij,pwj->w", target, self.quadrics[gone], target)
        length = np.square(self.poses[:, others] - self.poses[:, [gone]]).sum(axis=(0, 2))
        area = np.trace(self.quadrics[gone][:, :3, :3], axis1=1, axis2=2).mean()
        for cost, w in zip(error + _LENGTH_SHARE * area * length, others, strict=True):
            heapq.heappush(self.queue, (float(cost), gone, w, self.age[gone]))

    def _allowed(self, gone: int, kept: int) -> bool:
        """Whether the surface stays a closed, unfolded one."""
        a, b = self._neighbours(gone), self._neighbours(kept)
        shared = [f for f in self.rings[gone] if kept in f]
        if len(a & b) != len(shared) or (self.middle[gone] and len(shared) != 1):
            return False
        # Two vertices of the middle may be joined only along it, or the edge would occur twice.
        joins = self.middle[kept] and not self.middle[gone]
        if joins and any(self.middle[w] for w in a - b - {kept}):
            return False
        moved = [f for f in self.rings[gone] if kept not in f]
        if not moved:
            return False
        before = self.poses[:, moved]
        after = self.poses[:, [[kept if v == gone else v for v in f] for f in moved]]
        n0, n1 = _normals(before), _normals(after)
        size0, size1 = np.linalg.norm(n0, axis=-1), np.linalg.norm(n1, axis=-1)
        sides = np.square(after - np.roll(after, 1, axis=2)).sum(axis=(2, 3))
        turned = (n0 * n1).sum(axis=-1) <= _LEAST_COSINE * size0 * size1
        return not (turned.any() or (size1 * 12**0.5 < _LEAST_ROUNDNESS * sides)[0].any())

    def _collapse(self, gone: int, kept: int) -> None:
        ring = self.rings.pop(gone)
        del self.age[gone]
        self.quadrics[kept] = self.quadrics[kept] + self.quadrics.pop(gone)
        self.count -= 1 if self.middle[gone] else 2
        for face in ring:
            for v in face:
                if v != gone:
                    self.rings[v].discard(face)
            if kept not in face:
                new = tuple(kept if v == gone else v for v in face)
                for v in new:
                    self.rings[v].add(new)
        for v in {kept, *self._neighbours(kept)}:
            self._offer(v)
