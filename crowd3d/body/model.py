"""The body model: pose, shape and place in, mesh and joints out. Batched, differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import roma
import torch
from torch import Tensor, nn

from crowd3d.body.arrays import BodyArrays
from crowd3d.body.tree import N_BETAS, TORSO_KEYPOINTS
from crowd3d.errors import BodyError

PEOPLE_AT_ONCE = 128  # where a whole crowd is posed: bounds the memory
# Transforms of all vertices of a batch are held at once; more than this many floats go in parts.
_CHUNK_FLOATS = 32_000_000


@dataclass(frozen=True)
class BodyOutput:
    """One row a person, metres.

    Attributes:
        vertices: (N, V, 3).
        joints: (N, 24, 3) SMPL's joints.
    """

    vertices: Tensor
    joints: Tensor


def as_matrices(pose: Tensor) -> Tensor:
    """(N, 24, 3) axis-angle, (N, 72) axis-angle or (N, 24, 3, 3) matrices -> (N, 24, 3, 3)."""
    if pose.ndim == 2 and pose.shape[1] == 72:
        pose = pose.reshape(-1, 24, 3)
    if pose.ndim == 4 and pose.shape[1:] == (24, 3, 3):
        return pose
    if pose.ndim == 3 and pose.shape[1:] == (24, 3):
        matrices: Tensor = roma.rotvec_to_rotmat(pose)
        return matrices
    raise BodyError(
        f"a pose is (N, 24, 3) axis-angle or (N, 24, 3, 3) matrices, not {tuple(pose.shape)}"
    )


def tree_levels(parents: Sequence[int]) -> list[list[int]]:
    """Joints by their distance from the root, the root left out."""
    depth = [0] * len(parents)
    for j, parent in enumerate(parents[1:], start=1):
        depth[j] = depth[parent] + 1
    return [[j for j, d in enumerate(depth) if d == k] for k in range(1, max(depth) + 1)]


def forward_kinematics(
    rotations: Tensor, joints: Tensor, parents: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Local rotations (N, J, 3, 3) and rest joints (N, J, 3) -> world rotations and posed joints.

    The root turns about its own rest place, as in SMPL (Loper et al. 2015, eq. 3 and 4).
    """
    world: list[Tensor] = [rotations[:, 0]] * len(parents)
    posed: list[Tensor] = [joints[:, 0]] * len(parents)
    for level in tree_levels(parents):
        up = [parents[j] for j in level]
        turn = torch.stack([world[p] for p in up], dim=1)
        start = torch.stack([posed[p] for p in up], dim=1)
        bone = joints[:, level] - joints[:, up]
        turned = turn @ rotations[:, level]
        ends = start + (turn @ bone.unsqueeze(-1)).squeeze(-1)
        for k, j in enumerate(level):
            world[j], posed[j] = turned[:, k], ends[:, k]
    return torch.stack(world, dim=1), torch.stack(posed, dim=1)


def skin(vertices: Tensor, weights: Tensor, world: Tensor, rest: Tensor, posed: Tensor) -> Tensor:
    """Linear blend skinning.

    Args:
        vertices: (N, V, 3) or (1, V, 3) in the rest pose.
        weights: (V, J), rows of sum 1.
        world: (N, J, 3, 3) world rotations; rest, posed: (N, J, 3) joints before and after.
    """
    shift = posed - (world @ rest.unsqueeze(-1)).squeeze(-1)
    transforms = torch.cat([world, shift.unsqueeze(-1)], dim=-1).flatten(2)
    blended = (weights @ transforms).reshape(len(world), len(weights), 3, 4)
    turned: Tensor = (blended[..., :3] @ vertices.unsqueeze(-1)).squeeze(-1)
    return turned + blended[..., 3]


class BodyModel(nn.Module):
    """A skinned body in the SMPL layout. Rest: T-pose, y up, facing +z, left at +x, metres.

    `betas` are the body's own, and mean nothing to another body. Of `open`: betas[0] is the stature in
    standard deviations (0.233 m about 1.615 m) of a population of all ages, and the other nine,
    principal components of what stature leaves, do not change it. Of a SMPL file: the first ten
    principal components its authors chose, the first of them mostly size. `crowd3d.body.refit` finds
    the betas of one body for a shape of another.

    Attributes:
        name: "open", or the file it came from.
        faces: (F, 3) int64; parents: (24,) int64, -1 for the root.
        uv, uv_faces: (T, 2) texture coordinates, v upwards, and (F, 3) their index; or None.
        v_template: (V, 3); shapedirs: (V, 3, 10); weights: (V, 24).
        j_template: (24, 3), j_shapedirs: (24, 3, 10): the joint regressor applied once.
    """

    faces: Tensor
    parents: Tensor
    v_template: Tensor
    shapedirs: Tensor
    weights: Tensor
    j_template: Tensor
    j_shapedirs: Tensor
    stature: Tensor
    posedirs: Tensor | None
    uv: Tensor | None
    uv_faces: Tensor | None

    def __init__(self, arrays: BodyArrays, name: str, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.name = name
        self._tree = tuple(int(p) for p in arrays.parents)

        def keep(key: str, values: object | None, kind: torch.dtype = dtype) -> None:
            tensor = None if values is None else torch.as_tensor(values).to(kind)
            self.register_buffer(key, tensor, persistent=False)

        keep("faces", arrays.faces, torch.int64)
        keep("parents", arrays.parents, torch.int64)
        keep("uv_faces", arrays.uv_faces, torch.int64)
        for key in ("v_template", "shapedirs", "weights", "posedirs", "uv"):
            keep(key, getattr(arrays, key))
        keep("j_template", arrays.j_regressor @ arrays.v_template)
        keep("j_shapedirs", arrays.joint_directions())
        keep("stature", arrays.stature_directions())
        for key, regressor in (("coco", arrays.coco_regressor), ("h36m", arrays.h36m_regressor)):
            used = None if regressor is None else abs(regressor).sum(axis=0).nonzero()[0]
            keep(f"_{key}_vertices", used, torch.int64)
            keep(f"_{key}_weights", None if regressor is None else regressor[:, used])

    def sharing(self) -> BodyModel:
        """Another body with the same tensors; moving one of both leaves the other where it is."""
        other = copy(self)
        other._buffers = dict(self._buffers)
        return other

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return int(self.v_template.shape[0])

    @property
    def has_keypoints(self) -> bool:
        """Whether COCO keypoints are known on this mesh."""
        return self._coco_weights is not None

    def rest_vertices(self, betas: Tensor) -> Tensor:
        """(N, 10) -> (N, V, 3) shaped body in the T-pose."""
        shaped = self._betas(betas) @ self.shapedirs.flatten(0, 1).T
        return self.v_template + shaped.reshape(len(shaped), self.n_vertices, 3)

    def rest_joints(self, betas: Tensor) -> Tensor:
        """(N, 10) -> (N, 24, 3) joints in the T-pose."""
        shaped = self._betas(betas) @ self.j_shapedirs.flatten(0, 1).T
        return self.j_template + shaped.reshape(len(shaped), len(self.j_template), 3)

    def joints_only(self, pose: Tensor, betas: Tensor, transl: Tensor | None = None) -> Tensor:
        """(N, 24, 3) posed joints, without touching a vertex."""
        rest = self.rest_joints(betas)
        posed = forward_kinematics(as_matrices(pose), rest, self._tree)[1]
        return posed if transl is None else posed + transl.unsqueeze(1)

    def forward(self, pose: Tensor, betas: Tensor, transl: Tensor | None = None) -> BodyOutput:
        """Pose, shape and place people.

        Args:
            pose: (N, 24, 3) axis-angle or (N, 24, 3, 3) rotation matrices, SMPL's order.
            betas: (N, 10), or (1, 10) for all.
            transl: (N, 3) added at the end, or None.

        Raises:
            BodyError: wrong shapes.
        """
        rotations = as_matrices(pose)
        n = len(rotations)
        betas = self._betas(betas)
        if len(betas) not in (1, n) or (transl is not None and transl.shape != (n, 3)):
            place = None if transl is None else tuple(transl.shape)
            raise BodyError(f"{n} poses with betas {tuple(betas.shape)} and transl {place}")
        betas = betas.expand(n, -1)
        rest = self.rest_joints(betas)
        world, posed = forward_kinematics(rotations, rest, self._tree)
        step = max(1, _CHUNK_FLOATS // (12 * self.n_vertices))
        parts = [
            skin(
                self._corrected(rotations[at : at + step], betas[at : at + step]),
                self.weights,
                world[at : at + step],
                rest[at : at + step],
                posed[at : at + step],
            )
            for at in range(0, max(n, 1), step)
        ]
        vertices = parts[0] if len(parts) == 1 else torch.cat(parts)
        if transl is not None:
            vertices, posed = vertices + transl.unsqueeze(1), posed + transl.unsqueeze(1)
        return BodyOutput(vertices, posed)

    def keypoints(self, vertices: Tensor) -> Tensor:
        """(N, V, 3) posed vertices -> (N, 17, 3) COCO keypoints."""
        return self._regress("coco", vertices)

    def h36m(self, vertices: Tensor) -> Tensor:
        """(N, V, 3) posed vertices -> (N, 17, 3) Human3.6M joints (tree.H36M_14 picks the 14)."""
        return self._regress("h36m", vertices)

    def torso(self, vertices: Tensor) -> Tensor:
        """(N, V, 3) posed vertices -> (N, 3) mean of both shoulders and both hips."""
        return self.keypoints(vertices)[:, list(TORSO_KEYPOINTS)].mean(dim=1)

    def stature_m(self, betas: Tensor) -> Tensor:
        """(N, 10) -> (N,) standing height, linear in the shape."""
        return self.stature[0] + self._betas(betas) @ self.stature[1:]

    def betas_for_stature(self, stature_m: Tensor) -> Tensor:
        """(N,) standing heights -> (N, 10) betas, the mean body's but for betas[0]."""
        betas = self.stature.new_zeros((*stature_m.shape, N_BETAS))
        first = (stature_m.to(betas) - self.stature[0]) / self.stature[1]
        return torch.cat([first.unsqueeze(-1), betas[..., 1:]], dim=-1)

    def _betas(self, betas: Tensor) -> Tensor:
        if betas.ndim != 2 or betas.shape[1] != N_BETAS:
            raise BodyError(f"betas are (N, {N_BETAS}), not {tuple(betas.shape)}")
        return betas

    def _corrected(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """Shaped vertices plus the pose correctives that a user's SMPL file may bring."""
        shaped = self.rest_vertices(betas)
        if self.posedirs is None:
            return shaped
        feature = (rotations[:, 1:] - torch.eye(3).to(rotations)).flatten(1)
        return shaped + (feature @ self.posedirs.flatten(0, 1).T).reshape(shaped.shape)

    def _regress(self, key: str, vertices: Tensor) -> Tensor:
        weights = getattr(self, f"_{key}_weights")
        if weights is None:
            raise BodyError(f"the body {self.name!r} has no {key} regressor for its mesh")
        if vertices.ndim != 3 or vertices.shape[1] != self.n_vertices:
            shape = tuple(vertices.shape)
            raise BodyError(f"vertices are (N, {self.n_vertices}, 3), not {shape}")
        chosen: Tensor = weights @ vertices[:, getattr(self, f"_{key}_vertices")]
        return chosen
