"""Clothed figures: the body pushed out into cloth, with skirts, hair, hats and bags as meshes of their own."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from scipy.spatial import cKDTree

from crowd3d import body
from crowd3d.body.model import as_matrices, forward_kinematics, skin
from crowd3d.maths.raycast import RayCaster
from crowd3d.synth import noise
from crowd3d.synth.cast.outfits import Outfits
from crowd3d.synth.cast.people import Bodies
from crowd3d.synth.figure import accessories, regions
from crowd3d.synth.figure.meshes import Mesh, vertex_normals

FloatArray = npt.NDArray[np.float32]

_AO_RAYS = 10
_AO_REACH_M = 0.45
_GAUSS_M = 0.05  # over which loose parts take their skinning weights from the body


@dataclass
class Figure:
    """One clothed person in the ground frame.

    Attributes:
        vertices_m, normals: (V, 3); faces: (F, 3).
        rest_m: (V, 3) place on the resting template, for patterns.
        material: (V,) codes of `accessories`.
        openness: (V,) share of the surroundings that a vertex sees.
    """

    vertices_m: FloatArray
    normals: FloatArray
    faces: npt.NDArray[np.int64]
    rest_m: FloatArray
    material: npt.NDArray[np.int8]
    openness: FloatArray


class Tailor:
    """Dresses bodies of one level of detail."""

    def __init__(self, level: str) -> None:
        self.model = body.load("open", level)
        self.rest_m = self.model.v_template.numpy().astype(np.float32)
        self.faces = self.model.faces.numpy()
        self.weights = self.model.weights.numpy()
        self._tree = cKDTree(self.rest_m)
        count = len(self.rest_m)
        i, j = self.faces.ravel(), np.roll(self.faces, 1, axis=1).ravel()
        links = sparse.coo_matrix(
            (np.ones(2 * len(i), np.float32), (np.r_[i, j], np.r_[j, i])), (count, count)
        )
        links = (links.tocsr() > 0).astype(np.float32) + sparse.identity(count, np.float32)
        self.smooth = sparse.csr_matrix(
            sparse.diags(1 / np.asarray(links.sum(axis=1)).ravel()) @ links
        )
        self._folds = noise.texture(np.random.default_rng(7), power=1.3, low=6)
        self._passes = 6 if level == "full" else 1

    def figure(self, bodies: Bodies, outfits: Outfits, i: int) -> Figure:
        """Person i, dressed, posed and placed."""
        with torch.inference_mode():
            betas = torch.as_tensor(bodies.betas[i : i + 1], dtype=torch.float32)
            shaped = self.model.rest_vertices(betas)[0].numpy()
            cloth = self._cloth(shaped, outfits, i)
            parts = accessories.worn(cloth, self.rest_m, outfits, i)
            posed = self._posed(cloth, parts, bodies, betas, i)
        held = accessories.held(bodies.joints_m[i], bodies.pose[i, 0], outfits, i)
        return self._merged(posed, parts, held)

    def _cloth(self, shaped: FloatArray, outfits: Outfits, i: int) -> FloatArray:
        """The resting body pushed out to where its clothes, hair and shoes end."""
        p = self.rest_m
        row = {f.name: getattr(outfits, f.name)[i] for f in fields(outfits)}
        full = np.full(len(p), 1.0, np.float32)
        top = regions.top_cover(
            p, full * row["sleeve_x"], full * row["hem_y"], full * row["neck_y"]
        )
        bottom = regions.bottom_cover(p, full * row["leg_y"]) & ~top
        shoes = regions.shoe_cover(p) & ~bottom
        edge = regions.hair_edge_y(p, full * row["hairline"])
        hair = noise.smoothstep(edge - 0.006, edge + 0.022, p[:, 1]) * (p[:, 1] > 0.5)
        along, around = regions.along_around(p)
        shift = row["wrinkle_seed"] * 37.0
        folds = noise.sample(self._folds, around * 1.1 + shift, along * 0.75 + 1.7 * shift)
        fine = noise.sample(self._folds, around * 4 + shift, along * 4)
        flare = 0.6 + 0.8 * regions.ankle_fraction(p)
        out = top * row["loose_top_m"] * (1 + 0.30 * folds)
        out = out + bottom * row["loose_bottom_m"] * flare * (1 + 0.28 * folds)
        out = out + shoes * 0.007 + hair * row["hair_m"] * (1 + 0.25 * fine)
        if row["hat_kind"] > 0:
            out = np.maximum(out, 0.016 * (p[:, 1] > accessories.HAT_Y) * (p[:, 1] > 0.6))
        loose = (top | bottom | shoes).astype(np.float32)[:, None]
        draped = shaped
        for _ in range(self._passes):
            draped = draped + loose * 0.7 * (self.smooth @ draped - draped)
        for _ in range(2):
            out = 0.4 * out + 0.6 * (self.smooth @ out)
        pushed = draped + out[:, None] * vertex_normals(draped, self.faces)
        sole = p[:, 1] < -0.878
        pushed[:, 1] = np.where(sole, shaped[:, 1] - row["sole_m"], pushed[:, 1])
        return np.asarray(pushed, np.float32)

    def _posed(
        self,
        cloth: FloatArray,
        parts: list[accessories.Part],
        bodies: Bodies,
        betas: torch.Tensor,
        i: int,
    ) -> FloatArray:
        points = np.concatenate([cloth, *(part.mesh.vertices for part in parts)])
        weights = np.concatenate([self.weights, *(self._part_weights(part) for part in parts)])
        rotations = as_matrices(torch.as_tensor(bodies.pose[i : i + 1], dtype=torch.float32))
        rest = self.model.rest_joints(betas)
        world, posed = forward_kinematics(rotations, rest, self.model.parents.tolist())
        moved = skin(torch.as_tensor(points)[None], torch.as_tensor(weights), world, rest, posed)
        return np.asarray(moved[0].numpy() + bodies.transl_m[i], np.float32)

    def _part_weights(self, part: accessories.Part) -> FloatArray:
        if part.joint is not None:
            fixed = np.zeros((len(part.mesh.vertices), 24), np.float32)
            fixed[:, part.joint] = 1.0
            return fixed
        distance, near = self._tree.query(part.rest_m, k=24)
        closeness = np.exp(-0.5 * ((distance - distance[:, :1]) / _GAUSS_M) ** 2)
        closeness /= closeness.sum(axis=1, keepdims=True)
        weights = np.einsum("nk,nkj->nj", closeness, self.weights[near])
        return np.asarray(part.soften(weights), np.float32)

    def _merged(
        self, posed: FloatArray, parts: list[accessories.Part], held: list[tuple[Mesh, int]]
    ) -> Figure:
        faces, at = [self.faces], len(self.rest_m)
        rest = [self.rest_m, *(part.rest_m for part in parts)]
        material = [np.zeros(at, np.int8)]
        for mesh, code in [*((p.mesh, p.material) for p in parts), *held]:
            faces.append(mesh.faces + at)
            at += len(mesh.vertices)
            material.append(np.full(len(mesh.vertices), code, np.int8))
        vertices = np.concatenate([posed, *(mesh.vertices for mesh, _ in held)])
        rest += [np.zeros_like(mesh.vertices) for mesh, _ in held]
        all_faces = np.concatenate(faces)
        normals = vertex_normals(vertices, all_faces)
        seen = _openness(vertices, normals, all_faces)
        n = len(self.rest_m)
        for _ in range(3):
            seen[:n] = self.smooth @ seen[:n]
        return Figure(
            vertices, normals, all_faces, np.concatenate(rest), np.concatenate(material), seen
        )


@cache
def tailor(level: str) -> Tailor:
    """The tailor of a level of detail; building one takes a moment."""
    return Tailor(level)


def _openness(
    vertices: FloatArray, normals: FloatArray, faces: npt.NDArray[np.int64]
) -> FloatArray:
    """(V,) share of cosine-distributed rays that leave the figure."""
    count = len(vertices)
    k = (np.arange(_AO_RAYS) + 0.5) / _AO_RAYS
    turn = noise.hashed(np.arange(count))[:, None] * 2 * np.pi
    angle = turn + np.arange(_AO_RAYS) * 2.399963
    radius = np.sqrt(k)
    helper = np.where(np.abs(normals[:, :1]) > 0.8, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    tangent = np.cross(normals, helper)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    bitangent = np.cross(normals, tangent)
    way = (
        (radius * np.cos(angle))[..., None] * tangent[:, None]
        + (radius * np.sin(angle))[..., None] * bitangent[:, None]
        + np.sqrt(1 - k)[:, None] * normals[:, None]
    )
    start = np.repeat(vertices + 0.004 * normals, _AO_RAYS, axis=0)
    dark = RayCaster(vertices, faces).occluded(start, way.reshape(-1, 3), _AO_REACH_M)
    return np.asarray(1 - dark.reshape(count, _AO_RAYS).mean(axis=1), np.float32)
