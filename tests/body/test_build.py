"""The pieces of the build of the embedded body, without Anny."""

import numpy as np
import pytest

from crowd3d.body.build.anny_rest import strongest, t_pose, to_body_frame
from crowd3d.body.build.build_open import directions, shape_space
from crowd3d.body.build.decimate import decimate
from crowd3d.body.build.fit_regressors import convex, exact, fit_symmetric, mirror_map
from crowd3d.body.build.transfer_uv import corner_uv, shared_uv
from crowd3d.body.tree import PARENTS


def random_rotations(n: int, seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    q[np.linalg.det(q) < 0, :, 0] *= -1
    return q


def test_frame_is_y_up_facing_z_left_at_x():
    assert to_body_frame(np.array([0.0, 0.0, 1.0])).tolist() == [0, 1, 0]  # up
    assert to_body_frame(np.array([0.0, -1.0, 0.0])).tolist() == [0, 0, 1]  # forward
    assert to_body_frame(np.array([1.0, 0.0, 0.0])).tolist() == [1, 0, 0]  # left


def test_strongest_keeps_the_largest():
    kept = strongest(np.array([[0.1, 0.4, 0.2, 0.3]]), 2)
    np.testing.assert_allclose(kept, [[0, 4 / 7, 0, 3 / 7]])


def test_t_pose_inverts_the_skinning():
    """Skinning the T-pose back by the inverse rotations gives the A-pose it came from."""
    rng = np.random.default_rng(0)
    joints, vertices = rng.normal(size=(2, 24, 3)), rng.normal(size=(2, 50, 3))
    weights = strongest(rng.random((50, 24)) ** 6, 4)
    angle = np.zeros((24, 3, 3)) + np.eye(3)
    mild = 0.8 * np.eye(3) + 0.2 * random_rotations(24, 1)
    u, _, vt = np.linalg.svd(mild)
    angle = u @ vt
    rest, posed = t_pose(vertices, joints, weights, angle)
    assert np.abs(posed[:, 0]).max() == 0
    back = np.zeros_like(vertices)
    for j in range(24):
        turned = (rest - posed[:, [j]]) @ angle[j] + joints[:, [j]]
        back += weights[:, [j]] * turned
    np.testing.assert_allclose(back, vertices, atol=1e-9)
    for j, parent in enumerate(PARENTS[1:], start=1):
        bone = (joints[:, j] - joints[:, parent]) @ angle[parent].T
        np.testing.assert_allclose(posed[:, j] - posed[:, parent], bone, atol=1e-12)


def test_shape_space_finds_a_linear_one():
    """Stature first and alone, uncorrelated scores of unit variance, nothing lost of ten factors."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(200, 10))
    basis = 0.02 * rng.normal(size=(10, 90))
    template = rng.normal(size=90)
    template[[1, 4]] = [9.0, -9.0]  # two vertices that stay the highest and the lowest
    vertices = (template + factors @ basis).reshape(200, 30, 3)
    space = shape_space(vertices.astype(np.float32), vertices[:, :24])
    np.testing.assert_allclose(space.scores.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(space.scores.T @ space.scores / 200, np.eye(10), atol=1e-3)
    np.testing.assert_allclose(space.stature_m[2:], 0, atol=1e-6)
    assert space.stature_m[1] > 0 and space.report["variance_lost"] < 1e-5
    fit = directions(space.scores, vertices)
    basis11 = np.concatenate([np.ones((200, 1)), space.scores], axis=1)
    np.testing.assert_allclose(np.tensordot(basis11, fit, 1), vertices, atol=1e-3)


@pytest.mark.parametrize("fit", [convex, exact])
def test_regressors_hit_reachable_points(fit):
    rng = np.random.default_rng(1)
    examples = rng.normal(size=(4, 60, 3))
    truth = np.zeros(60)
    truth[[3, 8, 20]] = [0.5, 0.3, 0.2]
    weights = fit(examples, truth @ examples)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights @ examples, truth @ examples, atol=5e-4)
    if fit is convex:
        assert weights.min() >= 0 and (weights > 0).sum() <= 13
    else:
        assert np.abs(weights).max() < 0.5


def test_regressors_are_symmetric():
    rng = np.random.default_rng(2)
    half = np.abs(rng.normal(size=(40, 3)))
    template = np.concatenate([half, half * [-1, 1, 1]])
    mirror = mirror_map(template)
    assert (mirror == np.r_[40:80, 0:40]).all()
    left = half[:6].mean(axis=0)
    targets = np.stack([left * [0, 1, 1], left, left * [-1, 1, 1]])[None]
    rows = fit_symmetric(template[None], targets, (0, 2, 1), mirror, 60)
    np.testing.assert_array_equal(rows[2], rows[1][mirror])
    np.testing.assert_allclose(rows[0], rows[0][mirror])
    np.testing.assert_allclose((rows @ template)[1:], targets[0, 1:], atol=1e-3)
    with pytest.raises(ValueError, match="symmetric"):
        mirror_map(rng.normal(size=(10, 3)))


def test_texture_survives_the_transfer_to_the_same_mesh():
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
    vertices = np.c_[grid, np.zeros(36)]
    square = np.array([[0, 1, 7], [0, 7, 6]])
    faces = np.concatenate([square + 6 * r + c for r in range(5) for c in range(5)])
    uv = grid[faces] / 10
    uv[25:] += 0.45  # the upper half lies on another island
    carried = corner_uv(vertices, faces, uv, vertices, faces)
    np.testing.assert_allclose(carried, uv, atol=1e-6)
    vt, ft = shared_uv(carried, faces)
    np.testing.assert_allclose(vt[ft], uv, atol=2e-4)
    assert 36 < len(vt) < 36 + 14


def wavy_ball(n_rings: int, n_sides: int) -> tuple[np.ndarray, np.ndarray]:
    """A closed surface, symmetric in x, with bumps in front of a smooth back; faces never straddle x = 0."""
    turn = 2 * np.pi * np.arange(n_sides) / n_sides
    fall = np.pi * (np.arange(1, n_rings) / n_rings)
    radius = 1 + 0.1 * np.cos(6 * turn)[None] * np.cos(5 * fall)[:, None] * (np.cos(turn) > 1e-9)
    ring = np.stack([np.sin(turn), np.zeros(n_sides), np.cos(turn)], axis=-1)
    body = radius[..., None] * np.sin(fall)[:, None, None] * ring
    body[..., 1] = radius * np.cos(fall)[:, None]
    vertices = np.concatenate([body.reshape(-1, 3), [[0, 1, 0], [0, -1, 0]]])
    vertices[np.abs(vertices[:, 0]) < 1e-12, 0] = 0.0
    faces = []
    for s in range(n_sides):
        t = (s + 1) % n_sides
        faces += [[len(vertices) - 2, s, t]]
        faces += [[len(vertices) - 1, (n_rings - 2) * n_sides + t, (n_rings - 2) * n_sides + s]]
        for r in range(n_rings - 2):
            a, b, c, d = (
                r * n_sides + s,
                r * n_sides + t,
                (r + 1) * n_sides + t,
                (r + 1) * n_sides + s,
            )
            # The diagonal is mirrored with the side, so that mirrored faces are faces.
            faces += [[a, d, c], [a, c, b]] if s < n_sides // 2 else [[b, d, c], [b, a, d]]
    return vertices, np.array(faces)


def test_decimation_keeps_a_closed_symmetric_surface():
    vertices, faces = wavy_ball(20, 40)
    mirror = mirror_map(vertices)
    kept, fewer = decimate(vertices[None], faces, mirror, 300)
    assert 290 <= len(kept) <= 300 and fewer.max() == len(kept) - 1
    edges = np.concatenate([fewer[:, [0, 1]], fewer[:, [1, 2]], fewer[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert {tuple(e) for e in edges} == {tuple(e) for e in edges[:, ::-1]}
    assert len(kept) - len(edges) // 2 + len(fewer) == 2  # still one ball
    image = mirror_map(vertices[kept])
    found = {tuple(sorted(f)) for f in fewer}
    assert all(tuple(sorted(image[f])) in found for f in fewer)
    corners = vertices[kept][fewer]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    whole = vertices[faces]
    assert volume == pytest.approx(
        np.einsum("fi,fi->", whole[:, 0], np.cross(whole[:, 1], whole[:, 2])) / 6, rel=0.03
    )


def test_decimation_leaves_out_what_is_flat_in_every_pose():
    """A flat back goes first, unless it bends in another pose."""
    vertices, faces = wavy_ball(20, 40)
    vertices[:, 2] = np.maximum(vertices[:, 2], -0.3)
    mirror, back = mirror_map(vertices), vertices[:, 2] < -0.29
    bent = vertices.copy()
    bent[back, 2] *= 1 + 0.3 * np.cos(20 * vertices[back, 1])
    alone = decimate(vertices[None], faces, mirror, 300)[0]
    both = decimate(np.stack([vertices, bent]), faces, mirror, 300)[0]
    assert back[alone].mean() < 0.1 < 0.3 < back.mean()
    assert back[both].mean() > 1.5 * back[alone].mean()


def test_decimation_of_nothing_changes_nothing():
    vertices, faces = wavy_ball(8, 12)
    kept, same = decimate(vertices[None], faces, mirror_map(vertices), len(vertices))
    assert (kept == np.arange(len(vertices))).all()
    assert {tuple(np.sort(f)) for f in same} == {tuple(np.sort(f)) for f in faces}
