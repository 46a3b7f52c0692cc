"""The overlay, and everything in it that is geometry rather than taste."""

import numpy as np
import pytest

from crowd3d.export import overlay as module
from crowd3d.export.bodies import CrowdMesh
from crowd3d.export.overlay import draw_overlay, silhouettes
from crowd3d.export.palette import person_colors
from crowd3d.scene.camera import Camera
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene

CAMERA = Camera(400, 300, 300.0, (200.0, 150.0))
QUAD = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3]])
GREY = np.full((300, 400, 3), 120, np.uint8)


def scene_of(places, camera=CAMERA, ids=None):
    """A scene and a mesh of squares of 2 m that face the camera."""
    people = People.empty(len(places))
    people.id = np.arange(1, len(places) + 1) if ids is None else np.asarray(ids)
    scene = Scene(camera, [Plane(np.array([0, -1.0, 0]), 1.0)], people)
    vertices = QUAD[None] + np.asarray(places, np.float32).reshape(-1, 1, 3)
    return scene, CrowdMesh(np.arange(len(places)), vertices, FACES)


def changed(drawn, picture):
    return (drawn != picture).any(axis=2)


def test_a_body_covers_just_the_pixels_it_projects_to():
    scene, mesh = scene_of([[0.5, 0.2, 10.0]])
    drawn = draw_overlay(scene, mesh, GREY)
    corners = CAMERA.project(mesh.vertices_m[0])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    rows, columns = np.nonzero(changed(drawn, GREY))
    assert abs(columns.min() - left) <= 1 and abs(columns.max() + 1 - right) <= 1
    assert abs(rows.min() - top) <= 1 and abs(rows.max() + 1 - bottom) <= 1
    inside = drawn[round(top) + 3 : round(bottom) - 3, round(left) + 3 : round(right) - 3]
    assert np.ptp(inside.reshape(-1, 3).astype(int), axis=0).max() <= 12  # flat, evenly lit


def test_a_body_is_drawn_in_its_own_colour():
    for id_ in (1, 7, 31):
        scene, mesh = scene_of([[0, 0, 10.0]], ids=[id_])
        black = np.zeros_like(GREY)
        pixel = draw_overlay(scene, mesh, black)[150, 200] / 255
        expected = person_colors([id_])[0]
        np.testing.assert_allclose(pixel / pixel.max(), expected / expected.max(), atol=0.02)


def test_the_nearer_body_wins_whatever_the_order():
    near, far = [0.0, 0, 8.0], [0.3, 0, 12.0]
    scene, mesh = scene_of([near, far], ids=[1, 2])
    one = draw_overlay(scene, mesh, GREY)
    scene, mesh = scene_of([far, near], ids=[2, 1])
    np.testing.assert_array_equal(one, draw_overlay(scene, mesh, GREY))
    alone = draw_overlay(*scene_of([near], ids=[1]), GREY)
    np.testing.assert_array_equal(one[140:160, 190:200], alone[140:160, 190:200])


def test_blocks_do_not_show(monkeypatch):
    rng = np.random.default_rng(1)
    scene, mesh = scene_of(rng.uniform([-4, -3, 8], [4, 3, 20], (25, 3)))
    whole = draw_overlay(scene, mesh, GREY)
    for side in (7, 50, 1000):
        monkeypatch.setattr(module, "_BLOCK_PX", side)
        np.testing.assert_array_equal(draw_overlay(scene, mesh, GREY), whole)


@pytest.mark.parametrize("size", [(200, 150), (800, 600)])
def test_any_size_of_picture_shows_the_same(size):
    scene, mesh = scene_of([[1.0, -0.5, 10.0]])
    width, height = size
    picture = np.full((height, width, 3), 120, np.uint8)
    rows, columns = np.nonzero(changed(draw_overlay(scene, mesh, picture), picture))
    middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) * 400 / width
    np.testing.assert_allclose(middle, CAMERA.project([1.0, -0.5, 10.0]), atol=0.6)


def test_a_lens_with_distortion_bends_the_bodies_too():
    bent = Camera(400, 300, 300.0, (200.0, 150.0), (-0.25, 0.0))
    scene, mesh = scene_of([[4.0, 0, 10.0]], bent)
    rows, columns = np.nonzero(changed(draw_overlay(scene, mesh, GREY), GREY))
    corners = bent.project(mesh.vertices_m[0])
    assert abs(columns.min() - corners[:, 0].min()) <= 1.5
    assert columns.max() + 1 < CAMERA.project(mesh.vertices_m[0])[:, 0].max() - 3
    assert abs(rows.mean() + 0.5 - 150) < 1


def test_silhouettes_equal_those_of_a_plain_loop():
    person = np.random.default_rng(2).integers(-1, 2, (9, 11))
    expected = np.zeros(person.shape, bool)
    for i in range(9):
        for j in range(11):
            for k, m in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= k < 9 and 0 <= m < 11:
                    expected[i, j] |= person[i, j] != person[k, m]
    np.testing.assert_array_equal(silhouettes(person), expected)


def test_overlapping_bodies_of_one_colour_stay_apart():
    scene, mesh = scene_of([[-0.8, 0, 10.0], [0.8, 0.3, 11.0]], ids=[3, 27])  # one palette entry
    row = draw_overlay(scene, mesh, GREY)[155].astype(int).sum(axis=1)
    border = int(CAMERA.project([0.2, 0, 10.0])[0])
    assert row[border - 2 : border + 3].min() < 0.8 * row[border - 12]


def test_nobody_and_bodies_out_of_sight_leave_the_picture_as_it_is():
    for places in ([], [[0, 0, -10.0]], [[90.0, 0, 10.0]], [[-90.0, -90.0, 10.0]]):
        scene, mesh = scene_of(np.reshape(places, (-1, 3)))
        drawn = draw_overlay(scene, mesh, GREY)
        np.testing.assert_array_equal(drawn, GREY)
        assert drawn is not GREY


def test_a_body_half_behind_the_camera_is_no_error():
    scene, mesh = scene_of([[0, 0, 10.0]])
    mesh.vertices_m[0, :2, 2] = -1.0
    assert draw_overlay(scene, mesh, GREY).shape == GREY.shape
