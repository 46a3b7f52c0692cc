"""The view from above: its geometry, its density, and that it can be drawn of anything."""

import numpy as np
import pytest

from crowd3d.export.groundmap import View, density_per_m2, extent_m, seen_ground_m
from crowd3d.export.topview import draw_topview
from crowd3d.scene.camera import Camera
from crowd3d.scene.frames import export_frame
from crowd3d.scene.ground import Ground
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene

CAMERA = Camera(400, 300, 300.0, (200.0, 150.0))


def plane_below(pitch_deg: float, height_m: float) -> Plane:
    pitch = np.radians(pitch_deg)
    return Plane(np.array([0.0, -np.cos(pitch), -np.sin(pitch)]), height_m)


def scene_of(points_m, planes=True):
    """People at (x, y) of the z-up frame."""
    points = np.asarray(points_m, float).reshape(-1, 2)
    plane = plane_below(20, 6.0)
    frame = export_frame(CAMERA, [plane])
    people = People.empty(len(points))
    people.id = np.arange(len(points))
    people.hvip_m = frame.from_z_up(np.column_stack([points, np.zeros(len(points))]))
    people.position_cov_m2[:] = np.eye(3) * 0.04
    return Scene(CAMERA, [plane] if planes else [], people, "x.jpg")


def crowd(n: int, seed: int = 0):
    return np.random.default_rng(seed).uniform([-10, 12], [10, 40], (n, 2))


def test_pixels_of_the_view_are_to_scale_and_right_way_up():
    view = View(crowd(50), 1000)
    origin, right, ahead = view.px([[0, 20], [1, 20], [0, 21]])
    np.testing.assert_allclose(right - origin, [view.px_per_m, 0], atol=1e-9)
    np.testing.assert_allclose(ahead - origin, [0, -view.px_per_m], atol=1e-9)
    np.testing.assert_allclose(view.px(view.low_m), [0, view.size_px[1]], atol=1e-6)
    np.testing.assert_allclose(view.px(view.high_m), [view.size_px[0], 0], atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 12, 400])
def test_everybody_of_a_plain_crowd_is_in_the_frame(n):
    points = crowd(n)
    view = View(points, 1000)
    assert view.inside(points).all()
    assert view.inside(np.zeros((1, 2))).all() == view.has_camera


def test_a_camera_near_the_crowd_is_in_the_frame():
    assert View(crowd(100), 1000).has_camera
    assert View(np.array([[1.0, 15.0]]), 1000).has_camera


def test_far_outliers_do_not_shrink_the_crowd():
    points = crowd(60)
    view = View(np.vstack([points, [[0, 9000.0], [-5000.0, 30]]]), 1000)
    assert view.inside(points).all()
    assert view.span_m < 100
    assert not view.inside(np.array([[0, 9000.0], [np.nan, np.nan]])).any()


def test_a_camera_far_from_the_crowd_is_left_out():
    view = View(crowd(60) + np.array([0, 300]), 1000)
    assert not view.has_camera and view.span_m < 60


def test_extent_is_the_bounding_box_without_outliers():
    points = crowd(80)
    low, high = extent_m(points)
    np.testing.assert_array_equal([low, high], [points.min(axis=0), points.max(axis=0)])


def test_density_integrates_to_the_number_of_people():
    points = np.random.default_rng(1).uniform([-8, 12], [8, 30], (300, 2))
    low, high = np.array([-20.0, 0.0]), np.array([21.0, 45.0])
    density = density_per_m2(points, low, high)
    cell_m2 = np.prod((high - low) / density.shape[::-1])
    assert density.sum() * cell_m2 == pytest.approx(300, rel=1e-6)


def test_density_equals_the_kernel_summed_by_hand():
    points = np.array([[1.0, 10.0], [2.5, 11.0], [-3.0, 14.0]])
    low, high = np.array([-10.0, 0.0]), np.array([10.0, 24.0])
    density = density_per_m2(points, low, high)
    rows, columns = density.shape
    x = low[0] + (np.arange(columns) + 0.5) * (high - low)[0] / columns
    y = low[1] + (np.arange(rows) + 0.5) * (high - low)[1] / rows
    squared = (x[None, :, None] - points[:, 0]) ** 2 + (y[:, None, None] - points[:, 1]) ** 2
    exact = np.exp(-squared / 2).sum(axis=2) / (2 * np.pi)
    np.testing.assert_allclose(density, exact, atol=0.035)  # people are moved to centres of cells


def test_an_even_crowd_has_its_even_density():
    x, y = np.meshgrid(np.arange(-10, 10, 0.5), np.arange(10, 30, 0.5))
    points = np.column_stack([x.ravel(), y.ravel()]) + 0.25
    low, high = np.array([-20.0, 0.0]), np.array([20.0, 40.0])
    density = density_per_m2(points, low, high)
    rows, columns = density.shape
    assert density[rows // 2, columns // 2] == pytest.approx(4.0, rel=0.01)


def test_the_seen_ground_is_what_projects_into_the_picture():
    plane = plane_below(35, 5.0)
    frame = export_frame(CAMERA, [plane])
    outline = seen_ground_m(CAMERA, Ground([plane]), frame, 1e6)
    pixels = CAMERA.project(frame.from_z_up(np.column_stack([outline, np.zeros(len(outline))])))
    on_border = np.minimum(np.abs(pixels), np.abs(pixels - [400, 300])).min(axis=1)
    np.testing.assert_allclose(on_border, 0, atol=1e-6)


def test_the_seen_ground_ends_at_the_reach_where_the_sky_begins():
    plane = plane_below(0, 5.0)
    frame = export_frame(CAMERA, [plane])
    outline = seen_ground_m(CAMERA, Ground([plane]), frame, 80.0)
    distance = np.linalg.norm(outline, axis=1)
    assert distance.max() == pytest.approx(80.0) and distance.min() < 15
    assert outline[:, 1].min() > 0


@pytest.mark.parametrize(
    "points", [crowd(1), crowd(40), [[0, 30]] * 3, crowd(30) + np.array([0, 500])]
)
def test_a_crowd_is_drawn(points):
    picture = draw_topview(scene_of(points), 900)
    assert picture.dtype == np.uint8 and picture.shape[1:] == (900, 3)
    assert len(np.unique(picture.astype(int) @ [65536, 256, 1])) > 100


def test_people_are_drawn_where_they_stand():
    points = np.array([[-6.0, 15.0], [0.0, 25.0], [7.0, 38.0]])
    scene = scene_of(points)
    scene.people.position_cov_m2[:] = 0.0
    picture = draw_topview(scene, 900)
    blue = (picture[..., 2].astype(int) - picture[..., 0] > 60).astype(np.uint8)
    rows, columns = np.nonzero(blue)
    by_height = [rows < rows.min() + 60, rows > rows.max() - 60]
    top = np.array([columns[by_height[0]].mean(), rows[by_height[0]].mean()])
    bottom = np.array([columns[by_height[1]].mean(), rows[by_height[1]].mean()])
    slope = (bottom - top) * [1, -1]
    expected = points[0] - points[2]
    angle = np.degrees(np.arctan2(*slope) - np.arctan2(*expected))
    assert abs(angle) < 3


def test_scenes_without_people_or_ground_say_so():
    empty = draw_topview(scene_of([]), 900)
    unplaced = scene_of(crowd(2), planes=False)
    unplaced.people.hvip_m[:] = np.nan
    lost = draw_topview(unplaced, 900)
    assert (empty < 200).any() and (lost < 200).any()
    assert (empty != lost).any()


def test_unknown_places_headings_and_errors_do_no_harm():
    scene = scene_of(crowd(6))
    scene.people.hvip_m[0] = np.nan
    scene.people.position_cov_m2[1] = np.nan
    scene.people.position_cov_m2[2] = np.eye(3) * 1e9
    scene.people.pose[3, 0] = [np.pi / 2, 0, 0]
    assert draw_topview(scene, 600).shape[1] == 600


def test_the_same_scene_gives_the_same_picture():
    scene = scene_of(crowd(20))
    np.testing.assert_array_equal(draw_topview(scene, 600), draw_topview(scene, 600))
