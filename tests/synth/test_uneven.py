"""Ground that is not one level plane: exact surfaces, feet on them, and pictures that show just that."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from crowd3d import body, data
from crowd3d.cli import main
from crowd3d.evaluate.truth import read_truth
from crowd3d.maths.raycast import RayCaster
from crowd3d.synth import Truth, render_scene, with_camera
from crowd3d.synth.cast.planted import planted
from crowd3d.synth.draw.floor import Floor
from crowd3d.synth.draw.render import Setting, sample_setting
from crowd3d.synth.draw.stage import Stage
from crowd3d.synth.place.presets import preset
from crowd3d.synth.place.surface import Area, level_index, surface_of
from crowd3d.synth.place.terrain import sample_land
from crowd3d.synth.place.view import GROUND, Level, View
from crowd3d.synth.place.world import sample_world
from crowd3d.synth.truth import truth_of

NEW = ("stands", "stairs", "hillside", "rolling", "stage", "split")
SIZE = (320, 240)
AREA = Area(-30.0, 30.0, -50.0, 5.0)


@pytest.fixture(scope="module", params=NEW)
def setting(request: pytest.FixtureRequest) -> Setting:
    return sample_setting(5, SIZE, 14, preset(request.param))


@pytest.fixture(scope="module")
def truth(setting: Setting) -> Truth:
    return truth_of(setting)


def vertices_m(truth: Truth) -> np.ndarray:
    """(N, V, 3) vertices of the bodies, camera frame."""
    arrays = (truth.pose, truth.betas, truth.transl_m)
    with torch.inference_mode():
        posed = body.load("open", "full")(
            *(torch.as_tensor(a, dtype=torch.float32) for a in arrays)
        )
    return posed.vertices.numpy().astype(float)


def feet_m(truth: Truth) -> np.ndarray:
    """(N, 2, K, 3) vertices of both feet, camera frame."""
    weights = body.load("open", "full").weights.numpy()
    sides = [np.flatnonzero(weights[:, joints].sum(axis=1) > 0.6) for joints in ([7, 10], [8, 11])]
    count = min(len(side) for side in sides)
    return np.stack([vertices_m(truth)[:, side[:count]] for side in sides], axis=1)


def own_heights_m(setting: Setting, truth: Truth, points_m: np.ndarray) -> np.ndarray:
    """(N, K, 3) -> (N, K) heights along gravity above the surface; of several levels, the own one."""
    if len(truth.normals) == 1:
        return truth.above_surface_m(points_m.reshape(-1, 3)).reshape(points_m.shape[:2])
    normals, offsets = truth.normals[truth.plane], truth.offsets_m[truth.plane]
    away = np.einsum("nki,ni->nk", points_m, normals) + offsets[:, None]
    return away / -(normals @ truth.gravity)[:, None]


def test_feet_are_on_the_surface(setting: Setting, truth: Truth) -> None:
    points = feet_m(truth)
    heights = np.stack([own_heights_m(setting, truth, points[:, s]) for s in (0, 1)], axis=1)
    lowest = heights.min(axis=2)
    # Soles are up to 2.5 cm thick; on smooth terrain a foot may be on the next triangle.
    assert lowest.min() > -0.01 and lowest.min(axis=1).max() < 0.03
    assert np.median(lowest.max(axis=1)) < 0.05  # the other foot too, but of who strides
    np.testing.assert_array_equal(truth.height_m, np.zeros(len(truth)))


def test_the_hvip_is_the_point_of_the_surface_below_the_torso(truth: Truth) -> None:
    above = truth.above_surface_m(truth.hvip_m)
    assert np.abs(above).max() < 1e-3
    down = truth.hvip_m - truth.torso_m
    down /= np.linalg.norm(down, axis=1, keepdims=True)
    np.testing.assert_allclose(down, np.tile(truth.gravity, (len(truth), 1)), atol=1e-9)


def test_people_stand_along_gravity(truth: Truth) -> None:
    assert np.linalg.norm(truth.gravity) == pytest.approx(1.0)
    pelvis_up = Rotation.from_rotvec(truth.pose[:, 0]).apply([0.0, 1.0, 0.0])
    np.testing.assert_allclose(pelvis_up, np.tile(-truth.gravity, (len(truth), 1)), atol=1e-9)
    trunk = (truth.joints_m[:, 12] - truth.joints_m[:, 0])[~truth.seated]  # neck above pelvis
    mean = (trunk / np.linalg.norm(trunk, axis=1, keepdims=True)).mean(axis=0)
    assert math.degrees(math.acos(-mean @ truth.gravity / np.linalg.norm(mean))) < 5


def test_the_picture_shows_the_surface_of_the_truth(setting: Setting, truth: Truth) -> None:
    """What pixels see, by the mesh and the plane that are drawn, and by the triangles of the truth."""
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 1, (2000, 2)) * SIZE
    view = setting.world.view
    mesh = Stage(setting.world, setting.bodies, setting.outfits, setting.cast).mesh(
        np.array([], np.int64)
    )
    assert mesh is not None
    ways = view.rays(pixels).astype(np.float32)
    drawn = mesh.caster.hits(ways, view.eye_m).distance_m
    drawn = np.minimum(drawn, Floor(setting.world).distance_m(ways, 1e-5))
    caster = RayCaster(truth.surface_vertices_m, truth.surface_faces)
    face, away = caster.cast(view.camera.rays(pixels))
    with np.errstate(invalid="ignore"):  # both miss
        same = np.abs(drawn - away) < 0.01 + 1e-3 * away
    assert (face >= 0).sum() > 300
    assert (drawn <= away * 1.001 + 0.02)[face >= 0].all()  # nothing lies behind the surface
    assert same[face >= 0].mean() > 0.6  # the others see what stands on it
    # And the points are where the pixels are.
    points = view.camera.rays(pixels)[same] * away[same, None]
    np.testing.assert_allclose(view.camera.project(points), pixels[same], atol=1e-3)


@pytest.mark.parametrize("name", NEW)
def test_the_command_draws_each_preset_and_the_same_twice(name: str, tmp_path: Path) -> None:
    out = tmp_path / name
    line = ["synth", "-o", out, "--preset", name, "--seed", 3, "--people", 3, "--size", "160x120"]
    result = CliRunner().invoke(main, [str(word) for word in line])
    assert result.exit_code == 0, result.output
    assert "3 people, 160 x 120 px" in result.output
    picture, again = render_scene(3, size=(160, 120), n_people=3, preset_name=name)
    drawn = cv2.cvtColor(cv2.imread(str(out / "image.jpg")), cv2.COLOR_BGR2RGB)
    assert drawn.std() > 5 and np.abs(drawn.astype(float) - picture).mean() < 8
    written = Truth.load(out / "truth.npz")
    for member in fields(Truth):
        np.testing.assert_array_equal(
            getattr(written, member.name), getattr(again, member.name), member.name
        )
    (frame,) = data.load(out / "annotation.json", "largecrowd").frames.values()
    np.testing.assert_allclose(frame.hvip_m, written.hvip_m)
    (frame,) = read_truth(out).values()
    assert len(frame.planes) == len(written.normals)


def test_hillsides_climb_in_any_direction() -> None:
    worlds = [sample_world(np.random.default_rng(s), SIZE, preset("hillside")) for s in range(24)]
    ground = [world.levels_m[0] for world in worlds]
    steep = [math.degrees(math.acos(level.normal[1])) for level in ground]
    assert 6 <= min(steep) < 9 and 15 < max(steep) <= 18
    uphill = [math.atan2(level.side, level.rise) for level in ground]
    quarters = np.bincount(((np.array(uphill) + math.pi) / (math.pi / 2)).astype(int), minlength=4)
    assert quarters.min() >= 2


def test_a_pitch_that_is_asked_for_is_kept_on_a_hillside() -> None:
    for seed in range(3):
        chosen = with_camera(preset("hillside"), pitch_deg=15.0, roll_deg=0.0)
        view = sample_world(np.random.default_rng(seed), SIZE, chosen).view
        assert math.degrees(math.asin(-view.rotation[2, 1])) == pytest.approx(15.0)


@pytest.mark.parametrize(("name", "least_m"), [("rolling", 1.0), ("split", 0.5), ("stands", 2.0)])
def test_people_are_at_several_heights(name: str, least_m: float) -> None:
    truth = truth_of(sample_setting(2, SIZE, 60, preset(name)))
    assert np.ptp(truth.hvip_m @ truth.gravity) > least_m


def test_levels_of_a_split_place_lie_beside_one_another() -> None:
    for seed in range(6):
        world = sample_world(np.random.default_rng(seed), SIZE, preset("split"))
        left, right = sorted(world.levels_m[1:], key=lambda level: level.left_x)
        assert left.right_x <= right.left_x and abs(left.base_m - right.base_m) > 0.5
        borders = {v.left_x for v in (left, right)} | {v.right_x for v in (left, right)}
        drawn = set(world.surface.vertices_m[:, 0])
        assert {x for x in borders if math.isfinite(x)} <= drawn


def test_a_stage_has_people_on_it_and_a_crowd_that_looks_at_it() -> None:
    setting = sample_setting(1, (640, 480), 80, preset("stage"))
    up = setting.cast.level == 1
    assert 3 <= up.sum() < 40
    stage = setting.world.levels_m[1]
    for x, z in setting.cast.position_m[up]:
        assert stage.left_x < x < stage.right_x and stage.back_z < z < stage.front_z
    middle = np.array([(stage.left_x + stage.right_x) / 2, stage.front_z - 2])
    way = middle - setting.cast.position_m[~up]
    looks = np.stack([np.sin(setting.cast.yaw_rad), np.cos(setting.cast.yaw_rad)], axis=1)[~up]
    cosine = (way * looks).sum(axis=1) / np.linalg.norm(way, axis=1)
    assert np.median(cosine) > 0.9


def test_who_sits_in_a_stand_sits_in_a_row() -> None:
    setting = sample_setting(4, (640, 480), 120, preset("stands"))
    cast = setting.cast
    rows = cast.level > 0
    assert rows.mean() > 0.8 and 0.5 < cast.seated[rows].mean() < 0.95
    fronts = np.array([level.front_z for level in setting.world.levels_m])
    behind = (fronts[cast.level] - cast.position_m[:, 1])[cast.seated]
    np.testing.assert_allclose(behind, behind[0])  # one line a row
    _, side_by_side = np.unique(cast.level[rows], return_counts=True)
    assert side_by_side.max() >= 6


def test_children_ride_on_shoulders() -> None:
    chosen = replace(
        preset("plaza"), shoulders=0.25, activities=(1.0, 0.0, 0.0, 0.0, 0.0), benches=0
    )
    setting = sample_setting(3, SIZE, 16, chosen)
    truth, carrier = truth_of(setting), setting.cast.carrier
    up = np.flatnonzero(carrier >= 0)
    assert len(truth) == 16 and len(up) == 4 == len(np.unique(carrier[up]))
    assert truth.child[up].all() and truth.seated[up].all() and not truth.child[carrier[up]].any()
    np.testing.assert_array_equal(truth.height_m > 0.8, carrier >= 0)
    np.testing.assert_array_equal(truth.height_m[carrier < 0], 0)
    lowest = vertices_m(truth)[up].reshape(len(up), -1, 3).astype(float)
    heights = np.array([truth.above_surface_m(points).min() for points in lowest])
    np.testing.assert_allclose(heights, truth.height_m[up], atol=0.01)
    hips = truth.joints_m[up, 0] - truth.joints_m[carrier[up], 12]
    assert np.linalg.norm(hips, axis=1).max() < 0.15
    # They have no seat under them, and nothing else has changed.
    without = sample_setting(3, SIZE, 12, replace(chosen, shoulders=0.0))
    assert len(without.world.boxes) == len(setting.world.boxes)
    np.testing.assert_array_equal(without.cast.position_m, setting.cast.position_m[:12])


@pytest.mark.parametrize("name", ["rolling", "hillside"])
def test_a_fisheye_sees_hills_all_around(name: str) -> None:
    chosen = with_camera(preset(name), projection="fisheye", pitch_deg=60.0)
    picture, truth = render_scene(2, size=(160, 160), n_people=6, preset_name=chosen)
    assert len(truth) == 6 and picture.std() > 5
    assert np.abs(truth.above_surface_m(truth.hvip_m)).max() < 1e-3


def test_truth_of_before_there_were_surfaces_is_read(tmp_path: Path, truth: Truth) -> None:
    new = {"gravity", "height_m", "surface_vertices_m", "surface_faces"}
    old = {name: array for name, array in vars(truth).items() if name not in new}
    np.savez(tmp_path / "truth.npz", **old)
    read = Truth.load(tmp_path / "truth.npz")
    np.testing.assert_allclose(read.gravity, -truth.normals[0])
    assert read.surface_vertices_m.shape == (0, 3) and len(read.height_m) == len(truth)
    assert np.isnan(read.above_surface_m(read.hvip_m)).all()


LEVELS = [GROUND, Level(1.0, -5.0, -20.0, left_x=-8.0, right_x=3.0), Level(2.0, -12.0, left_x=3.0)]


@given(st.floats(-29.9, 29.9), st.floats(-49.9, 4.9))
def test_a_surface_is_what_its_levels_are(x: float, z: float) -> None:
    surface = surface_of(LEVELS, AREA)
    level = level_index(LEVELS, x, z)
    corners = surface.vertices_m[surface.faces][:, :, [0, 2]]
    around = np.linalg.det(
        np.stack([corners - [x, z], np.roll(corners, -1, axis=1) - [x, z]], axis=2)
    )
    inside = (around >= -1e-9).all(axis=1) | (around <= 1e-9).all(axis=1)
    near_edge = (np.abs(around) < 1e-6).any(axis=1) & inside
    if near_edge.any():
        return
    assert inside.sum() == (level >= 0)
    if level >= 0:
        heights = surface.vertices_m[surface.faces[inside][0], 1]
        np.testing.assert_allclose(heights, LEVELS[level].base_m)


def test_surfaces_face_up() -> None:
    land = sample_land(np.random.default_rng(1), AREA)
    for surface in (surface_of(LEVELS, AREA), land.surface, land.whole):
        assert (RayCaster(surface.vertices_m, surface.faces).face_normals[:, 1] > 0).all()


LAND = sample_land(np.random.default_rng(7), AREA)


@given(st.floats(-29.0, 29.0), st.floats(-49.0, 4.0))
def test_hills_are_the_triangles_they_are_drawn_as(x: float, z: float) -> None:
    surface = LAND.surface
    caster = RayCaster(surface.vertices_m, surface.faces)
    _, away = caster.cast([[0.0, -1.0, 0.0]], np.array([x, 30.0, z]))
    assert LAND.plane_at(x, z).height_m(x, z) == pytest.approx(30.0 - float(away[0]), abs=1e-3)
    assert LAND.heights_m(np.array([x]), np.array([z]))[0] == pytest.approx(30 - away[0], abs=1e-3)


def test_hills_are_gentle_and_begin_below_the_camera() -> None:
    for seed in range(5):
        land = sample_land(np.random.default_rng(seed), AREA)
        assert land.plane_at(0.0, 0.0).height_m(0.0, 0.0) == pytest.approx(0.0, abs=1e-9)
        heights = land.surface.vertices_m[:, 1]
        assert 1.5 < np.ptp(heights) < 6.6
        faces = RayCaster(land.surface.vertices_m, land.surface.faces).face_normals
        assert math.degrees(math.acos(faces[:, 1].min())) < 16


def test_legs_are_left_alone_on_level_ground() -> None:
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.2, (3, 24, 3))
    up = np.tile([0.0, 1.0, 0.0], (3, 1))
    rest = rng.normal(0, 1, (3, 24, 3))
    np.testing.assert_array_equal(planted(pose, up, rest), pose)


def test_the_uphill_leg_bends_and_the_trunk_stays() -> None:
    model = body.load("open", "crowd")
    rest = model.rest_joints(torch.zeros(1, 10)).double().numpy()
    normal = np.array([[math.sin(0.3), math.cos(0.3), 0.0]])  # climbs towards -x, the right leg
    found = planted(np.zeros((1, 24, 3)), normal, rest)
    joints = model.joints_only(torch.as_tensor(found, dtype=torch.float32), torch.zeros(1, 10))[0]
    left, right = joints[7].numpy(), joints[8].numpy()
    climbed = (left[0] - right[0]) * math.tan(0.3)
    assert right[1] - left[1] == pytest.approx(climbed, abs=0.01)
    np.testing.assert_array_equal(np.delete(found, [1, 2, 4, 5, 7, 8], axis=1), 0)


@pytest.mark.parametrize("turn", [0.0, 25.0, -140.0])
def test_a_turned_camera_looks_where_it_is_turned(turn: float) -> None:
    camera = sample_world(np.random.default_rng(0), SIZE, preset("plaza")).view.camera
    view = View.of_angles(camera, 5.0, 10.0, 2.0, turn)
    x, _, z = view.ahead
    assert math.degrees(math.atan2(x, -z)) == pytest.approx(turn)
    x, z = view.on_map(1.0, 20.0)
    there = view.to_camera([x, 5.0, z])
    assert there[0] == pytest.approx(1.0, abs=0.2) and there[2] > 18
