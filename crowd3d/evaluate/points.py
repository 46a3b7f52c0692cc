"""Keypoints and joints of posed bodies: of their meshes only the vertices that regressors look at are posed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crowd3d.body.model import PEOPLE_AT_ONCE
from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.errors import BodyError

if TYPE_CHECKING:
    from torch import Tensor

    from crowd3d.body import BodyModel

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """Of N bodies in the camera frame, metres.

    Attributes:
        keypoints_m: (N, 17, 3); torso_m: (N, 3); joints_m: (N, 24, 3); h36m_m: (N, 17, 3) or None.
    """

    keypoints_m: FloatArray
    torso_m: FloatArray
    joints_m: FloatArray
    h36m_m: FloatArray | None


def posed(
    model: BodyModel,
    pose: FloatArray,
    betas: FloatArray,
    transl_m: FloatArray,
    scale: FloatArray | None = None,
) -> Points:
    """The points of N bodies, in double precision.

    Args:
        pose: (N, 24, 3); betas: (N, 10).
        transl_m: (N, 3) added to the raw body after it is enlarged by `scale` (N,).

    Raises:
        BodyError: the body has no regressor of COCO's keypoints.
    """
    if not model.has_keypoints:
        raise BodyError(f"the body {model.name!r} has no regressor of COCO keypoints")
    n = len(pose)
    size = np.ones(n) if scale is None else scale
    used, regressors = _regressors(model)
    found: list[list[FloatArray]] = [[] for _ in range(len(regressors) + 1)]
    for start in range(0, n, PEOPLE_AT_ONCE):
        part = slice(start, start + PEOPLE_AT_ONCE)
        vertices, joints = _pose_vertices(model, used, pose[part], betas[part])
        grown = size[part, None, None]
        for rows, values in zip(found, [joints, *(r @ vertices for r in regressors)], strict=True):
            rows.append(grown * values.numpy() + transl_m[part, None])
    sizes = (24, *[len(r) for r in regressors])
    joined = [
        np.concatenate([np.zeros((0, k, 3)), *rows]) for k, rows in zip(sizes, found, strict=True)
    ]
    torso = joined[1][:, list(TORSO_KEYPOINTS)].mean(axis=1)
    return Points(joined[1], torso, joined[0], joined[2] if len(joined) > 2 else None)


def vertices_of(
    model: BodyModel, pose: FloatArray, betas: FloatArray, transl_m: FloatArray, scale: FloatArray
) -> FloatArray:
    """(N, V, 3) whole meshes in the camera frame, double precision."""
    import torch

    every = torch.arange(model.n_vertices)
    vertices = _pose_vertices(model, every, pose, betas)[0].numpy()
    return np.asarray(scale[:, None, None] * vertices + transl_m[:, None])


def _regressors(model: BodyModel) -> tuple[Tensor, list[Tensor]]:
    """The union of the vertices that COCO's and Human3.6M's regressors look at, and their weights over it."""
    import torch

    buffers = dict(model.named_buffers())
    pairs = [
        (buffers[f"_{key}_vertices"], buffers[f"_{key}_weights"])
        for key in ("coco", "h36m")
        if buffers.get(f"_{key}_weights") is not None
    ]
    used = torch.unique(torch.cat([vertices for vertices, _ in pairs]))
    dense = []
    for vertices, weights in pairs:
        over = torch.zeros((len(weights), len(used)), dtype=torch.float64)
        over[:, torch.searchsorted(used, vertices)] = weights.double()
        dense.append(over)
    return used, dense


def _pose_vertices(
    model: BodyModel, used: Tensor, pose: FloatArray, betas: FloatArray
) -> tuple[Tensor, Tensor]:
    """Chosen vertices (N, K, 3) and all joints (N, 24, 3) of raw bodies."""
    import torch

    from crowd3d.body.model import as_matrices, forward_kinematics, skin

    with torch.inference_mode():
        rotations = as_matrices(torch.from_numpy(np.ascontiguousarray(pose, np.float64)))
        shape = torch.from_numpy(np.ascontiguousarray(betas, np.float64))
        rest = model.j_template.double() + torch.einsum(
            "jck,nk->njc", model.j_shapedirs.double(), shape
        )
        world, joints = forward_kinematics(rotations, rest, [int(p) for p in model.parents])
        vertices = model.v_template[used].double()
        vertices = vertices + torch.einsum("vck,nk->nvc", model.shapedirs[used].double(), shape)
        if model.posedirs is not None:
            feature = (rotations[:, 1:] - torch.eye(3, dtype=torch.float64)).flatten(1)
            moves = model.posedirs[used].double().flatten(0, 1)
            vertices = vertices + (feature @ moves.T).reshape(vertices.shape)
        chosen = skin(vertices, model.weights[used].double(), world, rest, joints)
    return chosen, joints
