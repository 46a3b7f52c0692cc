"""Files of a run: transforms, round trips, formats that other programs read, all or nothing."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.scenes import SCATTERED_CAMERA, scattered_scene, tilted_plane, without_place
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from shapely.geometry import Point, Polygon

from crowd3d.errors import EnvironmentProblem, OutputError, SceneError
from crowd3d.export import FILES, glb, predict_json, report, tables, write_all
from crowd3d.export.bodies import crowd_mesh
from crowd3d.export.normals import vertex_normals
from crowd3d.files import atomic
from crowd3d.scene import storage
from crowd3d.scene.frames import export_frame
from crowd3d.scene.people import ROW_LAYOUT
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene

BOX = np.array([[x, y, z] for x in (-0.2, 0.2) for y in (-0.9, 0.9) for z in (-0.1, 0.1)])
BOX_FACES = np.array(
    [
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]],
        [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]],
    ]
).reshape(-1, 3)


class BoxBody:
    """A body of eight corners that only the root rotation turns."""

    n_vertices = 8
    faces = torch.as_tensor(BOX_FACES)

    def __call__(self, pose: torch.Tensor, betas: torch.Tensor, transl: torch.Tensor) -> Any:
        turn = torch.as_tensor(Rotation.from_rotvec(pose[:, 0].numpy()).as_matrix()).float()
        corners = torch.as_tensor(BOX).float()
        return SimpleNamespace(vertices=corners @ turn.transpose(1, 2) + transl[:, None])


# -- transforms -----------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.floats(-40, 90), st.floats(-30, 30), st.floats(0.5, 80))
def test_the_ground_has_height_zero_and_frames_are_right_handed(pitch, roll, height):
    plane = tilted_plane(pitch, roll, height)
    frame = export_frame(SCATTERED_CAMERA, [plane])
    for R in (frame.R_zup_cam, frame.R_yup_cam):
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(R) == pytest.approx(1)
    ground = plane.foot_m(np.random.default_rng(0).normal(0, 30, (20, 3)))
    np.testing.assert_allclose(frame.z_up(ground)[:, 2], 0, atol=1e-9)
    np.testing.assert_allclose(frame.y_up(ground)[:, 1], 0, atol=1e-9)
    np.testing.assert_allclose(frame.z_up(np.zeros(3)), [0, 0, height], atol=1e-9)
    np.testing.assert_allclose(frame.from_z_up(frame.z_up(ground)), ground, atol=1e-9)
    homogeneous = np.append(ground[0], 1)
    np.testing.assert_allclose(
        frame.matrix("z") @ homogeneous, [*frame.z_up(ground[0]), 1], atol=1e-9
    )
    np.testing.assert_allclose(
        frame.matrix("y") @ homogeneous, [*frame.y_up(ground[0]), 1], atol=1e-9
    )
    x, y, z = frame.z_up(ground[0])
    np.testing.assert_allclose(frame.y_up(ground[0]), [x, z, -y], atol=1e-9)


@pytest.mark.parametrize("pitch", [-20, 0, 30, 80])
def test_forward_is_the_viewing_direction(pitch):
    frame = export_frame(SCATTERED_CAMERA, [tilted_plane(pitch)])
    x, y, _ = frame.R_zup_cam @ [0, 0, 1]
    assert x == pytest.approx(0, abs=1e-12) and y > 0
    np.testing.assert_allclose(frame.R_zup_cam @ [1, 0, 0], [1, 0, 0], atol=1e-12)


def test_straight_down_the_upper_edge_is_ahead():
    frame = export_frame(SCATTERED_CAMERA, [tilted_plane(90)])
    np.testing.assert_allclose(frame.R_zup_cam @ [0, -1, 0], [0, 1, 0], atol=1e-9)


def test_without_a_plane_the_camera_is_the_origin():
    frame = export_frame(SCATTERED_CAMERA, [])
    np.testing.assert_allclose(frame.z_up([1, 2, 3]), [1, 3, -2], atol=1e-12)


# -- scene.json and people.npz --------------------------------------------------------------------


@pytest.mark.parametrize(("n", "planes"), [(5, True), (0, True), (0, False), (2, False)])
def test_a_scene_comes_back_as_it_went(tmp_path, n, planes):
    scene = scattered_scene(n, planes)
    scene.save(tmp_path / "new" / "folder")
    back = Scene.load(tmp_path / "new" / "folder")
    assert back.camera == scene.camera and back.image_name == scene.image_name
    for name in ROW_LAYOUT:
        ours, theirs = getattr(scene.people, name), getattr(back.people, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert [p.offset_m for p in back.planes] == [p.offset_m for p in scene.planes]
    for mine, other in zip(scene.planes, back.planes, strict=True):
        np.testing.assert_array_equal(mine.normal, other.normal)
    assert back.diagnostics == {"warnings": ["<rough> & ready"], "seconds": {"find": 0.5}}
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "people.npz",
        "scene.json",
    ]


def test_regions_keep_their_holes(tmp_path):
    scene = scattered_scene()
    square, hole = Polygon([(0, 0), (9, 0), (9, 9), (0, 9)]), Point(4, 4).buffer(1)
    scene.planes = [
        Plane(scene.planes[0].normal, 2.0, square.difference(hole)),
        Plane(scene.planes[0].normal, 3.0, square),
    ]
    scene.save(tmp_path)
    for mine, other in zip(scene.planes, Scene.load(tmp_path).planes, strict=True):
        assert mine.region.equals(other.region)


def test_the_same_scene_gives_the_same_bytes(tmp_path, monkeypatch):
    scattered_scene().save(tmp_path / "a")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2030, 1, 1, 1, 1, 1, 1, 1, 0))
    scattered_scene().save(tmp_path / "b")
    for name in ("scene.json", "people.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_scene_json_is_strict(tmp_path):
    scene = scattered_scene()
    scene.diagnostics = {"sd": float("nan"), "array": np.array([1.0, np.inf])}
    scene.save(tmp_path)
    text = (tmp_path / "scene.json").read_text()
    values = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert values["schema"] == "crowd3d-scene/2"
    assert values["diagnostics"] == {"sd": None, "array": [1.0, None]}
    to_y_up = np.array(values["export_transforms"]["y_up_from_camera"])
    foot = to_y_up @ np.append(scene.people.hvip_m[0], 1)
    assert foot[1] == pytest.approx(0, abs=1e-9)


def _edit(change):
    def damage(folder: Path) -> None:
        values = json.loads((folder / "scene.json").read_text())
        change(values)
        (folder / "scene.json").write_text(json.dumps(values))

    return damage


def _put(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def _cut(folder: Path) -> None:
    content = (folder / "people.npz").read_bytes()
    (folder / "people.npz").write_bytes(content[: len(content) // 2])


def _drop_array(folder: Path) -> None:
    with np.load(folder / "people.npz") as archive:
        arrays = {name: archive[name] for name in archive.files if name != "fisher"}
    np.savez(folder / "people.npz", **arrays)


def _pickled(folder: Path) -> None:
    np.savez(folder / "people.npz", **{n: np.array([{}], dtype=object) for n in ROW_LAYOUT})


def _change(**values: Any):
    """One person of the arrays."""

    def damage(folder: Path) -> None:
        with np.load(folder / "people.npz") as archive:
            arrays = dict(archive)
        for name, value in values.items():
            arrays[name][1] = value
        np.savez(folder / "people.npz", **arrays)

    return damage


_NOWHERE = dict.fromkeys(("transl_m", "torso_m", "hvip_m"), np.nan)

DAMAGES = {
    "no scene": lambda folder: (folder / "scene.json").unlink(),
    "no people": lambda folder: (folder / "people.npz").unlink(),
    "empty": _put("scene.json", b""),
    "not text": _put("scene.json", b"\xff\xfe\x00"),
    "a list": _put("scene.json", b"[]"),
    "deep": _put("scene.json", b"[" * 100_000),
    "NaN": _put("scene.json", b'{"schema": NaN}'),
    "no zip": _put("people.npz", b"nothing"),
    "empty npz": _put("people.npz", b""),
    "half": _cut,
    "array missing": _drop_array,
    "pickle": _pickled,
    "schema": _edit(lambda v: v.update(schema="crowd3d-scene/3")),
    "no camera": _edit(lambda v: v.pop("camera")),
    "camera": _edit(lambda v: v.update(camera=[1])),
    "focal": _edit(lambda v: v["camera"].update(focal_px="long")),
    "planes": _edit(lambda v: v.update(planes={})),
    "normal": _edit(lambda v: v["planes"][0].update(normal=[0, 1])),
    "length": _edit(lambda v: v["planes"][0].update(normal=[0, 2, 0])),
    "nulls": _edit(lambda v: v["planes"][0].update(normal=[None, 0, 1])),
    "region": _edit(lambda v: v["planes"][0].update(region=[[0, 0], [1, 1]])),
    "region text": _edit(lambda v: v["planes"][0].update(region="all")),
    "huge": _edit(lambda v: v["planes"][0].update(offset_m=10**400)),
    "diagnostics": _edit(lambda v: v.update(diagnostics=None)),
    "count": _edit(lambda v: v["counts"].update(people=9)),
    "counts": _edit(lambda v: v.update(counts=None)),
    "a plane and no position": _change(**_NOWHERE),
    "a plane and half a position": _change(torso_m=[0, np.nan, 1]),
    "a position and no plane": _change(plane=-1),
    "half a position and no plane": _change(plane=-1, **(_NOWHERE | {"hvip_m": [1, 2, 3]})),
    "no such plane": _change(plane=-2, **_NOWHERE),
    "reasons": _edit(lambda v: v["diagnostics"].update(unplaced={})),
    "a reason": _edit(lambda v: v["diagnostics"].update(unplaced=[{"ids": [1]}])),
    "whose reason": _edit(lambda v: v["diagnostics"].update(unplaced=[{"reason": "", "ids": 1}])),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_scenes_are_refused(tmp_path, damage):
    scattered_scene().save(tmp_path)
    damage(tmp_path)
    with pytest.raises(SceneError) as caught:
        Scene.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_any_damage_of_the_arrays_is_refused_or_harmless(tmp_path):
    scattered_scene(2).save(tmp_path)
    whole = (tmp_path / "people.npz").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), 4):
            content[at] = rng.integers(0, 256)
        (tmp_path / "people.npz").write_bytes(content)
        try:
            Scene.load(tmp_path)
        except SceneError:
            refused += 1
    assert refused > 250  # a zip entry has a checksum


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match="taken"):
        scattered_scene().save(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


# -- predict.json ---------------------------------------------------------------------------------


def test_predict_has_exactly_the_members_of_the_format():
    scene = scattered_scene(3)
    entry = predict_json.to_predict(scene)["a <b>.jpg"]
    assert set(entry) == {"Intrinsic_matrix", "person_list"}
    assert entry["Intrinsic_matrix"] == [[1000, 0, 600], [0, 1000, 400], [0, 0, 1]]
    person = entry["person_list"][1]
    common = {"pose", "shape", "trans_cam", "gender", "scale_smpl", "body"}
    assert set(person) == common | {"hvip2d", "hvip3d"}
    assert person["gender"] == "neutral" and person["scale_smpl"] == 1.0
    assert person["body"] == "open"
    assert person["pose"] == [*scene.people.pose[1, :22].ravel(), *[0.0] * 6]
    assert person["trans_cam"] == scene.people.transl_m[1].tolist()
    (minimal,) = predict_json.to_predict(scene, minimal=True).values()
    assert set(minimal["person_list"][0]) == common


def test_predict_comes_back(tmp_path):
    scene = scattered_scene(4)
    predict_json.write(scene, tmp_path / "predict.json")
    back = predict_json.read(tmp_path / "predict.json")["a <b>.jpg"]
    people = scene.people
    people.pose[:, 22:] = 0.0  # the format has no hands
    for ours, theirs in [
        (people.pose, back.pose),
        (people.betas, back.betas),
        (people.transl_m, back.transl_m),
        (people.hvip_px, back.hvip_px),
        (people.hvip_m, back.hvip_m),
        (np.ones(4), back.scale),
        (SCATTERED_CAMERA.K, back.K),
    ]:
        np.testing.assert_array_equal(ours, theirs)
    predict_json.write(scene, tmp_path / "predict.json", minimal=True)
    back = predict_json.read(tmp_path / "predict.json")["a <b>.jpg"]
    assert np.isnan(back.hvip_m).all() and back.body == ["open"] * 4


def test_predict_of_nobody(tmp_path):
    predict_json.write(scattered_scene(0, planes=False), tmp_path / "predict.json")
    back = predict_json.read(tmp_path / "predict.json")["a <b>.jpg"]
    assert back.pose.shape == (0, 24, 3) and back.hvip_m.shape == (0, 3)


def test_predict_leaves_out_who_has_no_place():
    scene = scattered_scene(3)
    scene.people.transl_m[1] = np.nan
    (entry,) = predict_json.to_predict(scene).values()
    assert [p["shape"][0] for p in entry["person_list"]] == list(scene.people.betas[[0, 2], 0])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"a": 1}',
        '{"a": {"person_list": []}}',
        '{"a": {"Intrinsic_matrix": [[1,0,0],[0,1,0],[0,0,1]], "person_list": [{}]}}',
        '{"a": {"Intrinsic_matrix": [[1,0,0],[0,1,0],[0,0,1]], "person_list": [3]}}',
        '{"a": {"Intrinsic_matrix": [1, 2], "person_list": []}}',
        '{"a": {"Intrinsic_matrix": [[1,0,0],[0,1,0],[0,0,1]], "person_list": [{"pose": [1]}]}}',
    ],
)
def test_malformed_predictions_are_refused(tmp_path, content):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(SceneError, match=re.escape("p.json")):
        predict_json.read(tmp_path / "p.json")


# -- people.csv and people.geojson ----------------------------------------------------------------


def _facing(scene: Scene, i: int, heading_deg: float) -> None:
    """Stands person i upright and turns it."""
    frame = export_frame(scene.camera, scene.planes)
    turn = np.radians(heading_deg)
    front, up = np.array([np.sin(turn), np.cos(turn), 0]), np.array([0.0, 0, 1])
    body = np.stack([np.cross(up, front), up, front], axis=1)
    scene.people.pose[i, 0] = Rotation.from_matrix(frame.R_zup_cam.T @ body).as_rotvec()


def test_csv_tells_place_heading_and_ellipse():
    scene = scattered_scene(4)
    frame = export_frame(scene.camera, scene.planes)
    for i, heading in enumerate([0, 90, 180, 273]):
        _facing(scene, i, heading)
    local = np.diag([0.04, 0.25, 0.01])
    scene.people.position_cov_m2[:] = frame.R_zup_cam.T @ local @ frame.R_zup_cam
    table = list(csv.DictReader(io.StringIO(tables.to_csv(scene))))
    assert tuple(table[0]) == tables.COLUMNS
    assert [float(r["heading_deg"]) for r in table] == pytest.approx([0, 90, 180, 273], abs=1e-3)
    expected = frame.z_up(scene.people.hvip_m)[:, :2]
    np.testing.assert_allclose(
        [[float(r["x_m"]), float(r["y_m"])] for r in table], expected, atol=1e-4
    )
    ellipse = [float(table[0][c]) for c in tables.NUMBERS[-3:]]
    assert ellipse[:2] == pytest.approx([0.5, 0.2], abs=1e-4)
    assert min(ellipse[2], 180 - ellipse[2]) < 1e-3


def test_csv_tells_what_bears_people():
    scene = scattered_scene(4)
    scene.people.footing[:] = [0, 1, 2, 3]
    scene.people.support[:] = 5
    scene.people.above_m[2], scene.people.above_sd_m[2] = 1.25, 0.5
    table = list(csv.DictReader(io.StringIO(tables.to_csv(scene))))
    assert [row["support"] for row in table] == ["ground", "seated", "above", "unknown"]
    assert [row["above_m"] for row in table] == ["0.0", "0.0", "1.25", "0.0"]
    assert table[2]["above_sd_m"] == "0.5" and table[0]["looks"] == "5"
    person = tables.to_geojson(scene)["features"][2]["properties"]
    assert (person["support"], person["above_m"]) == ("above", 1.25)


def test_unknown_values_are_empty_in_the_table():
    scene = scattered_scene(2)
    scene.people.hvip_m[0] = np.nan
    scene.people.position_cov_m2[0] = np.nan
    first = next(csv.DictReader(io.StringIO(tables.to_csv(scene))))
    assert first["x_m"] == first["sigma_major_m"] == "" and first["id"] == "1"
    features = tables.to_geojson(scene)["features"]
    assert [f["properties"]["id"] for f in features] == [1, 2, 2]
    assert [f["geometry"] is None for f in features] == [True, False, False]


def test_geojson_has_points_and_ellipses(tmp_path):
    scene = scattered_scene(6)
    tables.write_geojson(scene, tmp_path / "p.geojson")
    content = json.loads((tmp_path / "p.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    assert "metres" in content["crowd3d"]["coordinates"]
    assert content["crs"] is None
    kinds = [f["properties"]["kind"] for f in content["features"]]
    assert kinds == ["person"] * 6 + ["error_ellipse"] * 6
    for person, area in zip(content["features"][:6], content["features"][6:], strict=True):
        ring = area["geometry"]["coordinates"][0]
        assert ring[0] == ring[-1]
        shape, values = Polygon(ring), person["properties"]
        assert shape.exterior.is_ccw
        assert shape.contains(Point(person["geometry"]["coordinates"]))
        # The share of a plane normal distribution inside k sigmas is 1 - exp(-k^2 / 2).
        sigmas2 = -2 * np.log(0.05)
        exact = np.pi * sigmas2 * values["sigma_major_m"] * values["sigma_minor_m"]
        assert shape.area == pytest.approx(exact, rel=0.02)


def test_tables_of_nobody():
    scene = scattered_scene(0, planes=False)
    assert tables.to_csv(scene) == ",".join(tables.COLUMNS) + "\n"
    assert tables.to_geojson(scene)["features"] == []


# -- scene.glb ------------------------------------------------------------------------------------


def parse_glb(content: bytes) -> tuple[dict[str, Any], bytes]:
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    at, chunks = 12, {}
    while at < length:
        size, kind = struct.unpack_from("<I4s", content, at)
        assert size % 4 == 0
        chunks[kind] = content[at + 8 : at + 8 + size]
        at += 8 + size
    return json.loads(chunks[b"JSON"]), chunks.get(b"BIN\0", b"")


def accessor(document: dict[str, Any], binary: bytes, index: int) -> np.ndarray:
    part = document["accessors"][index]
    view = document["bufferViews"][part["bufferView"]]
    dtype = {5123: "<u2", 5125: "<u4", 5126: "<f4"}[part["componentType"]]
    n = {"SCALAR": 1, "VEC3": 3}[part["type"]]
    size = part["count"] * n * np.dtype(dtype).itemsize
    assert part["byteOffset"] + size <= view["byteLength"]
    assert view["byteOffset"] + view["byteLength"] <= document["buffers"][0]["byteLength"]
    start = view["byteOffset"] + part["byteOffset"]
    return np.frombuffer(binary[start : start + size], dtype).reshape(-1, n)


def test_glb_holds_everybody_where_they_stand():
    scene = scattered_scene(5)
    mesh = crowd_mesh(scene, BoxBody())
    document, binary = parse_glb(b"".join(glb.glb_parts(scene, mesh)))
    frame = export_frame(scene.camera, scene.planes)
    nodes = {node["name"]: node for node in document["nodes"]}
    assert len(nodes) == 7
    shared = set()
    for i in range(5):
        node = nodes[f"person_{i + 1:04d}"]
        assert node["extras"]["id"] == i + 1
        assert node["extras"]["stature_m"] == pytest.approx(scene.people.stature_m[i], abs=1e-4)
        (primitive,) = document["meshes"][node["mesh"]]["primitives"]
        shared.add(primitive["indices"])
        place = primitive["attributes"]["POSITION"]
        local = accessor(document, binary, place)
        np.testing.assert_allclose(
            local + node["translation"], frame.y_up(mesh.vertices_m[i]), atol=1e-5
        )
        part = document["accessors"][place]
        np.testing.assert_array_equal(local.min(axis=0), np.float32(part["min"]))
        np.testing.assert_array_equal(local.max(axis=0), np.float32(part["max"]))
        normals = accessor(document, binary, primitive["attributes"]["NORMAL"])
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
        assert ((local - local.mean(axis=0)) * normals).sum(axis=1).min() > 0  # outward
        assert primitive["material"] < len(document["materials"])
    assert len(shared) == 1
    indices = accessor(document, binary, shared.pop())
    assert indices.dtype == np.uint16
    np.testing.assert_array_equal(indices.reshape(-1, 3), BOX_FACES)


def test_the_ground_lies_below_the_crowd():
    scene = scattered_scene(5)
    document, binary = parse_glb(b"".join(glb.glb_parts(scene, crowd_mesh(scene, BoxBody()))))
    node = next(n for n in document["nodes"] if n["name"] == "ground_0")
    (primitive,) = document["meshes"][node["mesh"]]["primitives"]
    corners = accessor(document, binary, primitive["attributes"]["POSITION"])
    np.testing.assert_allclose(corners[:, 1], 0, atol=1e-5)
    feet = export_frame(scene.camera, scene.planes).y_up(scene.people.hvip_m)
    assert (corners.min(axis=0) < feet.min(axis=0) + 1e-5)[[0, 2]].all()
    assert (corners.max(axis=0) > feet.max(axis=0) - 1e-5)[[0, 2]].all()
    a, b, c = corners[accessor(document, binary, primitive["indices"])[:3, 0]]
    assert np.cross(b - a, c - a)[1] > 0  # seen from above


def test_every_plane_with_people_has_its_ground():
    scene = scattered_scene(6)
    lower = Plane(tilted_plane(12, 1).normal, 9.0)
    scene.planes.append(lower)
    scene.people.plane[3:] = 1
    scene.people.hvip_m[3:] = lower.foot_m(scene.people.hvip_m[3:])
    document, binary = parse_glb(b"".join(glb.glb_parts(scene, crowd_mesh(scene, BoxBody()))))
    node = next(n for n in document["nodes"] if n["name"] == "ground_1")
    (primitive,) = document["meshes"][node["mesh"]]["primitives"]
    corners = accessor(document, binary, primitive["attributes"]["POSITION"])
    frame = export_frame(scene.camera, scene.planes)
    in_camera = corners @ frame.R_yup_cam + frame.origin_m
    np.testing.assert_allclose(lower.signed_height_m(in_camera), 0, atol=1e-4)


def test_the_gltf_camera_sees_what_the_camera_sees():
    scene = scattered_scene(5)
    document, _ = parse_glb(b"".join(glb.glb_parts(scene, crowd_mesh(scene, BoxBody()))))
    node = next(n for n in document["nodes"] if n["name"] == "camera")
    lens = document["cameras"][node["camera"]]["perspective"]
    points = export_frame(scene.camera, scene.planes).y_up(scene.people.torso_m)
    x, y, z = Rotation.from_quat(node["rotation"]).inv().apply(points - node["translation"]).T
    half = np.tan(lens["yfov"] / 2)
    u = (1 + x / -z / half / lens["aspectRatio"]) * SCATTERED_CAMERA.width / 2
    v = (1 - y / -z / half) * SCATTERED_CAMERA.height / 2
    np.testing.assert_allclose(
        np.stack([u, v], axis=1), SCATTERED_CAMERA.project(scene.people.torso_m), atol=1e-6
    )


@pytest.mark.parametrize(("n", "planes"), [(0, True), (0, False), (2, False)])
def test_glb_of_scenes_that_lack_something(n, planes):
    scene = scattered_scene(n, planes)
    document, binary = parse_glb(b"".join(glb.glb_parts(scene, crowd_mesh(scene, BoxBody()))))
    assert len(document["nodes"]) == n + planes + 1
    assert all(document[name] for name in document if isinstance(document[name], list))
    assert bool(binary) == ("buffers" in document)


def test_who_has_no_place_is_left_out():
    scene = scattered_scene(3)
    scene.people.transl_m[0] = np.nan
    document, _ = parse_glb(b"".join(glb.glb_parts(scene, crowd_mesh(scene, BoxBody()))))
    names = [n["name"] for n in document["nodes"] if n["name"].startswith("person")]
    assert names == ["person_0002", "person_0003"]


def test_normals_equal_those_of_a_plain_loop():
    rng = np.random.default_rng(1)
    vertices = rng.normal(0, 1, (70, 9, 3)).astype(np.float32)
    faces = rng.permuted(np.tile(np.arange(8), (12, 1)), axis=1)[:, :3]
    expected = np.zeros((70, 9, 3))
    for b in range(70):
        for i, j, k in faces:
            v = vertices[b].astype(float)
            across = np.cross(v[j] - v[i], v[k] - v[i])
            for corner in (i, j, k):
                expected[b, corner] += across
    expected[:, 8] = [0, 1, 0]  # no triangle touches it
    expected /= np.linalg.norm(expected, axis=2, keepdims=True)
    np.testing.assert_allclose(vertex_normals(vertices, faces), expected, atol=1e-4)


# -- report.html ----------------------------------------------------------------------------------


def page_data(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found[1], parse_constant=lambda name: pytest.fail(name))


def page_positions(text: str) -> np.ndarray:
    found = re.search(r'<script type="text/plain" id="positions">(.*?)</script>', text, re.S)
    return np.frombuffer(base64.b64decode(found[1], validate=True), "<i2")


def a_page(scene: Scene) -> str:
    picture = np.full((60, 90, 3), 128, np.uint8)
    return "".join(report.html_parts(scene, crowd_mesh(scene, BoxBody()), picture, picture))


def test_the_page_needs_nothing_else():
    text = a_page(scattered_scene())
    assert "{{" not in text.replace(page_literal(text), "")
    assert not re.search(r"https?://|@import|<link|<script src|url\(", text)
    sources = re.findall(r'(?:src|href)="([^"]{0,22})', text)
    assert [s.split(",")[0] for s in sources] == ["data:image/jpeg;base64", "data:image/png;base64"]


def page_literal(text: str) -> str:
    """The page's own script, which may use any brackets."""
    return text[text.rindex("<script>") :]


def test_names_and_warnings_are_escaped():
    scene = scattered_scene()
    scene.image_name = '</script><img src=x onerror="alert(1)">{{data}}.jpg'
    scene.diagnostics["warnings"] = ["<img src=y>"]
    text = a_page(scene)
    assert "<img src=x" not in text and "<img src=y" not in text
    assert "&lt;img src=y&gt;" in text and "{{data}}.jpg" in text
    assert text.count("</script>") == 3


def test_bodies_in_the_page_are_where_they_should_be():
    scene = scattered_scene(4)
    scene.people.transl_m[1] = np.nan
    text = a_page(scene)
    data = page_data(text)
    assert data["bodies"] == [0, 2, 3] and len(data["people"]) == 4
    steps = page_positions(text).reshape(3, -1, 3)
    faces = np.frombuffer(base64.b64decode(data["faces"]), "<u2").reshape(-1, 3)
    np.testing.assert_array_equal(faces, BOX_FACES)
    placed = steps * data["step_m"] + np.array(data["feet"])[:, None]
    exact = export_frame(scene.camera, scene.planes).y_up(crowd_mesh(scene, BoxBody()).vertices_m)
    np.testing.assert_allclose(placed, exact, atol=1e-4 + data["step_m"])


def test_boxes_in_the_page_are_shares_of_the_picture():
    scene = scattered_scene(4)
    size = np.array([SCATTERED_CAMERA.width, SCATTERED_CAMERA.height] * 2)
    scene.people.box_px[:] = size * [0.25, 0.5, 0.375, 0.75]
    scene.people.box_px[1] = np.nan
    scene.people.box_px[2] = size * [-0.5, 0.5, 0.25, 1.5]
    scene.people.box_px[3] = size * [1.5, 0.5, 1.75, 0.75]
    boxes = page_data(a_page(scene))["boxes"]
    assert boxes == [[0.25, 0.5, 0.375, 0.75], None, [0.0, 0.5, 0.25, 1.0], None]


def test_numbers_of_the_page():
    scene = scattered_scene(5)
    scene.diagnostics["covariance_log_focal_pitch_roll_log_height"] = (
        np.diag([0.1, 0.02, 0.01, 0.05]) ** 2
    ).tolist()
    text = a_page(scene)
    for number in ("61.9°", "6.00 m", "15.0° down", "± 0.30 m", "± 1.1°"):
        assert number in text, number
    # d fov / d log f by differences
    fov = [2 * np.degrees(np.arctan(600 / (1000 * np.exp(s)))) for s in (-0.05, 0.05)]
    assert f"± {fov[0] - fov[1]:.1f}°" in text


@pytest.mark.parametrize(("n", "planes"), [(0, True), (0, False), (2, False)])
def test_pages_of_scenes_that_lack_something(n, planes):
    data = page_data(a_page(scattered_scene(n, planes)))
    assert data["has_ground"] == planes and len(data["feet"]) == n


# -- everything at once ---------------------------------------------------------------------------


@pytest.fixture
def painters(monkeypatch):
    """Plain pictures, as drawing is tested elsewhere."""

    def draw_overlay(scene, mesh, picture):
        assert mesh.vertices_m.shape[1:] == (8, 3) and np.isfinite(mesh.vertices_m).all()
        return picture

    def draw_topview(scene):
        return np.zeros((30, 40, 3), np.uint8)

    module = "crowd3d.export."
    monkeypatch.setitem(sys.modules, module + "overlay", SimpleNamespace(draw_overlay=draw_overlay))
    monkeypatch.setitem(sys.modules, module + "topview", SimpleNamespace(draw_topview=draw_topview))


PICTURE = np.full((40, 60, 3), 90, np.uint8)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize(("n", "planes"), [(5, True), (0, True), (0, False), (2, False)])
def test_all_files_appear_and_repeat_themselves(tmp_path, painters, n, planes):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    paths = write_all(scattered_scene(n, planes), PICTURE, folder, BoxBody())
    assert paths == [folder / name for name in FILES]
    first = contents(folder)
    assert set(first) == {*FILES, "notes.txt"}
    assert first["overlay.jpg"][:2] == b"\xff\xd8" and first["topview.png"][1:4] == b"PNG"
    write_all(scattered_scene(n, planes), PICTURE, folder, BoxBody())
    assert contents(folder) == first
    assert len(Scene.load(folder).people) == n


def test_people_without_a_place_do_no_harm(tmp_path, painters):
    scene = without_place(scattered_scene(3), {"on a poster": [1]})
    write_all(scene, PICTURE, tmp_path, BoxBody())
    back = Scene.load(tmp_path).people
    assert np.isnan(back.hvip_m[1]).all() and np.isfinite(back.hvip_m[[0, 2]]).all()
    assert len(predict_json.read(tmp_path / "predict.json")["a <b>.jpg"].pose) == 2


def test_progress_is_told(tmp_path, painters):
    told: list[Any] = []
    reporter = SimpleNamespace(
        start=lambda stage, total: told.append(total), advance=lambda: told.append(1)
    )
    write_all(scattered_scene(), PICTURE, tmp_path, BoxBody(), report=reporter)
    assert told[0] == sum(told[1:]) > 1


def test_after_an_error_the_folder_is_as_before(tmp_path, painters, monkeypatch):
    write_all(scattered_scene(2), PICTURE, tmp_path, BoxBody())
    before = contents(tmp_path)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write", fail)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        write_all(scattered_scene(5), PICTURE, tmp_path, BoxBody())
    assert contents(tmp_path) == before


def test_a_folder_in_the_way_of_a_file(tmp_path, painters):
    (tmp_path / "topview.png").mkdir()
    with pytest.raises(OutputError, match="topview"):
        write_all(scattered_scene(2), PICTURE, tmp_path, BoxBody())
    assert [p.name for p in tmp_path.iterdir()] == ["topview.png"]


def test_writing_below_a_file_is_an_output_error(tmp_path, painters):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        write_all(scattered_scene(1), PICTURE, tmp_path / "file" / "out", BoxBody())


def test_a_scene_is_stored_under_its_schema():
    assert storage.to_dict(scattered_scene())["schema"] == storage.SCHEMA


def test_a_file_where_a_folder_should_be_is_an_output_error(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError):
        atomic.write_bytes(tmp_path / "taken" / "out.json", b"{}")
    assert (tmp_path / "taken").read_text() == "mine"
