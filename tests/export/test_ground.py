"""Files of scenes whose ground is no level: heights in tables, meshes, contours, planes, bodies that change."""

import csv
import io
import json
import math
import re
import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.grounds import KINDS, scene_on, surface_of
from helpers.scenes import scattered_scene, two_level_scene, without_place

from crowd3d import body as bodies
from crowd3d.cli import main
from crowd3d.errors import DataError
from crowd3d.evaluate.check import check_predict
from crowd3d.export import glb, predict_json, report, tables, topview
from crowd3d.export.bodies import CrowdMesh
from crowd3d.export.contours import contour, contour_heights, round_step
from crowd3d.export.floorplan import floor_plan
from crowd3d.export.ground_photo import ground_photo
from crowd3d.export.groundmap import View, heights_m, seen_ground_m
from crowd3d.export.rebody import rebody
from crowd3d.export.topview import draw_topview
from crowd3d.scene.camera import Camera
from crowd3d.scene.frames import export_frame
from crowd3d.scene.ground_mesh import ground_meshes

NOBODY = CrowdMesh(np.zeros(0, np.int64), np.zeros((0, 8, 3), np.float32), np.zeros((0, 3), int))


def page_data(scene):
    grey = np.full((60, 90, 3), 128, np.uint8)
    text = "".join(report.html_parts(scene, NOBODY, grey, grey))
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return text, json.loads(found[1])


# -- tables


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_has_heights_and_levels(kind):
    scene = without_place(scene_on(kind, 8), {"a poster": [2]})
    table = list(csv.DictReader(io.StringIO(tables.to_csv(scene))))
    surface, placed = scene.surface, scene.people.placed
    truth = surface.heights_m(scene.people.hvip_m @ surface.axes.T)
    assert np.ptp(truth[placed]) > 0.5
    assert [row["z_m"] == row["level"] == "" for row in table] == (~placed).tolist()
    found = [float(row["z_m"]) for row in table if row["z_m"]]
    np.testing.assert_allclose(found, truth[placed], atol=1e-4)
    assert {row["level"] for row in table} == {"0", ""}
    properties = [f["properties"] for f in tables.to_geojson(scene)["features"][:8]]
    assert [p["z_m"] for p in properties] == [float(r["z_m"]) if r["z_m"] else None for r in table]
    assert properties[2]["level"] is None and properties[0]["level"] == 0


def test_levels_in_the_table():
    scene = scattered_scene(4)
    assert {(row["z_m"], row["level"]) for row in tables.rows(scene)} == {(0.0, 0)}
    scene.planes.append(replace(scene.planes[0], offset_m=2.5))
    scene.people.plane[1] = 1
    scene.people.hvip_m[1] = scene.planes[1].foot_m(scene.people.hvip_m[1])
    rows = tables.rows(scene)
    assert [(row["z_m"], row["level"]) for row in rows] == [(0, 0), (3.5, 1), (0, 0), (0, 0)]


# -- scene.glb


def parts_of(scene, photo=None):
    content = b"".join(glb.glb_parts(scene, NOBODY, photo))
    size = struct.unpack_from("<I", content, 12)[0]
    document, binary = json.loads(content[20 : 20 + size]), content[28 + size :]

    def array(number, width):
        accessor = document["accessors"][number]
        view = document["bufferViews"][accessor["bufferView"]]
        kind = {5126: "<f4", 5123: "<u2"}[accessor["componentType"]]
        count, offset = accessor["count"] * width, view["byteOffset"]
        return np.frombuffer(binary, kind, count, offset).reshape(-1, width)

    return document, array


@pytest.mark.parametrize("kind", KINDS)
def test_the_ground_in_the_glb_is_the_surface(kind):
    scene = scene_on(kind, 20)
    document, array = parts_of(scene)
    (node,) = (n for n in document["nodes"] if n["name"].startswith("ground"))
    assert node["name"] == "ground_0"
    (primitive,) = document["meshes"][node["mesh"]]["primitives"]
    vertices = array(primitive["attributes"]["POSITION"], 3).astype(float)
    normals = array(primitive["attributes"]["NORMAL"], 3)
    frame = export_frame(scene.camera, scene.planes)
    points = vertices @ frame.R_yup_cam + frame.origin_m
    heights = scene.ground.heights_m(points, np.zeros(len(points), int))
    np.testing.assert_allclose(vertices[:, 1], heights, atol=1e-4)
    # The normal of a height field y = h(x, z) is along (-dh/dx, 1, -dh/dz).
    step = 1e-4
    for axis in (0, 2):
        ahead, behind = (
            scene.ground.heights_m(
                points + s * step * frame.R_yup_cam[axis], np.zeros(len(points), int)
            )
            for s in (1, -1)
        )
        grade = (ahead - behind) / (2 * step)
        is_smooth = np.abs(-normals[:, axis] / normals[:, 1] - grade) < 2e-3
        assert is_smooth.mean() > 0.97  # hinges have edges
    faces = array(primitive["indices"], 1)
    assert faces.max() < len(vertices) and faces.size % 3 == 0


def squares(camera, ground, frame):
    """A photograph of ground that is red and blue in squares of 5 m; green where there is none."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    pixels = np.stack([u.ravel(), v.ravel()], axis=1)
    parts = [ground.points_m(camera, some) for some in np.array_split(pixels, 100)]
    where = frame.z_up(np.concatenate(parts))
    is_red = is_square(where)
    colors = np.stack([220 * is_red, 0 * is_red, 220 * ~is_red], axis=1)
    colors[np.isnan(where[:, 0])] = [0, 255, 0]
    return colors.reshape(camera.height, camera.width, 3).astype(np.uint8)


def is_square(places):
    with np.errstate(invalid="ignore"):
        return np.floor(places[..., :2] / 5).astype(int).sum(axis=-1) % 2 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_photograph_lies_on_the_ground_where_it_shows_it(kind):
    scene = scene_on(kind, 20)
    scene.camera = Camera(240, 160, 200.0, (120.0, 80.0))  # the same view in fewer pixels
    frame = export_frame(scene.camera, scene.planes)
    (mesh,) = ground_meshes(scene.ground, frame, scene.people).values()
    photo = ground_photo(mesh, scene.camera, squares(scene.camera, scene.ground, frame))
    low, high = (end(frame.z_up(mesh.vertices_m), axis=(0, 1)) for end in (np.min, np.max))
    height, width = photo.shape[:2]
    assert max(height, width) == 2048
    assert width / height == pytest.approx((high[0] - low[0]) / (high[1] - low[1]), rel=0.15)
    right, ahead = (np.arange(width) + 0.5) / width, 1 - (np.arange(height) + 0.5) / height
    x, y = np.meshgrid(low[0] + right * (high - low)[0], low[1] + ahead * (high - low)[1])
    is_seen = photo[..., 1] < 10
    same = (photo[..., 0] > photo[..., 2]) == is_square(np.stack([x, y], axis=-1))
    assert is_seen.mean() > 0.5 and same[is_seen].mean() > 0.9
    assert (photo[-1, 0] == 128).all()  # beside the camera


def test_the_glb_has_the_photograph():
    scene = scene_on("stands", 6)
    photo = np.full((80, 120, 3), [200, 60, 20], np.uint8)
    document, array = parts_of(scene, photo)
    (node,) = (n for n in document["nodes"] if n["name"] == "ground_0")
    (primitive,) = document["meshes"][node["mesh"]]["primitives"]
    material = document["materials"][primitive["material"]]["pbrMetallicRoughness"]
    assert material["baseColorTexture"] == {"index": 0} and material["baseColorFactor"] == [1] * 4
    assert document["textures"] == [{"source": 0, "sampler": 0}] and len(document["samplers"]) == 1
    places = array(primitive["attributes"]["TEXCOORD_0"], 2)
    vertices = array(primitive["attributes"]["POSITION"], 3)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    np.testing.assert_allclose(places[:, 0], (vertices - low)[:, 0] / (high - low)[0], atol=1e-5)
    # z is backward, and the picture's upper edge is the farthest.
    np.testing.assert_allclose(places[:, 1], (vertices - low)[:, 2] / (high - low)[2], atol=1e-5)
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    assert "target" not in view and "byteStride" not in view
    start = view["byteOffset"]
    content = b"".join(glb.glb_parts(scene, NOBODY, photo))
    size = struct.unpack_from("<I", content, 12)[0]
    jpeg = content[28 + size :][start : start + view["byteLength"]]
    texture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert max(texture.shape[:2]) == 2048
    near = np.abs(texture.astype(int) - [200, 60, 20]).max(axis=2) < 6
    assert near.mean() > 0.5
    assert "images" not in parts_of(scene)[0]


# -- topview.png


def test_round_steps():
    for step, expected in ((0.05, 0.05), (0.07, 0.1), (0.11, 0.2), (3, 5), (5.1, 10), (20, 20)):
        assert round_step(step) == pytest.approx(expected)


def test_heights_of_contours():
    heights = np.linspace(-1.3, 6.2, 50)
    np.testing.assert_allclose(contour_heights(heights, 0.1), np.arange(-1, 7))
    assert not len(contour_heights(np.full((3, 3), 2.0), 0.1))
    assert not len(contour_heights(np.full((3, 3), np.nan), 0.1))
    assert not len(contour_heights(np.array([0.95, 1.02]), 0.1))


def test_a_contour_runs_where_the_height_is():
    rows, columns = np.mgrid[0:40, 0:30]
    plane = 0.3 * columns - 0.2 * rows
    ends = contour(plane, 1.03).reshape(-1, 2)
    np.testing.assert_allclose(0.3 * ends[:, 0] - 0.2 * ends[:, 1], 1.03, atol=1e-9)
    away = np.hypot(columns - 15.0, rows - 20.0)
    around = contour(away, 9.0)
    radii = np.hypot(*(around.reshape(-1, 2) - [15, 20]).T)
    np.testing.assert_allclose(radii, 9.0, atol=0.03)
    length = np.linalg.norm(around[:, 0] - around[:, 1], axis=1).sum()
    assert length == pytest.approx(2 * math.pi * 9, rel=0.01)  # closed, and nothing twice
    away[:20] = np.nan
    half = contour(away, 9.0)
    assert half[..., 1].min() >= 20
    np.testing.assert_array_equal(contour(np.ones((4, 4)), 2.0), np.zeros((0, 2, 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_of_heights_covers_people_and_what_is_seen(kind):
    scene = scene_on(kind, 40)
    frame, plan = export_frame(scene.camera, scene.planes), floor_plan(scene)
    view = View(plan.position_m[:, :2], 900)
    outline = seen_ground_m(scene.camera, scene.ground, frame, 20 * view.span_m)
    heights = heights_m(scene.ground, frame, view, outline, plan.position_m[:, :2])
    cells = np.array(heights.shape[::-1]) - 1
    at = np.rint((plan.position_m[:, :2] - view.low_m) / (view.high_m - view.low_m) * cells)
    u, v = at.astype(int).T
    np.testing.assert_allclose(heights[v, u], plan.position_m[:, 2], atol=0.25)
    assert 0.1 < np.isnan(heights).mean() < 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_seen_ground_follows_the_surface(kind):
    scene = scene_on(kind)
    frame = export_frame(scene.camera, scene.planes)
    outline = seen_ground_m(scene.camera, scene.ground, frame, 60.0)
    near = outline[np.linalg.norm(outline, axis=1) < 59]
    level = frame.from_z_up(np.column_stack([near, np.zeros(len(near))]))
    pixels = scene.camera.project(scene.ground.feet_m(level, np.zeros(len(near), int)))
    off = np.minimum(np.abs(pixels), np.abs(pixels - [1200, 800])).min(axis=1)
    assert len(near) > 30
    np.testing.assert_allclose(off, 0, atol=1e-3)


def test_contours_are_drawn_at_their_heights_and_nowhere_else(monkeypatch):
    scene = scene_on("slope", 40)
    plan = floor_plan(scene)
    drawn = draw_topview(scene, 900)
    np.testing.assert_array_equal(drawn, draw_topview(scene, 900))
    monkeypatch.setattr(topview, "_draw_contours", lambda *_: None)
    rows, columns = np.nonzero((drawn != draw_topview(scene, 900)).any(axis=2))
    view = View(plan.position_m[:, :2], 900 - 84 - 36)
    at = np.column_stack([columns - 84, rows - 92]) + 0.5
    assert (at >= 0).all() and (at <= view.size_px).all()
    where = np.column_stack(
        [view.low_m[0] + at[:, 0] / view.px_per_m, view.high_m[1] - at[:, 1] / view.px_per_m]
    )
    frame = export_frame(scene.camera, scene.planes)
    points = frame.from_z_up(np.column_stack([where, np.zeros(len(where))]))
    heights = scene.ground.heights_m(points, np.zeros(len(points), int))
    off = np.abs(heights - np.rint(heights))  # a line every metre
    assert len(off) > 2000 and (off < 0.2 / view.px_per_m).mean() > 0.8  # the rest are labels


def test_levels_are_labelled_with_their_height():
    scene = two_level_scene(12)
    one = replace(scene, planes=scene.planes[:1])
    assert (draw_topview(scene, 900) != draw_topview(one, 900)).any()


# -- predict.json


def test_planes_of_levels_and_slopes_are_told(tmp_path):
    scene = two_level_scene(6)
    (entry,) = predict_json.to_predict(scene).values()
    rows = np.array([[*plane.normal, plane.offset_m] for plane in scene.planes])
    np.testing.assert_array_equal(entry["planes"], rows)
    assert [p["plane"] for p in entry["person_list"]] == scene.people.plane.tolist()
    predict_json.write(scene, tmp_path / "p.json")
    assert len(predict_json.read(tmp_path / "p.json")["square.jpg"]) == 6
    assert check_predict(tmp_path / "p.json").people == 6
    for change, says in (
        (lambda e: e["planes"].pop(), "no such plane; the picture has 1"),
        (lambda e: e["planes"][0].pop(), "planes"),
        (lambda e: e["planes"].append([0, 2, 0, 1]), "unit normal"),
        (lambda e: e["person_list"][0].update(plane=-1), "plane"),
    ):
        told = json.loads((tmp_path / "p.json").read_text())
        change(told["square.jpg"])
        (tmp_path / "odd.json").write_text(json.dumps(told))
        with pytest.raises(DataError, match=says):
            check_predict(tmp_path / "odd.json")
    (minimal,) = predict_json.to_predict(scene, minimal=True).values()
    assert "planes" not in minimal and "plane" not in minimal["person_list"][0]
    slope = scene_on("slope")
    (entry,) = predict_json.to_predict(slope).values()
    ((*normal, offset_m),) = entry["planes"]
    np.testing.assert_allclose(slope.people.hvip_m @ normal + offset_m, 0, atol=1e-9)
    assert np.linalg.norm(normal) == pytest.approx(1)
    for kind in ("stands", "terrain"):
        (entry,) = predict_json.to_predict(scene_on(kind)).values()
        assert set(entry) == {"Intrinsic_matrix", "person_list"}


# -- report.html


def test_the_page_says_and_draws_the_ground():
    scene = scene_on("terrain")
    scene.diagnostics["camera_report"] = {"ground_probabilities": {"level": 0.04, "terrain": 0.96}}
    text, data = page_data(scene)
    assert "terrain, people" in text and "96% probable" in text
    (part,) = data["ground"]
    points = np.array(part["points"])
    frame = export_frame(scene.camera, scene.planes)
    level = points @ frame.R_yup_cam + frame.origin_m
    heights = scene.ground.heights_m(level, np.zeros(len(points), int))
    np.testing.assert_allclose(points[:, 1], heights, atol=0.02)
    assert np.max(part["faces"]) == len(points) - 1 < 65536
    text, data = page_data(scattered_scene())
    assert data["ground"] == [] and "<dd>level " in text and "probable" not in text
    assert len(page_data(two_level_scene())[1]["ground"]) == 2
    assert page_data(scattered_scene(2, planes=False))[1]["ground"] == []


# -- another body


def test_everybody_stays_on_the_surface_with_another_body():
    scene = two_level_scene(6)
    scene.planes = scene.planes[:1]
    scene.people.plane[:] = 0
    scene.surface = surface_of("terrain", scene.planes[0])
    source, target = bodies.load("open", "crowd"), bodies.load("open", "crowd")
    people = rebody(scene, source, target).people
    on_it = scene.ground.feet_m(people.torso_m, people.plane)
    np.testing.assert_allclose(people.hvip_m, on_it, atol=1e-9)
    up = people.torso_m - people.hvip_m
    along = up @ scene.ground.normal
    np.testing.assert_allclose(up, along[:, None] * scene.ground.normal, atol=1e-9)


# -- the command


def test_the_command_lays_the_photograph_on_the_ground(tmp_path):
    scene = two_level_scene(2)
    scene.save(tmp_path / "scene")
    picture = np.full((scene.camera.height, scene.camera.width, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "square.png"), picture)
    command = ["export", str(tmp_path / "scene"), "-o", str(tmp_path / "out"), "--photo-ground"]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2 and "give it with --image" in refused.output
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(main, [*command, "--image", str(tmp_path / "square.png")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "scene.glb").read_bytes().count(b"image/jpeg") == 2
