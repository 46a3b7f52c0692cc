"""Keypoints of a skinned body without its mesh: exact, and a thousand times cheaper than skinning.

A keypoint is a fixed mean of skinned vertices, and linear blend skinning is linear in the joints'
transforms; so keypoint k = sum_j [ R_j C_kj(beta) + b_kj p_j ], with C_kj linear in the shape. Only
the sums over vertices are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from crowd3d.body import BodyModel


@dataclass(frozen=True)
class Rig:
    """What is left of a body when only joints and P points on it matter.

    Attributes:
        parents: (24,) kinematic tree, -1 for the root.
        joints: (11, 24, 3) rest joints in metres: row 0 at mean shape, rows 1-10 per unit of beta.
        offsets: (11, P, 24, 3) blended rest offsets C of each point from each joint, likewise.
        weights: (P, 24) share of each joint in each point; rows sum to 1.
        stature: (11,) standing height in metres, likewise linear in the shape.
    """

    parents: Tensor
    joints: Tensor
    offsets: Tensor
    weights: Tensor
    stature: Tensor

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Rig:
        """The same rig elsewhere; the tree keeps its integers."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return Rig(**{k: v if k == "parents" else v.to(dtype) for k, v in moved.items()})


@dataclass(frozen=True)
class Posed:
    """A posed rig in the frame of the root rotation, pelvis at its rest place.

    Attributes:
        world: (N, 24, 3, 3) global rotations.
        joints: (N, 24, 3) metres.
        parts: (N, P, 24, 3) contribution of every joint to every point; they sum to the points.
    """

    world: Tensor
    joints: Tensor
    parts: Tensor

    @property
    def points(self) -> Tensor:
        """(N, P, 3) metres."""
        return self.parts.sum(-2)


def with_shape(table: Tensor, betas: Tensor) -> Tensor:
    """Values (11, ...) linear in the shape, at betas (N, 10) -> (N, ...)."""
    ones = torch.ones_like(betas[:, :1])
    values: Tensor = torch.tensordot(torch.cat([ones, betas], dim=1), table, dims=1)
    return values


def chain(parents: Tensor, local: Tensor) -> Tensor:
    """Parent-relative rotations (N, 24, 3, 3) -> global ones."""
    world: list[Tensor] = []
    for joint, parent in enumerate(parents.tolist()):
        turn = local[:, joint]
        world.append(turn if parent < 0 else world[parent] @ turn)
    return torch.stack(world, dim=1)


def place_joints(parents: Tensor, world: Tensor, rest: Tensor) -> Tensor:
    """Joint positions (N, 24, 3) from global rotations and rest joints (N, 24, 3)."""
    placed: list[Tensor] = []
    for joint, parent in enumerate(parents.tolist()):
        if parent < 0:
            placed.append(rest[:, joint])
            continue
        bone = rest[:, joint] - rest[:, parent]
        placed.append(placed[parent] + (world[:, parent] @ bone[..., None])[..., 0])
    return torch.stack(placed, dim=1)


def pose_rig(rig: Rig, rotations: Tensor, betas: Tensor) -> Posed:
    """Pose a rig.

    Args:
        rotations: (N, 24, 3, 3) local rotations, SMPL order.
        betas: (N, 10).
    """
    rest = with_shape(rig.joints, betas)
    world = chain(rig.parents, rotations)
    joints = place_joints(rig.parents, world, rest)
    offsets = with_shape(rig.offsets, betas)
    parts = torch.einsum("njab,npjb->npja", world, offsets)
    return Posed(world, joints, parts + rig.weights[..., None] * joints[:, None])


def rig_of(body: BodyModel) -> Rig:
    """The rig of a body: points 0-16 are its COCO keypoints, 17-21 heels, toes and the crown.

    Pose correctives, which a user's SMPL file may bring, are left out: they move keypoints by
    millimetres.
    """
    picked = torch.cat([_coco_matrix(body), _ground_matrix(body)])
    template = torch.cat([body.v_template[None], body.shapedirs.permute(2, 0, 1)])
    joints = torch.cat([body.j_template[None], body.j_shapedirs.permute(2, 0, 1)])
    share = torch.einsum("pv,vj->pj", picked, body.weights)
    blended = torch.einsum("pv,vj,bvx->bpjx", picked, body.weights, template)
    offsets = blended - share[None, :, :, None] * joints[:, None]
    return Rig(body.parents, joints, offsets, share, body.stature)


def _coco_matrix(body: BodyModel) -> Tensor:
    """(17, V) regressor, read off by giving `body.keypoints` one unit vertex after the other."""
    count, step = body.n_vertices, 192
    columns = []
    for start in range(0, count, step):
        probe = torch.zeros(step // 3, count, 3).to(body.v_template)
        index = torch.arange(start, min(start + step, count))
        probe[(index - start) // 3, index, (index - start) % 3] = 1.0
        columns.append(body.keypoints(probe).permute(1, 0, 2).flatten(1)[:, : len(index)])
    return torch.cat(columns, dim=1)


def _ground_matrix(body: BodyModel) -> Tensor:
    """(5, V) one-hot rows: left heel, right heel, left toe, right toe, crown."""
    x, y, z = body.v_template.unbind(-1)
    sole = y < y.min() + 0.04
    rows = []
    for back in (True, False):
        for left in (True, False):
            side = sole & ((x > 0) if left else (x < 0))
            reach = torch.where(side, -z if back else z, torch.full_like(z, -1e9))
            rows.append(int(reach.argmax()))
    rows.append(int(y.argmax()))
    return torch.nn.functional.one_hot(torch.tensor(rows), body.n_vertices).to(body.v_template)


def descendants(rig: Rig) -> Tensor:
    """(24, 24) 1 where column i hangs on row j, itself included."""
    below = torch.eye(len(rig.parents), dtype=rig.weights.dtype)
    for joint, parent in reversed(list(enumerate(rig.parents.tolist()))):
        if parent >= 0:
            below[parent] += below[joint]
    return below
