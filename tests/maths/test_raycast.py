"""The ray caster against Moller and Trumbore's test of every ray with every triangle."""

import numpy as np
import pytest

from crowd3d.maths.raycast import RayCaster


def naive_cast(vertices, faces, directions, origins):
    """(face, distance, barycentric) by brute force in float64 (Moller & Trumbore 1997)."""
    a, b, c = (vertices[faces[:, i]].astype(float) for i in range(3))
    face = np.full(len(directions), -1)
    distance = np.full(len(directions), np.inf)
    barycentric = np.zeros((len(directions), 3))
    for i, (way, start) in enumerate(zip(directions, origins, strict=True)):
        way = way / np.linalg.norm(way)
        edge1, edge2 = b - a, c - a
        p = np.cross(way, edge2)
        det = np.sum(edge1 * p, axis=1)
        det = np.where(np.abs(det) < 1e-14, np.nan, det)
        s = start - a
        u = np.sum(s * p, axis=1) / det
        q = np.cross(s, edge1)
        v = q @ way / det
        t = np.sum(edge2 * q, axis=1) / det
        with np.errstate(invalid="ignore"):
            ok = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
        if ok.any():
            face[i] = np.flatnonzero(ok)[np.argmin(t[ok])]
            k = face[i]
            distance[i], barycentric[i] = t[k], (1 - u[k] - v[k], u[k], v[k])
    return face, distance, barycentric


@pytest.fixture(scope="module")
def soup():
    rng = np.random.default_rng(3)
    centres = rng.normal([0, 0, 20], [4, 4, 3], (150, 1, 3))
    vertices = (centres + rng.normal(0, 1.0, (150, 3, 3))).reshape(-1, 3)
    return vertices, np.arange(450).reshape(-1, 3)


def test_agrees_with_the_naive_twin(soup):
    vertices, faces = soup
    rng = np.random.default_rng(4)
    directions = rng.normal([0, 0, 4], 1.0, (600, 3)) * rng.uniform(0.1, 9, (600, 1))
    origins = rng.normal(0, 0.5, (600, 3))
    hits = RayCaster(vertices, faces).hits(directions, origins)
    face, distance, barycentric = naive_cast(vertices, faces, directions, origins)
    same = hits.face == face
    assert same.mean() > 0.99  # rays through an edge may go either way in single precision
    assert 0.2 < (face >= 0).mean() < 0.98
    hit = same & (face >= 0)
    np.testing.assert_allclose(hits.distance_m[hit], distance[hit], rtol=1e-5)
    np.testing.assert_allclose(hits.barycentric[hit], barycentric[hit], atol=2e-4)
    assert np.isinf(hits.distance_m[hits.face < 0]).all()


def test_chunks_do_not_show(soup, monkeypatch):
    vertices, faces = soup
    directions = np.random.default_rng(5).normal([0, 0, 4], 1.0, (1000, 3))
    whole = RayCaster(vertices, faces).hits(directions)
    monkeypatch.setattr("crowd3d.maths.raycast._CHUNK_RAYS", 37)
    parts = RayCaster(vertices, faces).hits(directions)
    for name in ("face", "distance_m", "barycentric"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_hit_point_is_where_the_barycentrics_say(soup):
    vertices, faces = soup
    directions = np.random.default_rng(6).normal([0, 0, 4], 1.0, (400, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    hits = RayCaster(vertices, faces).hits(directions)
    hit = hits.face >= 0
    points = np.einsum("nk,nki->ni", hits.barycentric[hit], vertices[faces[hits.face[hit]]])
    np.testing.assert_allclose(directions[hit] * hits.distance_m[hit, None], points, atol=2e-3)


def test_occlusion_agrees_with_casting(soup):
    vertices, faces = soup
    rng = np.random.default_rng(7)
    caster = RayCaster(vertices, faces)
    origins = rng.normal([0, 0, 20], 3.0, (500, 3))
    directions = rng.normal(0, 1.0, (500, 3))
    limit = rng.uniform(0.5, 8.0, 500)
    distance = naive_cast(vertices, faces, directions, origins)[1]
    clear = np.abs(distance - limit) > 0.01
    clear &= distance > 0.01
    dark = caster.occluded(origins, directions, limit)
    assert (dark == (distance < limit))[clear].mean() > 0.995
    assert 0.05 < dark.mean() < 0.95


def test_a_surface_does_not_shadow_itself():
    vertices = np.array([[-5, 0, -5], [5, 0, -5], [0, 0, 9.0]])
    floor = RayCaster(vertices, [[0, 1, 2]])
    points = np.random.default_rng(8).uniform(-1, 1, (100, 3)) * [1, 0, 1]
    assert not floor.occluded(points, [0, -1.0, 0]).any()
    assert not floor.occluded(points, [0.3, 1.0, 0]).any()
    above = points + np.array([0, 0.5, 0])
    assert floor.occluded(above, [0, -1.0, 0]).all()
    assert not floor.occluded(above, [0, -1.0, 0], 0.4).any()


def test_normals():
    corner = RayCaster([[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9.0]], [[0, 1, 2]])
    np.testing.assert_allclose(corner.face_normals, [[0, 0, 1]])


def test_bad_rays_miss_and_empty_meshes_are_empty(soup):
    vertices, faces = soup
    rays = np.array([[0, 0, 0], [np.nan, 0, 1], [0, 0, np.inf]])
    face, distance = RayCaster(vertices, faces).cast(rays)
    assert (face == -1).all() and np.isinf(distance).all()
    empty = RayCaster(np.zeros((0, 3)), np.zeros((0, 3), int))
    assert empty.cast(np.eye(3))[0].tolist() == [-1, -1, -1]
    assert not empty.occluded(np.zeros((2, 3)), [0, 0, 1]).any()
    assert RayCaster(vertices, faces).cast(np.zeros((0, 3)))[0].shape == (0,)


def test_malformed_meshes_are_refused():
    with pytest.raises(ValueError, match="outside"):
        RayCaster(np.zeros((3, 3)), [[0, 1, 3]])
    with pytest.raises(ValueError, match="non-finite"):
        RayCaster([[0, 0, np.nan]] * 3, [[0, 1, 2]])
    with pytest.raises(ValueError, match="directions"):
        RayCaster(np.zeros((3, 3)), [[0, 1, 2]]).cast([0, 0, 1])
