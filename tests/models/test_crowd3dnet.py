"""Crowd3DNet's decoding: peaks, parameters, and the way from maps to metres for any pitch of the camera."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd3d.maths.rotation import rotation_from_6d, rotation_to_6d
from crowd3d.models.crowd3dnet import CHANNELS, Crowd3DNet, Maps, PatchView
from crowd3d.models.crowd3dnet_decode import (
    Parameters,
    find_centers,
    place,
    read_parameters,
)

WIDTH, HEIGHT = 19200, 6518


def camera(focal_px: float, pitch_deg: float, roll_deg: float = 0.0, height_m: float = 16.0):
    """K and plane of a camera looking down by pitch."""
    K = torch.tensor([[focal_px, 0, WIDTH / 2], [0, focal_px, HEIGHT / 2], [0, 0, 1.0]]).double()
    pitch, roll = np.deg2rad([pitch_deg, roll_deg])
    up = np.array([np.sin(roll), -np.cos(roll) * np.cos(pitch), -np.cos(roll) * np.sin(pitch)])
    return K, torch.tensor([*up, height_m]).double()


def project(K, point):
    pixel = (K @ point[..., None])[..., 0]
    return pixel[..., :2] / pixel[..., 2:]


def patches(K, plane, torso_m, side_px=1200.0):
    """Cells, parameters and views whose people truly stand at torso_m (N, 3)."""
    normal, offset = plane[:3], plane[3]
    hvip_m = torso_m - (torso_m @ normal + offset)[:, None] * normal
    torso_px, hvip_px = project(K, torso_m), project(K, hvip_m)
    left_top = torso_px - torch.tensor([0.43, 0.37]).double() * side_px
    in_patch = (torso_px - left_top) / side_px
    cell = (in_patch * 64).floor()
    n = len(torso_m)
    parameters = Parameters(
        hvip=(hvip_px - torso_px).norm(dim=1) / side_px / 0.75,
        torso=((in_patch - cell / 64) / 0.25 + 1) / 2,
        delta=torch.full((n, 3), 0.5).double(),
        rotations=torch.eye(3).double().expand(n, 24, 3, 3),
        betas=torch.zeros(n, 10).double(),
    )
    view = PatchView(
        K.expand(n, 3, 3),
        plane.expand(n, 4) * 1.7,  # any scale
        left_top,
        torch.full((n,), side_px).double(),
        torch.tensor([WIDTH, HEIGHT]).double().expand(n, 2),
    )
    return cell.long(), parameters, view, hvip_px, hvip_m


def people(K, plane, rng, n=40):
    """Torso centres about 0.95 m above the plane, in front of the camera and in the picture."""
    normal, offset = plane[:3].numpy(), float(plane[3])
    found = []
    while len(found) < n:
        pixel = rng.uniform([0, 0], [WIDTH, HEIGHT])
        ray = np.linalg.solve(K.numpy(), np.append(pixel, 1))
        depth = -offset / (ray @ normal)
        if 5 < depth < 400:
            found.append(depth * ray + rng.normal(0.95, 0.1) * normal)
    return torch.from_numpy(np.array(found))


@pytest.mark.parametrize("pitch_deg", [60, 12, 2, 0, -2, -4])
@pytest.mark.parametrize("roll_deg", [0, 8])
def test_places_come_back_at_every_pitch(pitch_deg, roll_deg):
    K, plane = camera(29200.0, pitch_deg, roll_deg)
    torso_m = people(K, plane, np.random.default_rng(0))
    cell, parameters, view, hvip_px, hvip_m = patches(K, plane, torso_m)
    placed = place(cell, parameters, view)
    assert placed.on_ground.all()
    torch.testing.assert_close(placed.torso_m, torso_m, atol=1e-6, rtol=0)
    torch.testing.assert_close(placed.hvip_m, hvip_m, atol=1e-6, rtol=0)
    torch.testing.assert_close(placed.hvip_px, hvip_px, atol=1e-6, rtol=0)


def published_place(cell, parameters, view):
    """The published chain, one person at a time: towards the vanishing point, height from the rows alone."""
    out = []
    for i in range(len(cell)):
        K, left_top, side = view.intrinsics[i], view.left_top_px[i], view.side_px[i]
        plane = view.plane[i] / view.plane[i, :3].norm()
        N, D, f = plane[:3], plane[3], K[0, 0]
        c = cell[i] / 64 + (2 * parameters.torso[i] - 1) * 0.25
        p = left_top + side * c
        vanishing = (K @ N)[:2] / (K @ N)[2]
        e = (vanishing - p) / (vanishing - p).norm()
        q = 2 * c - 1 + 1.5 * parameters.hvip[i] * e
        u, v = left_top + side * (q + 1) / 2
        Z = -D / (N[0] * (u - K[0, 2]) / f + N[1] * (v - K[1, 2]) / f + N[2])
        X = Z * torch.linalg.inv(K) @ torch.stack([u, v, torch.ones_like(u)])
        m = (p[1] - K[1, 2]) / f
        H = (m * Z - X[1]) / (N[1] - m * N[2])
        out.append(X + H * N + (2 * parameters.delta[i] - 1) * 0.4)
    return torch.stack(out)


def test_agrees_with_the_published_chain_where_that_is_right_and_not_where_it_is_wrong():
    for pitch_deg, agrees in ((10, True), (-3, False)):
        K, plane = camera(29200.0, pitch_deg, 1.5)
        torso_m = people(K, plane, np.random.default_rng(1))
        cell, parameters, view, _, _ = patches(K, plane, torso_m)
        parameters = parameters._replace(
            delta=torch.rand(
                parameters.delta.shape, generator=torch.Generator().manual_seed(0)
            ).double()
        )
        ours = place(cell, parameters, view).torso_m
        theirs = published_place(cell, parameters, view)
        assert torch.allclose(ours, theirs, atol=1e-6) == agrees


def test_a_ground_point_above_the_horizon_is_marked():
    K, plane = camera(3000.0, 0.0)
    cell, parameters, view, _, _ = patches(K, plane, torch.tensor([[0.0, 15.0, 40.0]]).double())
    sky = view._replace(left_top_px=view.left_top_px - torch.tensor([0.0, 9000.0]).double())
    assert place(cell, parameters, view).on_ground.all()
    assert not place(cell, parameters, sky).on_ground.any()


def test_the_published_plane_gives_the_published_numbers():
    """Pixel (9600, 6000) of a published scene lies 61.47 m deep and 5.77 m below the axis."""
    K = torch.tensor([[29199.9, 0, 9600], [0, 29199.9, 3259], [0, 0, 1.0]]).double()
    plane = torch.tensor([[-0.0246, -0.9854, -0.1683, 16.034]]).double()
    view = PatchView(
        K[None], plane, torch.tensor([[9600.0 - 256, 6000.0 - 256]]).double(),
        torch.tensor([512.0]).double(), torch.tensor([[19200.0, 6518.0]]).double(),
    )  # fmt: skip
    half = torch.full((1, 3), 0.5).double()
    parameters = Parameters(torch.zeros(1).double(), half[:, :2], half, torch.eye(3)[None], half)
    placed = place(torch.tensor([[32, 32]]), parameters, view)
    np.testing.assert_allclose(placed.hvip_m[0, 1:], [5.77, 61.47], atol=0.02)


def test_places_are_differentiable():
    K, plane = camera(29200.0, 10)
    cell, parameters, view, _, _ = patches(K, plane, people(K, plane, np.random.default_rng(2), 3))

    def torso(hvip, offset, delta):
        return place(cell, parameters._replace(hvip=hvip, torso=offset, delta=delta), view).torso_m

    inputs = [parameters.hvip, parameters.torso, parameters.delta]
    assert torch.autograd.gradcheck(torso, [x.requires_grad_() for x in inputs], atol=1e-4)


def naive_centers(heat: np.ndarray, min_score: float, max_people: int):
    height, width = heat.shape
    found = []
    for y in range(height):
        for x in range(width):
            window = heat[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
            if heat[y, x] > min_score and heat[y, x] == window.max():
                found.append((float(heat[y, x]), x, y))
    return sorted(found, reverse=True)[:max_people]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 70), st.floats(0, 1))
def test_peaks_are_those_of_the_naive_search(seed, max_people, min_score):
    rng = np.random.default_rng(seed)
    heat = rng.permutation(2 * 64 * 64).reshape(2, 1, 64, 64) / (2 * 64 * 64)
    centers = find_centers(torch.from_numpy(heat), min_score, max_people)
    for patch in range(2):
        rows = centers.patch == patch
        ours = list(zip(centers.score[rows].tolist(), *centers.cell[rows].T.tolist(), strict=True))
        assert ours == naive_centers(heat[patch, 0], min_score, max_people)


def test_limits_are_as_published():
    heat = torch.zeros(1, 1, 64, 64)
    heat[..., ::5, ::5] = torch.linspace(0.19, 0.9, 169).reshape(13, 13)
    assert len(find_centers(heat).score) == 64
    assert len(find_centers(heat, max_people=1000).score) == int((heat > 0.2).sum())
    assert len(find_centers(torch.zeros(1, 1, 64, 64)).score) == 0


def test_nobody_is_an_answer():
    maps = Maps(torch.zeros(2, 1, 64, 64), torch.zeros(2, 148, 64, 64))
    centers = find_centers(maps.center)
    K, plane = camera(29200.0, 10)
    view = PatchView(
        K.float().expand(2, 3, 3),
        plane.float().expand(2, 4),
        torch.ones(2, 2),
        torch.ones(2),
        torch.ones(2, 2),
    )
    placed = place(centers.cell, read_parameters(maps, centers), view.select(centers.patch))
    assert placed.torso_m.shape == (0, 3) and placed.on_ground.shape == (0,)


def test_parameters_are_read_at_their_cells():
    params = torch.arange(148 * 64 * 64, dtype=torch.float32).reshape(1, 148, 64, 64) / 1e5
    heat = torch.zeros(1, 1, 64, 64)
    heat[0, 0, 7, 33] = 1.0
    centers = find_centers(heat)
    assert centers.cell.tolist() == [[33, 7]]
    read = read_parameters(Maps(heat, params), centers)
    column = params[0, :, 7, 33]
    assert read.hvip[0] == column[0]
    torch.testing.assert_close(read.delta[0], column[3:6])
    torch.testing.assert_close(read.betas[0], column[-CHANNELS["betas"] :])
    torch.testing.assert_close(read.rotations[0, 0], rotation_from_6d(column[6:12]))
    torch.testing.assert_close(read.rotations[0, 21], rotation_from_6d(column[132:138]))
    torch.testing.assert_close(read.rotations[0, 22:], torch.eye(3).expand(2, 3, 3))


def test_six_numbers_are_the_first_two_columns():
    turn = torch.linalg.qr(torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(0)))[0]
    turn = turn * torch.linalg.det(turn)[:, None, None]
    torch.testing.assert_close(rotation_from_6d(rotation_to_6d(turn) * 3), turn)
    assert torch.isfinite(rotation_from_6d(torch.zeros(1, 6))).all()


def test_every_patch_is_conditioned_on_its_own_scene():
    """A batch of patches of different scenes gives each what it gives alone."""
    torch.manual_seed(0)
    network = Crowd3DNet().eval()
    image = torch.rand(2, 3, 128, 128) * 255
    K = torch.tensor(
        [[[3e4, 0, 9600], [0, 3e4, 3240], [0, 0, 1]], [[2e3, 0, 960], [0, 2e3, 540], [0, 0, 1.0]]]
    )
    view = PatchView(
        K, torch.tensor([[0, -0.98, -0.2, 16], [0, -1, 0, 1.7]]), torch.tensor([[900.0, 40], [3, 5]]),
        torch.tensor([900.0, 512]), torch.tensor([[19200.0, 6480], [1920, 1080]]),
    )  # fmt: skip
    with torch.inference_mode():
        both = network(image, view)
        alone = network(image[1:], view.select(torch.tensor([1])))
        wrong = network(
            image[1:], view.select(torch.tensor([1]))._replace(scene_px=view.scene_px[:1])
        )
    torch.testing.assert_close(both.params[1:], alone.params, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(alone.params, wrong.params, atol=1e-5)
