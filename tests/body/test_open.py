"""The embedded body: anatomy, shape space, and agreement of its two levels."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from crowd3d import body
from crowd3d.body.tree import COCO_NAMES, H36M_14, JOINT_NAMES, PARENTS

LEVELS = ("full", "crowd")


@pytest.fixture(scope="module")
def models():
    return {level: body.load("open", level) for level in LEVELS}


@pytest.fixture(scope="module", params=LEVELS)
def model(request, models):
    return models[request.param]


def at(points: torch.Tensor, names: tuple[str, ...], name: str) -> np.ndarray:
    return points[names.index(name)].numpy()


def test_sizes(models):
    assert models["full"].n_vertices == 6800 and models["crowd"].n_vertices == 1229
    assert tuple(models["full"].parents.tolist()) == PARENTS
    assert models["crowd"].name == "open"


def test_faces_close_the_surface(model):
    """Every edge is shared by two faces of opposite sense: a watertight, oriented surface."""
    faces = model.faces.numpy()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert (edges[:, 0] != edges[:, 1]).all()
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert {tuple(e) for e in edges} == {tuple(e) for e in edges[:, ::-1]}
    assert len(np.unique(faces)) == model.n_vertices
    assert model.n_vertices - len(edges) // 2 + len(faces) == 2  # Euler: one ball
    corners = model.v_template.double().numpy()[faces]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert 0.04 < volume < 0.09  # cubic metres, and outward normals


def test_skinning_weights(model):
    weights = model.weights
    assert int((weights > 0).sum(dim=1).max()) <= 4
    assert float(weights.min()) >= 0
    assert torch.allclose(weights.sum(dim=1), torch.ones(model.n_vertices), atol=1e-5)
    assert bool((weights.sum(dim=0) > 0).all())


def test_rest_pose_is_smpls(model):
    joints = model.j_template
    assert float(joints[0].norm()) < 1e-3
    for side, sign in (("left", 1), ("right", -1)):
        arm = [
            at(joints, JOINT_NAMES, f"{side}_{p}") for p in ("shoulder", "elbow", "wrist", "hand")
        ]
        leg = [at(joints, JOINT_NAMES, f"{side}_{p}") for p in ("hip", "knee", "ankle")]
        for a, b in pairwise(arm):
            direction = (b - a) / np.linalg.norm(b - a)
            assert sign * direction[0] > np.cos(np.radians(2))  # along x
        down = (leg[2] - leg[0]) / np.linalg.norm(leg[2] - leg[0])
        assert down[1] < -np.cos(np.radians(4)) and 0 < sign * down[0] < np.sin(np.radians(4))
        foot = at(joints, JOINT_NAMES, f"{side}_foot") - leg[2]
        assert foot[2] > 0.1 and abs(foot[0]) < 0.03 and foot[1] < 0
    heights = [
        at(joints, JOINT_NAMES, n)[1]
        for n in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
    ]
    assert heights == sorted(heights)
    low, high = model.v_template.min(dim=0).values, model.v_template.max(dim=0).values
    assert float(low[1]) < -0.8 and float(high[1]) > 0.65 and float(high[0]) > 0.75
    assert float(high[0] + low[0]) == pytest.approx(0, abs=1e-3)


def test_palms_face_down(models):
    """Thumbs in front: of all points of the hand, the one furthest forward is past the wrist's."""
    model = models["full"]
    hand = model.v_template[model.weights[:, 20] + model.weights[:, 22] > 0.9]
    extent = hand.max(dim=0).values - hand.min(dim=0).values
    assert float(extent[2]) > float(extent[1])  # flat
    assert float(hand[:, 2].max()) > float(model.j_template[20, 2]) + 0.04


def test_keypoints_are_where_they_belong(model):
    rest = model(torch.zeros(1, 24, 3), torch.zeros(1, 10))
    points = model.keypoints(rest.vertices)[0]
    joints = rest.joints[0]
    nose, ear = at(points, COCO_NAMES, "nose"), at(points, COCO_NAMES, "left_ear")
    assert nose[2] > at(joints, JOINT_NAMES, "spine3")[2] + 0.1 and nose[2] > ear[2]
    for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        left, right = (
            at(points, COCO_NAMES, f"left_{part}"),
            at(points, COCO_NAMES, f"right_{part}"),
        )
        assert left[0] > 0 > right[0]
        np.testing.assert_allclose(left * [-1, 1, 1], right, atol=2e-3)
    for part, limit in (("shoulder", 0.06), ("elbow", 0.04), ("wrist", 0.04), ("hip", 0.05),
                        ("knee", 0.05), ("ankle", 0.05)):  # fmt: skip
        gap = at(points, COCO_NAMES, f"left_{part}") - at(joints, JOINT_NAMES, f"left_{part}")
        assert np.linalg.norm(gap) < limit, part
    torso = points[[5, 6, 11, 12]].mean(dim=0)
    assert torch.allclose(model.torso(rest.vertices)[0], torso, atol=1e-6)


def test_h36m_joints_follow_the_joints(model):
    pose = 0.3 * torch.randn(3, 24, 3, generator=torch.Generator().manual_seed(3))
    out = model(pose, torch.zeros(1, 10))
    points = model.h36m(out.vertices)
    for row, joint in ((1, 2), (2, 5), (3, 8), (4, 1), (8, 12), (11, 16), (13, 20), (14, 17)):
        assert float((points[:, row] - out.joints[:, joint]).norm(dim=-1).max()) < 0.025, row
    assert len(H36M_14) == 14 and 0 not in H36M_14


def test_levels_agree(models):
    generator = torch.Generator().manual_seed(5)
    pose = 0.4 * torch.randn(20, 24, 3, generator=generator)
    betas = torch.randn(20, 10, generator=generator)
    outs = {level: m(pose, betas) for level, m in models.items()}
    joints = (outs["full"].joints - outs["crowd"].joints).norm(dim=-1)
    assert float(joints.max()) < 0.01
    points = [m.keypoints(outs[level].vertices) for level, m in models.items()]
    assert float((points[0] - points[1]).norm(dim=-1).max()) < 0.01
    assert torch.equal(models["full"].stature, models["crowd"].stature)


def test_stature(model):
    betas = torch.randn(50, 10, generator=torch.Generator().manual_seed(2))
    stature = model.stature_m(betas)
    vertices = model.rest_vertices(betas)
    height = vertices[..., 1].max(dim=1).values - vertices[..., 1].min(dim=1).values
    assert float((stature - height).abs().max()) < 0.03
    assert float((stature - height).abs().median()) < 0.01
    betas[:, 1:] += 1.0  # only the first beta is the stature
    assert torch.allclose(model.stature_m(betas), stature, atol=1e-5)
    assert float(model.stature[0]) == pytest.approx(1.62, abs=0.05)  # children and elders included
    assert 0.15 < float(model.stature[1]) < 0.3


def test_a_wished_stature_is_met(model):
    wished = torch.tensor([1.0, 1.2, 1.5, 1.7, 1.85, 2.0])
    betas = model.betas_for_stature(wished)
    assert betas.shape == (6, 10) and bool((betas[:, 1:] == 0).all())
    assert torch.allclose(model.stature_m(betas), wished, atol=1e-5)
    assert bool((betas[1:, 0] > betas[:-1, 0]).all())
    bones = model.rest_joints(betas)
    shins = (bones[:, 4] - bones[:, 7]).norm(dim=-1)
    assert bool((shins[1:] > shins[:-1]).all())


def test_wished_stature_is_differentiable(model):
    wished = torch.tensor([1.7], requires_grad=True)
    model.stature_m(model.betas_for_stature(wished)).sum().backward()
    assert float(wished.grad) == pytest.approx(1.0, abs=1e-5)


def test_arms_down_hang_beside_the_body(models):
    """Hands beside the thighs, and the shoulder keeps its thickness."""
    model = models["full"]
    pose = torch.zeros(1, 24, 3)
    pose[0, 16, 2], pose[0, 17, 2] = -1.25, 1.25
    out = model(pose, torch.zeros(1, 10))
    hand = out.joints[0, 22]
    assert 0.15 < float(hand[0]) < 0.45 and -0.3 < float(hand[1]) < 0.1

    def volume(vertices):
        corners = vertices.double()[model.faces]
        return float((corners[:, 0] * torch.linalg.cross(corners[:, 1], corners[:, 2])).sum() / 6)

    rest = volume(model.v_template)
    assert abs(volume(out.vertices[0]) / rest - 1) < 0.03


def test_texture_faces_are_whole(model):
    """No face is torn over two islands of the texture, and seams split few vertices."""
    uv, corners = model.uv, model.uv_faces
    assert corners.shape == model.faces.shape and int(corners.max()) == len(uv) - 1
    assert float(uv.min()) >= 0 and float(uv.max()) <= 1
    edges = uv[corners] - uv[corners.roll(1, dims=1)]
    assert float(edges.norm(dim=-1).max()) < 0.15
    assert model.n_vertices < len(uv) < 1.4 * model.n_vertices
    # One texture coordinate belongs to one vertex.
    owner = torch.full((len(uv),), -1)
    owner[corners.flatten()] = model.faces.flatten()
    assert torch.equal(owner[corners], model.faces)


def test_files_are_small():
    from pathlib import Path

    files = list(Path(body.__file__).parent.glob("open_*.npz"))
    assert len(files) == 2 and sum(f.stat().st_size for f in files) < 6e6
