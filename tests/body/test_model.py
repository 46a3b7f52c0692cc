"""The body model itself: skinning, kinematics, derivatives, on hand-made and embedded bodies."""

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd3d import body
from crowd3d.body.arrays import BodyArrays, read_npz
from crowd3d.body.model import BodyModel
from crowd3d.body.tree import JOINT_MIRROR, JOINT_NAMES, PARENTS
from crowd3d.errors import BodyError


@pytest.fixture(scope="module", params=["full", "crowd"])
def model(request) -> BodyModel:
    return body.load("open", request.param)


@pytest.fixture(scope="module")
def crowd() -> BodyModel:
    return body.load("open", "crowd")


def random_pose(n: int, scale: float = 0.4, seed: int = 0) -> torch.Tensor:
    return scale * torch.randn(n, 24, 3, generator=torch.Generator().manual_seed(seed))


def random_betas(n: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, 10, generator=torch.Generator().manual_seed(seed))


def tiny() -> dict[str, np.ndarray]:
    """Eight vertices on the left arm: two at each of shoulder, elbow, wrist and hand."""
    joints = np.zeros((24, 3))
    for j, x in ((16, 1.0), (18, 2.0), (20, 3.0), (22, 4.0)):
        joints[j, 0] = x
    vertices = np.repeat(joints[[16, 18, 20, 22]], 2, axis=0)
    vertices[::2, 1] += 0.5
    vertices[1::2, 1] -= 0.5
    regressor, weights = np.zeros((24, 8)), np.zeros((8, 24))
    for k, j in enumerate((16, 18, 20, 22)):
        regressor[j, [2 * k, 2 * k + 1]] = 0.5
        weights[[2 * k, 2 * k + 1], j] = 1.0
    regressor[regressor.sum(axis=1) == 0] = np.array([0.5, 0.5, 0, 0, 0, 0, 0, 0])
    shapedirs = np.zeros((8, 3, 10))
    shapedirs[:, 0, 0] = vertices[:, 0]  # the first beta stretches along x
    return {
        "v_template": vertices,
        "shapedirs": shapedirs,
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([PARENTS, range(24)]),
        "f": np.array([[0, 1, 2], [1, 3, 2]]),
    }


def load_tiny(tmp_path, **changes) -> BodyModel:
    path = tmp_path / "tiny.npz"
    np.savez(path, **(tiny() | changes))
    return body.load(path)


def test_hand_computed_elbow(tmp_path):
    model = load_tiny(tmp_path)
    pose = torch.zeros(1, 24, 3)
    pose[0, 18, 2] = np.pi / 2  # the left elbow turns up
    out = model(pose, torch.zeros(1, 10), torch.tensor([[0.0, 0.0, 10.0]]))
    want = [
        [1, 0.5], [1, -0.5],  # shoulder: stays
        [1.5, 0], [2.5, 0],  # elbow, at (2, 0): (0, .5) -> (-.5, 0)
        [1.5, 1], [2.5, 1],  # wrist: one above the elbow
        [1.5, 2], [2.5, 2],
    ]  # fmt: skip
    np.testing.assert_allclose(out.vertices[0, :, :2].numpy(), want, atol=1e-6)
    np.testing.assert_allclose(out.vertices[0, :, 2].numpy(), 10.0)
    np.testing.assert_allclose(out.joints[0, 22].numpy(), [2, 2, 10], atol=1e-6)


def test_hand_computed_shape_and_blend(tmp_path):
    weights = tiny()["weights"]
    weights[4] = 0.0
    weights[4, [16, 18]] = 0.5  # one wrist vertex half on the shoulder
    model = load_tiny(tmp_path, weights=weights)
    pose = torch.zeros(1, 24, 3)
    pose[0, 18, 2] = np.pi / 2
    betas = torch.zeros(1, 10)
    betas[0, 0] = 1.0  # twice as long
    out = model(pose, betas)
    np.testing.assert_allclose(out.joints[0, 20].numpy(), [4, 2, 0], atol=1e-6)
    # Rest (6, .5): unmoved for the shoulder, (4 - .5, 2) for the elbow; half of each.
    np.testing.assert_allclose(out.vertices[0, 4].numpy(), [4.75, 1.25, 0], atol=1e-6)


def test_hand_computed_pose_corrective(tmp_path):
    posedirs = np.zeros((8, 3, 207))
    posedirs[0, 2, 9 * 17 + 1] = 1.0  # entry (0, 1) of the left elbow's rotation
    model = load_tiny(tmp_path, posedirs=posedirs)
    pose = torch.zeros(1, 24, 3)
    pose[0, 18, 2] = np.pi / 6
    vertices = model(pose, torch.zeros(1, 10)).vertices[0]
    assert float(vertices[0, 2]) == pytest.approx(-0.5, abs=1e-6)  # -sin 30 degrees


def test_rest_is_the_shaped_template(model):
    betas = random_betas(3)
    out = model(torch.zeros(3, 24, 3), betas)
    assert torch.allclose(out.vertices, model.rest_vertices(betas), atol=2e-6)
    assert torch.allclose(out.joints, model.rest_joints(betas), atol=2e-6)


def test_axis_angle_and_matrices_agree(crowd):
    pose, betas = random_pose(4), random_betas(4)
    other = crowd(roma.rotvec_to_rotmat(pose), betas)
    assert torch.allclose(crowd(pose, betas).vertices, other.vertices, atol=1e-6)
    assert torch.allclose(crowd(pose.flatten(1), betas).vertices, other.vertices, atol=1e-6)


def test_naive_twin(crowd):
    """Vertex by vertex, joint by joint, in plain numpy."""
    pose, betas, transl = random_pose(2), random_betas(2), torch.randn(2, 3)
    out = crowd(pose, betas, transl)
    rotations = roma.rotvec_to_rotmat(pose).double().numpy()
    weights = crowd.weights.double().numpy()
    for n in range(2):
        rest_v = crowd.rest_vertices(betas)[n].double().numpy()
        rest_j = crowd.rest_joints(betas)[n].double().numpy()
        chain = [np.eye(4) for _ in PARENTS]
        for j, parent in enumerate(PARENTS):
            chain[j][:3, :3] = rotations[n, j]
            chain[j][:3, 3] = rest_j[j] - (rest_j[parent] if j else 0)
            chain[j] = chain[parent] @ chain[j] if j else chain[j]
        for v in range(0, crowd.n_vertices, 97):
            point = sum(
                weights[v, j] * (chain[j][:3, :3] @ (rest_v[v] - rest_j[j]) + chain[j][:3, 3])
                for j in range(24)
            )
            np.testing.assert_allclose(
                out.vertices[n, v].numpy(), point + transl[n].numpy(), atol=2e-6
            )


def test_a_joint_moves_its_descendants_only(crowd):
    betas = torch.zeros(1, 10)
    rest = crowd(torch.zeros(1, 24, 3), betas)
    pose = torch.zeros(1, 24, 3)
    elbow = JOINT_NAMES.index("left_elbow")
    pose[0, elbow, 1] = -1.0
    moved = (crowd(pose, betas).joints - rest.joints).norm(dim=-1)[0] > 1e-6
    assert moved.nonzero().flatten().tolist() == [20, 22]
    still = crowd.weights[:, [18, 20, 22]].sum(dim=1) == 0
    gap = (crowd(pose, betas).vertices - rest.vertices).norm(dim=-1)[0]
    assert float(gap[still].max()) < 1e-6 < 0.1 < float(gap.max())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_turning_the_root_turns_everything(values):
    model = body.load("open", "crowd")
    turn = roma.rotvec_to_rotmat(torch.tensor(values[:3]))
    place = torch.tensor(values[3:])
    pose, betas = roma.rotvec_to_rotmat(random_pose(1)), random_betas(1)
    before = model(pose, betas)
    pose2 = pose.clone()
    pose2[:, 0] = turn @ pose[:, 0]
    after = model(pose2, betas, place[None])
    root = model.rest_joints(betas)[:, :1]
    want = (before.vertices - root) @ turn.T + root + place
    assert torch.allclose(after.vertices, want, atol=1e-5)


def test_mirrored_pose_gives_the_mirrored_body(model):
    flip = torch.tensor([-1.0, 1.0, 1.0])
    pose = random_pose(2)
    mirrored = pose[:, list(JOINT_MIRROR)] * torch.tensor([1.0, -1.0, -1.0])
    betas = random_betas(2)
    a, b = model(pose, betas), model(mirrored, betas)
    assert torch.allclose(a.joints[:, list(JOINT_MIRROR)] * flip, b.joints, atol=2e-3)
    swap = torch.cdist(model.v_template * flip, model.v_template).argmin(dim=1)
    gap = (a.vertices[:, swap] * flip - b.vertices).norm(dim=-1)
    assert float(gap.max()) < 5e-3


def test_derivatives():
    arrays = BodyArrays(**{k: v for k, v in vars(body_arrays()).items()})
    model = BodyModel(arrays, "double", torch.float64)
    pose = random_pose(1).double().requires_grad_()
    betas = random_betas(1).double().requires_grad_()
    transl = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    some = torch.arange(0, model.n_vertices, 300)

    def points(p, b, t):
        out = model(p, b, t)
        return torch.cat([out.vertices[:, some], out.joints, model.keypoints(out.vertices)], dim=1)

    assert torch.autograd.gradcheck(points, (pose, betas, transl), fast_mode=True)


def test_the_gradient_exists_at_the_rest_pose(crowd):
    pose = torch.zeros(1, 24, 3, requires_grad=True)
    crowd(pose, torch.zeros(1, 10)).joints[0, 22, 1].backward()
    assert bool(torch.isfinite(pose.grad).all())
    # Turning the shoulder about z by d raises the hand by d times the arm's length.
    arm = crowd.j_template[22, 0] - crowd.j_template[16, 0]
    assert float(pose.grad[0, 16, 2]) == pytest.approx(float(arm), abs=1e-3)


def body_arrays(level: str = "crowd") -> BodyArrays:
    from pathlib import Path

    return read_npz(Path(body.__file__).with_name(f"open_{level}.npz"))


def test_joints_only_is_the_same_joints(crowd):
    pose, betas, transl = random_pose(5), random_betas(5), torch.randn(5, 3)
    assert torch.equal(crowd.joints_only(pose, betas, transl), crowd(pose, betas, transl).joints)


def test_parts_of_a_batch_agree(crowd, monkeypatch):
    pose, betas = random_pose(7), random_betas(7)
    whole = crowd(pose, betas).vertices
    monkeypatch.setattr(body.model, "_CHUNK_FLOATS", 12 * crowd.n_vertices * 2)
    assert torch.allclose(crowd(pose, betas).vertices, whole, atol=1e-6)


def test_nobody(crowd):
    out = crowd(torch.zeros(0, 24, 3), torch.zeros(0, 10))
    assert out.vertices.shape == (0, 1229, 3) and out.joints.shape == (0, 24, 3)
    assert crowd.keypoints(out.vertices).shape == (0, 17, 3)


def test_one_shape_serves_many_poses(crowd):
    pose, betas = random_pose(3), random_betas(1)
    assert torch.allclose(
        crowd(pose, betas).vertices, crowd(pose, betas.expand(3, -1)).vertices, atol=1e-6
    )


@pytest.mark.parametrize(
    "pose, betas, transl",
    [((1, 23, 3), (1, 10), None), ((2, 24, 3), (3, 10), None), ((1, 24, 3), (1, 9), None),
     ((2, 24, 3), (2, 10), (1, 3)), ((24, 3), (1, 10), None)],
)  # fmt: skip
def test_wrong_shapes_are_named(crowd, pose, betas, transl):
    with pytest.raises(BodyError):
        crowd(
            torch.zeros(pose), torch.zeros(betas), None if transl is None else torch.zeros(transl)
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_same_vertices_on_a_gpu(crowd):
    pose, betas, transl = random_pose(3), random_betas(3), torch.randn(3, 3)
    there = body.load("open", "crowd").cuda()(pose.cuda(), betas.cuda(), transl.cuda())
    here = crowd(pose, betas, transl)
    assert torch.allclose(there.vertices.cpu(), here.vertices, atol=1e-5)


@pytest.mark.parametrize("level", ["full", "crowd"])
def test_same_vertices_as_smplx(level):
    """The reference implementation, given our arrays and pose correctives."""
    smplx = pytest.importorskip("smplx")
    arrays, struct = body_arrays(level), type("Struct", (), {})()
    posedirs = 1e-3 * np.random.default_rng(4).normal(size=(len(arrays.v_template), 3, 207))
    model = BodyModel(BodyArrays(**{**vars(arrays), "posedirs": posedirs}), "open")
    kintree = np.array([PARENTS, range(24)])
    for key, value in {
        "f": arrays.faces, "v_template": arrays.v_template, "shapedirs": arrays.shapedirs,
        "J_regressor": arrays.j_regressor, "weights": arrays.weights, "kintree_table": kintree,
        "posedirs": posedirs,
    }.items():  # fmt: skip
        setattr(struct, key, value)
    vertex_ids = dict.fromkeys(smplx.vertex_ids.vertex_ids["smplh"], 0)
    reference = smplx.SMPL("", data_struct=struct, num_betas=10, vertex_ids=vertex_ids)
    pose, betas, transl = random_pose(3), random_betas(3), torch.randn(3, 3)
    want = reference(
        betas=betas, body_pose=pose[:, 1:].flatten(1), global_orient=pose[:, 0], transl=transl
    )
    out = model(pose, betas, transl)
    assert float((out.vertices - want.vertices).abs().max()) < 1e-5
    assert float((out.joints - want.joints[:, :24]).abs().max()) < 1e-5
