"""From detections to a camera with its planes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from helpers.ground import World, terrace
from shapely import Point

from crowd3d.config import Config
from crowd3d.ground.crowds import largest_crowd
from crowd3d.ground.fit import NOTHING_ELSE, fit_camera, given_ground
from crowd3d.pipeline.self_check import doubts_of_fit
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.known import KnownCamera, KnownGround
from crowd3d.scene.level_regions import LevelRegions
from crowd3d.scene.levels import plane_at
from crowd3d.scene.plane import Plane
from optim.anthropometry import HEIGHT_FRACTION


def _detections(keypoints: np.ndarray) -> Detections:
    points = keypoints[..., :2]
    box = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    one = np.ones(len(keypoints))
    none = np.zeros(len(keypoints), np.int64)
    return Detections(one, one, box, keypoints, none > 0, none)


def _unknown(world: World) -> KnownCamera:
    return KnownCamera(world.size)


def test_terraces_become_planes_with_regions():
    world, people, first = terrace(0.6, 3)
    fitted = fit_camera(_detections(people), _unknown(world), Config(max_planes=2))
    assert len(fitted.planes) == 2
    ratio = fitted.planes[1].offset_m / fitted.planes[0].offset_m
    assert ratio == pytest.approx(0.6, rel=0.1)
    assert (fitted.plane_index[:first] == 0).mean() > 0.9
    foot = people[:, 15:, :2].mean(axis=1)
    inside = [fitted.planes[0].region.covers(Point(p)) for p in foot[:first]]
    assert np.mean(inside) > 0.9


def test_other_levels_are_looked_for_around_a_ground_that_is_given():
    world, people, first = terrace(0.6, 3)
    camera = Camera(*world.size, world.focal_px, tuple(world.center_px))
    ground = KnownGround(tuple(-world.normal), 9.0)
    known, config = replace(KnownCamera.of(camera), ground=ground), Config(max_planes=2)
    assert given_ground(known, config) is None
    fitted = fit_camera(_detections(people), known, config)
    assert fitted.camera == camera and fitted.planes[0].offset_m == 9.0
    np.testing.assert_array_equal(fitted.normal, ground.normal)
    assert fitted.planes[1].offset_m == pytest.approx(5.4, rel=0.05)
    assert (fitted.plane_index[:first] == 0).mean() > 0.9
    alone = given_ground(known, Config())
    assert alone.camera == camera and alone.planes[0].offset_m == 9.0


def _regions(border_px: float, world: World) -> LevelRegions:
    width, height = world.size
    left, right = shapely.box(0, 0, border_px, height), shapely.box(border_px, 0, width, height)
    return LevelRegions(("roof", "hall", "plaza"), (shapely.box(0, -9, 9, -1), right, left))


def test_regions_name_the_levels_and_are_kept():
    """A step of 0.3 m, which nobody finds who is not told."""
    world, people, _ = terrace(1 - 0.3 / 9, 3)
    foot = people[:, 15:, :2].mean(axis=1)
    regions = _regions(2600.0, world)
    camera = Camera(*world.size, world.focal_px, tuple(world.center_px))
    known = replace(KnownCamera.of(camera), regions=regions)
    fitted = fit_camera(_detections(people), known, Config())
    assert [plane.region for plane in fitted.planes] == [regions.areas[k] for k in (2, 1, 0)]
    right = foot[:, 0] >= 2600.0
    np.testing.assert_array_equal(fitted.plane_index, right)
    np.testing.assert_array_equal(plane_at(fitted.planes, foot), right)
    heights = [plane.offset_m for plane in fitted.planes]
    assert heights[0] - heights[1] == pytest.approx(0.3, abs=0.25)
    assert heights[2] == heights[0]  # of the level of nobody
    assert [level["name"] for level in fitted.report["levels"]] == ["plaza", "hall", "roof"]
    assert [level["people"] for level in fitted.report["levels"]] == [*np.bincount(right), 0]
    (doubt,) = (d for d in doubts_of_fit(fitted, len(people), known) if "regions" in d)
    assert "0 on 'roof'" in doubt


def test_a_height_that_is_known_is_over_the_first_region():
    world, people, _ = terrace(0.6, 3)
    camera = Camera(*world.size, world.focal_px, tuple(world.center_px))
    right, left = _regions(2600.0, world).areas[1:]
    ground = KnownGround(tuple(-world.normal), 5.4)
    regions = LevelRegions(("right", "left"), (right, left))
    known = replace(KnownCamera.of(camera), ground=ground, regions=regions)
    assert given_ground(known, Config()) is None
    fitted = fit_camera(_detections(people), known, Config())
    assert fitted.planes[0].offset_m == 5.4 and fitted.planes[0].region == right
    assert fitted.planes[1].offset_m == pytest.approx(9.0, rel=0.05)
    everybody = LevelRegions(("all",), (right,))
    assert given_ground(replace(known, regions=everybody), Config()) is not None


def test_the_largest_crowd_stands_on_the_regions_too():
    world, people, _ = terrace(0.6, 3)
    known = replace(_unknown(world), regions=_regions(2600.0, world))
    found = largest_crowd(_detections(people), known, Config(), NOTHING_ELSE)
    assert {plane.region for plane in found.planes} == set(known.regions.areas)


@pytest.mark.parametrize("slope", [0.1, 0.2])
def test_a_slope_is_kept_level_where_that_is_told(slope):
    world = World()
    people = _detections(world.crowd(200, 4, relief=lambda right, ahead: slope * right))
    camera = Camera(*world.size, world.focal_px, tuple(world.center_px))
    known = KnownCamera.of(camera)
    kinds = [fit_camera(people, known, Config(ground=g)).ground.kind for g in ("auto", "level")]
    assert kinds == ["slope", "level"]


def test_one_ground_needs_no_region():
    world = World()
    fitted = fit_camera(_detections(world.crowd(60, 1)), _unknown(world), Config())
    assert [plane.region for plane in fitted.planes] == [None]


def test_frames_of_a_static_camera_are_pooled():
    world = World()
    frames = [_detections(world.crowd(20, seed)) for seed in range(4)]
    one = fit_camera(frames[0], _unknown(world), Config())
    many = fit_camera(Detections.cat(frames), _unknown(world), Config())
    assert many.covariance[0, 0] < 0.7 * one.covariance[0, 0]


def test_what_is_known_of_the_focal_length_is_used():
    world = World(pitch=2, height=1.7)
    people = _detections(world.crowd(12, 3, far=12.0))
    prior = (world.focal_px, 0.03)
    fitted = fit_camera(people, replace(_unknown(world), focal_prior=prior), Config())
    assert fitted.camera.focal_px == pytest.approx(world.focal_px, rel=0.1)


def test_who_is_seen_from_above_is_shortened_or_left_out():
    """A Mercator panorama from 6 m up: legs of people below 30 degrees stay, and nobody from above tells."""
    camera = Camera(3600, 2400, 600.0, (1800.0, 300.0), projection="mercator")
    level = Plane(np.array([0.0, -1.0, 0.0]), 6.0)
    away = np.concatenate([np.full(20, 14.0), np.full(20, 4.0), np.full(10, 1.0)])
    bearing = np.linspace(-2.5, 2.5, len(away))
    foot = np.stack([away * np.sin(bearing), np.full(50, 6.0), away * np.cos(bearing)], axis=1)
    height = np.nan_to_num(HEIGHT_FRACTION, nan=0.94)
    exact = camera.project(foot[:, None] - 1.7 * height[:, None] * [0.0, 1.0, 0.0])
    keypoints = np.concatenate([exact, np.full((50, 17, 1), 0.7)], axis=2)
    known = KnownCamera.of(camera)
    far, near, above = slice(0, 20), slice(20, 40), slice(40, 50)
    seen = keypoints.copy()
    # As the network sees those from 56 degrees above.
    shoulders = seen[near, 5:7, 1].mean(axis=1)[:, None]
    seen[near, 11:, 1] = shoulders + (seen[near, 11:, 1] - shoulders) / 0.96
    seen[above, 11:, 1] += 60.0
    alone = fit_camera(_detections(seen[far]), known, Config())
    assert alone.planes[0].offset_m == pytest.approx(level.offset_m, rel=0.01)
    both = fit_camera(_detections(seen), known, Config())
    assert both.planes[0].offset_m == pytest.approx(level.offset_m, rel=0.01)
    assert both.normal @ level.normal > 0.99999
    assert both.report["left_out"]["too few joints seen"] == list(range(40, 50))
    # Where nobody else is, those from above have to do.
    assert fit_camera(_detections(keypoints[above]), known, Config()) is not None
