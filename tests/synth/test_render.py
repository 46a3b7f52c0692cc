"""Drawing: tiles agree, figures wear what they should, and people are where the truth says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from crowd3d.data.cmu import MocapError
from crowd3d.synth import noise
from crowd3d.synth.cast import motion, poses
from crowd3d.synth.cast.outfits import sample_outfits
from crowd3d.synth.draw import shading
from crowd3d.synth.draw.lens import Lens, develop
from crowd3d.synth.draw.render import Renderer, areas, sample_setting
from crowd3d.synth.draw.shading import Shader
from crowd3d.synth.draw.stage import Stage
from crowd3d.synth.figure import regions
from crowd3d.synth.figure.figures import tailor
from crowd3d.synth.figure.meshes import pillow, tube, vertex_normals
from crowd3d.synth.place.boxes import Box, Boxes
from crowd3d.synth.place.light import sample_light
from crowd3d.synth.place.presets import preset
from crowd3d.synth.truth import truth_of

SIZE = (320, 180)


def test_areas_cover_the_picture_once() -> None:
    seen = np.zeros((180, 320), int)
    for x, y, w, h in areas(SIZE, 96):
        seen[y : y + h, x : x + w] += 1
    assert (seen == 1).all()


def test_a_tile_shows_what_the_whole_shows() -> None:
    setting = sample_setting(3, SIZE, 8, preset("plaza"))
    shader = Shader(Stage(setting.world, setting.bodies, setting.outfits, setting.cast))
    whole, who = shader.tile((0, 0, *SIZE))
    part, who_part = shader.tile((100, 60, 120, 90))
    inner = slice(1, -1)  # borders lack the neighbours that mark an edge
    assert np.abs(whole[60:150, 100:220][inner, inner] - part[inner, inner]).max() < 0.02
    assert (who[60:150, 100:220] == who_part).mean() > 0.999


def test_people_are_drawn_where_the_truth_has_them() -> None:
    setting = sample_setting(3, (480, 270), 12, preset("plaza"))
    who = np.full((270, 480), -1)
    for (x, y, w, h), _, tile_who in Renderer(setting).tiles():
        who[y : y + h, x : x + w] = tile_who
    truth = truth_of(setting)
    for i in np.flatnonzero(truth.visibility > 0.8):
        rows, columns = np.nonzero(who == i)
        left, top, right, bottom = truth.boxes_px[i]
        height = bottom - top
        middle = [(left + right) / 2, (top + bottom) / 2]
        assert len(rows) > 0
        assert (
            np.abs([columns.mean() + 0.5, rows.mean() + 0.5] - np.array(middle)).max()
            < 0.25 * height + 1
        )
        assert rows.max() + 1 < bottom + 0.08 * height + 2


def test_figures_wear_cloth_outside_the_body_and_stand_on_their_soles() -> None:
    setting = sample_setting(3, SIZE, 6, preset("plaza"))
    for level in ("full", "crowd"):
        for i in range(len(setting.cast)):
            figure = tailor(level).figure(setting.bodies, setting.outfits, i)
            assert np.isfinite(figure.vertices_m).all()
            assert abs(figure.vertices_m[:, 1].min()) < 0.03
            assert figure.openness.min() >= 0 and figure.openness.max() < 1.0001
            assert np.ptp(figure.vertices_m[:, 1]) < 2.9


def test_loose_meshes_face_outwards() -> None:
    heights = np.linspace(1.0, 0.0, 5)
    center = np.stack([0 * heights, heights, 0 * heights], axis=1)
    skirt = tube(center, np.full((5, 2), 0.3), 16)
    for mesh, middle in ((skirt, [0, 0.5, 0]), (pillow([0, 0, 0], [1, 2, 3]), [0, 0, 0])):
        normals = vertex_normals(mesh.vertices, mesh.faces)
        outward = ((mesh.vertices - middle) * [1, 0, 1] * normals).sum(axis=1)
        assert (outward > -1e-6).all()


def test_outfits_repeat_with_their_seed() -> None:
    children = np.array([False, True, False])
    first, second = (
        sample_outfits(np.random.default_rng(4), children, np.zeros(len(children)))
        for _ in range(2)
    )
    for name, values in vars(first).items():
        assert np.array_equal(values, getattr(second, name)), name
    assert (first.top >= 0).all() and (first.top <= 1).all()


def test_arms_hang_and_legs_swing() -> None:
    import torch

    from crowd3d import body

    model = body.load("open", "crowd")
    rng = np.random.default_rng(0)
    made = np.stack([poses.relaxed(rng), poses.sitting(rng), poses.waving(rng)])
    joints = model.joints_only(
        torch.as_tensor(made, dtype=torch.float32), torch.zeros(3, 10)
    ).numpy()
    assert (joints[0, [20, 21], 1] < joints[0, [16, 17], 1] - 0.3).all()
    assert (joints[1, [4, 5], 2] > 0.3).all()
    assert joints[2, [20, 21], 1].max() > joints[2, 16:18, 1].mean()


def test_noise_is_wrapped_and_hash_is_even() -> None:
    values = noise.texture(np.random.default_rng(1))
    u = np.linspace(-3, 3, 50)
    assert np.allclose(noise.sample(values, u, 0 * u), noise.sample(values, u + 1, 0 * u), atol=0.1)
    spread = noise.hashed(np.arange(10_000), 3)
    assert abs(spread.mean() - 0.5) < 0.02 and spread.min() >= 0 and spread.max() < 1


def test_regions_split_the_body() -> None:
    points = np.array(
        [[0, 0.2, 0.1], [0.5, 0.4, 0.03], [0.12, -0.6, 0.04], [0.13, -0.88, 0.1]], np.float32
    )
    long, low = np.full(4, 0.64, np.float32), np.full(4, 0.0, np.float32)
    assert regions.top_cover(points, long, low, 0 * long + 0.48).tolist() == [
        True,
        True,
        False,
        False,
    ]
    assert regions.bottom_cover(points, 0 * long - 0.8).tolist() == [False, False, True, False]
    assert regions.shoe_cover(points).tolist() == [False, False, False, True]


def test_recorded_poses_replace_those_of_people_who_do_not_sit() -> None:
    rng = np.random.default_rng(0)
    standing = np.stack([poses.walking(rng) for _ in range(3)])
    turned = standing.copy()
    heading = Rotation.from_euler("y", [[1.0], [-2.0], [3.0]])
    turned[:, 0] = (heading * Rotation.from_rotvec(turned[:, 0])).as_rotvec().reshape(3, 3)
    assert np.allclose(motion.without_heading(turned), motion.without_heading(standing), atol=1e-9)
    lying = standing.copy()
    lying[:, 0] = [np.pi / 2, 0, 0]
    assert motion.stands(standing).all() and not motion.stands(lying).any()
    cast = sample_setting(3, SIZE, 12, preset("stadium")).cast
    again = motion.recast(rng, cast, standing, 1.0)
    changed = np.any(again.pose != cast.pose, axis=(1, 2))
    assert cast.seated.any() and np.array_equal(changed, ~cast.seated)
    with pytest.raises(MocapError):
        motion.read_motion("no such folder")


def test_the_sky_lights_what_faces_it() -> None:
    for seed in range(8):
        light = sample_light(np.random.default_rng(seed), preset("plaza"))
        up, down = (light.from_sky(np.array([[0, y, 0]], np.float32))[0] for y in (1.0, -1.0))
        assert np.allclose(up, light.sky, rtol=0.02) and (down < 0.35 * up).all()
        x, z = np.sin(light.azimuth_rad), np.cos(light.azimuth_rad)
        front, back = (
            light.from_sky(np.array([[s * x, 0, s * z]], np.float32)).sum() for s in (1, -1)
        )
        assert front > back


def test_a_shaken_camera_blurs_along_its_way() -> None:
    radiance = np.zeros((31, 31, 3), np.float32)
    radiance[15, 15] = 30.0
    still = Lens(1.0, 0.5, (0.0, 0.0), 0.0, 0.0, 0.0, (1.0, 1.0, 1.0))
    spread = []
    for shake in ((0.0, 0.0), (4.0, 0.0)):
        lens = replace(still, shake_px=shake)
        drawn = develop(radiance, lens, np.random.default_rng(0), (0, 0), (31, 31))[..., 0]
        rows, columns = np.nonzero(drawn > 40)
        spread.append((np.ptp(rows), np.ptp(columns)))
    assert spread[1][1] > spread[0][1] and spread[1][0] <= spread[0][0]


def test_boxes_taper_and_climb() -> None:
    plain, pyramid, ramp = (
        Boxes.of([Box((0, 1, 0), (2, 1, 3), 0, "ffffff", taper=taper, rise=rise)]).corners_m()[0]
        for taper, rise in ((1.0, 0.0), (0.0, 0.0), (1.0, 0.1))
    )
    top = plain[:, 1] > 1
    assert np.allclose(pyramid[top][:, [0, 2]], 0) and np.allclose(pyramid[~top], plain[~top])
    assert np.allclose(ramp[top][:, 1], 2 + 0.1 * (3 - plain[top][:, 2]))


def test_a_ray_onto_an_edge_finds_a_number():
    corners = np.array([[0.3, 0, 0], [0.3, 0.5, 0]], np.float32)
    weights = np.array([[-1.2e-7, 0.39, 0.61], [0.5, 0.5, 0]], np.float32)
    found = shading._openness(corners, weights)
    np.testing.assert_allclose(found, [0, 0.4**1.25], rtol=1e-5)
