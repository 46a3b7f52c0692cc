"""Terraces from the command line to the files: everybody stands on the own level of ground."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.ground import terrace
from shapely import Point, box

from crowd3d import Camera, Scene
from crowd3d.cli import main
from crowd3d.data.keypoint_export import write_poses
from crowd3d.scene.detections import Detections
from crowd3d.scene.ground import Ground
from crowd3d.scene.levels import feet_px, plane_at
from crowd3d.scene.plane import Plane
from crowd3d.scene.standing import person_height_px

RATIO = 0.7
UP = np.array([0.0, -1.0, 0.0])
LEFT, RIGHT = Plane(UP, 9.0, box(0, 0, 500, 800)), Plane(UP, 6.0, box(500, 0, 1000, 800))


def _people(keypoints: np.ndarray) -> Detections:
    points = keypoints[..., :2]
    boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    one, none = np.full(len(keypoints), 0.9), np.zeros(len(keypoints), np.int64)
    return Detections(one, one, boxes, keypoints, none > 0, none)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run on a grey picture with the poses of a terrace, and who is on the upper level."""
    folder = tmp_path_factory.mktemp("terrace")
    world, keypoints, first = terrace(RATIO, 3)
    width, height = world.size
    cv2.imwrite(str(folder / "crowd.png"), np.full((height, width, 3), 90, np.uint8))
    write_poses(
        folder / "poses.json", {"crowd.jpg": _people(keypoints)}, "coco", {"crowd.jpg": world.size}
    )
    options = ["--keypoints", str(folder / "poses.json"), "--max-planes", "3", "--quiet"]
    options += ["--focal-px", str(world.focal_px), "-o", str(folder / "out")]
    result = CliRunner().invoke(main, ["reconstruct", str(folder / "crowd.png"), *options])
    assert result.exit_code == 0, result.output
    border_px = keypoints[first:, 15:, 0].mean(axis=1).min()
    return folder / "out", border_px


def test_people_stand_on_their_own_level(run):
    scene, border_px = Scene.load(run[0]), run[1]
    assert len(scene.planes) == 2
    assert scene.planes[1].offset_m / scene.planes[0].offset_m == pytest.approx(RATIO, rel=0.06)
    people = scene.people
    upper = people.hvip_px[:, 0] >= border_px
    assert (people.plane == upper).mean() > 0.95
    for k, plane in enumerate(scene.planes):
        rows = people.plane == k
        np.testing.assert_allclose(plane.signed_height_m(people.hvip_m[rows]), 0, atol=1e-9)
        assert np.median(people.stature_m[rows]) == pytest.approx(1.7, abs=0.06)


def test_the_files_tell_the_levels_apart(run):
    out = run[0]
    planes = json.loads((out / "scene.json").read_text())["planes"]
    assert [len(plane["region"]) > 3 for plane in planes] == [True, True]
    scene = Scene.load(out)
    inside = [
        scene.planes[k].region.distance(Point(at)) < 60
        for k, at in zip(scene.people.plane, scene.people.hvip_px, strict=True)
    ]
    assert np.mean(inside) > 0.97
    header, body = (out / "scene.glb").read_bytes()[12:20], (out / "scene.glb").read_bytes()
    names = [
        n["name"] for n in json.loads(body[20 : 20 + int.from_bytes(header[:4], "little")])["nodes"]
    ]
    assert {"ground_0", "ground_1"} <= set(names)
    assert (
        CliRunner().invoke(main, ["evaluate", "--check", str(out / "predict.json")]).exit_code == 0
    )
    assert len((out / "people.csv").read_text().splitlines()) == len(scene.people) + 1


def _again(out, regions, *options):
    """The same picture and poses with a file of regions."""
    folder = out.parent
    line = ["reconstruct", str(folder / "crowd.png"), "--keypoints", str(folder / "poses.json")]
    line += ["--regions", str(regions), "-o", str(folder / "again"), "--quiet", "--overwrite"]
    return CliRunner().invoke(main, [*line, *map(str, options)])


def test_regions_that_were_found_can_be_corrected_and_given_back(run):
    out, focal_px = run[0], Scene.load(run[0]).camera.focal_px
    before = Scene.load(out)
    result = _again(out, out / "regions.geojson", "--focal-px", focal_px)
    assert result.exit_code == 0, result.output
    again = Scene.load(out.parent / "again")
    assert again.ground.kind == "levels" and len(again.planes) == 2
    # Who stands among others keeps a level that the border of the polygons does not.
    assert (again.people.plane == before.people.plane).mean() > 0.99
    np.testing.assert_array_equal(again.people.plane, plane_at(again.planes, feet_px(again.people)))
    for plane, found in zip(again.planes, before.planes, strict=True):
        assert plane.region.symmetric_difference(found.region).area < 100
        assert plane.offset_m == pytest.approx(found.offset_m, rel=0.02)
    told = json.loads((out.parent / "again" / "regions.geojson").read_text())["features"]
    assert [one["properties"]["level"] for one in told] == ["0", "1"]
    assert told[1]["properties"]["height_m"] == pytest.approx(
        again.planes[0].offset_m - again.planes[1].offset_m, abs=0.01
    )


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("{", [], "not JSON"),
        (None, [], "cannot read"),
        ('{"type": "FeatureCollection", "features": []}', [], "there are no polygons"),
        ("written", ["--max-planes", "3"], "leave out --max-planes"),
        ("written", ["--ground", "slope"], "leave out --max-planes (max_planes) and --ground"),
    ],
)
def test_regions_that_cannot_be_used_end_in_a_line(run, tmp_path, text, options, says):
    path = run[0] / "regions.geojson"
    if text != "written":
        path = tmp_path / "mine.geojson"
    if text not in ("written", None):
        path.write_text(text)
    result = _again(run[0], path, *options)
    assert result.exit_code == 2 and says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_pixel_belongs_to_the_region_it_is_in_or_nearest_to():
    points = np.array([[10.0, 10], [900, 700], [499, 5], [-50, 9000], [1200, 9], [np.nan, 3]])
    assert plane_at([LEFT, RIGHT], points).tolist() == [0, 1, 0, 0, 1, 0]
    assert plane_at([Plane(UP, 9.0)], points).tolist() == [0] * 6
    assert plane_at([LEFT, RIGHT], np.zeros((0, 2))).shape == (0,)


def test_heights_and_feet_are_those_of_the_plane_below():
    camera = Camera.from_fov(1000, 800, 60)
    feet = np.array([[100.0, 700], [900, 700]])
    ground = Ground([LEFT, RIGHT])
    heights = person_height_px(camera, ground.under(camera, feet), feet)
    alone = [person_height_px(camera, p, feet)[i] for i, p in enumerate((LEFT, RIGHT))]
    np.testing.assert_allclose(heights, alone)
    assert heights[1] == pytest.approx(1.5 * heights[0], rel=0.1)
    points = np.array([[1.0, 0, 20], [-1, 2, 30]])
    found = ground.feet_m(points, np.array([0, 1]))
    np.testing.assert_allclose(found, [LEFT.foot_m(points[0]), RIGHT.foot_m(points[1])])


def test_who_shows_no_ankles_stands_at_the_bottom_of_the_box():
    _, keypoints, _ = terrace(RATIO, 3)
    people = _people(keypoints[:3])
    people.keypoints_px[1, 16, 2] = 0.0
    people.keypoints_px[2, 15] = np.nan
    feet = feet_px(people)
    np.testing.assert_allclose(feet[0], keypoints[0, 15:, :2].mean(axis=0))
    np.testing.assert_allclose(feet[1:, 1], people.box_px[1:, 3])
