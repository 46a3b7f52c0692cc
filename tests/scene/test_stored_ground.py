"""Ground of any shape in `scene.json`: back to the bit, older files, malformed ones; its mesh and its words."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.grounds import KINDS, relief_of, scene_on
from helpers.scenes import scattered_scene, two_level_scene

from crowd3d.errors import SceneError
from crowd3d.scene.frames import export_frame
from crowd3d.scene.ground_mesh import ground_meshes
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene
from crowd3d.scene.summary import ground_in_words


def meshes(scene):
    return ground_meshes(scene.ground, export_frame(scene.camera, scene.planes), scene.people)


def edited(folder, change):
    file = folder / "scene.json"
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


@pytest.mark.parametrize("kind", KINDS)
def test_a_surface_comes_back_to_the_bit(tmp_path, kind):
    scene = scene_on(kind)
    scene.save(tmp_path / "a")
    back = Scene.load(tmp_path / "a")
    ours, theirs = scene.surface, back.surface
    assert theirs.kind == back.ground.kind == kind and theirs.offset_m == ours.offset_m
    for name in ("normal", "offsets_m", "covariance"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    for name in ("tilt", "hinges", "bumps", "centers", "reach", "bump_sd", "mean", "information"):
        np.testing.assert_array_equal(getattr(ours.relief, name), getattr(theirs.relief, name))
    rays = scene.camera.rays(np.random.default_rng(0).uniform([0, 0], [1200, 800], (50, 2)))
    np.testing.assert_array_equal(ours.points_m(rays), theirs.points_m(rays))
    back.save(tmp_path / "b")
    for name in ("scene.json", "people.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("make", [scattered_scene, two_level_scene])
def test_levels_come_back_without_a_surface(tmp_path, make):
    scene = make()
    scene.save(tmp_path)
    back = Scene.load(tmp_path)
    assert back.surface is None and back.ground.kind == scene.ground.kind
    told = json.loads((tmp_path / "scene.json").read_text())["ground"]
    assert told["surface"] is None and len(told["mesh"]["faces"]) == 2 * len(scene.planes)
    np.testing.assert_array_equal(told["gravity"], -scene.planes[0].normal)


def test_a_scene_without_planes_has_no_ground(tmp_path):
    scattered_scene(2, planes=False).save(tmp_path)
    assert json.loads((tmp_path / "scene.json").read_text())["ground"] is None
    assert Scene.load(tmp_path).surface is None


def test_schema_1_is_read(tmp_path):
    scene = two_level_scene()
    scene.save(tmp_path)
    edited(tmp_path, lambda v: (v.update(schema="crowd3d-scene/1"), v.pop("ground")))
    back = Scene.load(tmp_path)
    assert back.surface is None and len(back.planes) == 2
    np.testing.assert_array_equal(back.people.hvip_m, scene.people.hvip_m)


def of_surface(**values):
    return lambda v: v["ground"]["surface"].update(values)


MALFORMED = {
    "no ground": (lambda v: v.pop("ground"), "has no 'ground'"),
    "null": (lambda v: v.update(ground=None), "found NoneType where dict"),
    "kind": (lambda v: v["ground"].update(kind="moon"), "'moon' is not told"),
    "kind without a surface": (lambda v: v["ground"].update(surface=None), "and no surface"),
    "a level with a surface": (lambda v: v["ground"].update(kind="level"), "and a surface"),
    "two planes": (lambda v: v["planes"].append(v["planes"][0]), "by 2 planes and a surface"),
    "gravity": (lambda v: v["ground"].update(gravity=[0, 1, 0]), "gravity"),
    "gravity's shape": (lambda v: v["ground"].update(gravity=[0, 1]), "has the shape 2"),
    "height": (of_surface(offset_m=3.0), "offset_m of the ground's surface"),
    "a list": (lambda v: v["ground"].update(surface=[1]), "found list where dict"),
    "tilt": (of_surface(tilt=[0.1]), "tilt has not two numbers"),
    "text": (of_surface(tilt="steep"), "found str where list"),
    "null in it": (of_surface(tilt=[None, 0.1]), "something else than numbers"),
    "steep": (of_surface(tilt=[1e9, 0.1]), "beyond"),
    "hinges": (of_surface(hinges=[[1, 2]]), "hinges of the ground has the shape 1 x 2"),
    "bumps": (of_surface(bumps=[0.1]), "not every bump has its center"),
    "many": (of_surface(bumps=[0.0] * 1001, centers=[[0, 0]] * 1001), "more than 1000"),
    "reach": (of_surface(reach=0), "no lengths"),
    "sd": (of_surface(bump_sd=-1), "no lengths"),
    "mean": (of_surface(mean=[]), "mean of the ground has the shape 0"),
    "prior": (of_surface(information=[[1]]), "information of the ground has the shape 1 x 1"),
    "covariance": (of_surface(covariance=[]), "covariance of the ground"),
    "variance": (of_surface(covariance=(-np.eye(6)).tolist()), "negative"),
    "nothing": (of_surface(tilt=[], mean=[], information=[]), "has no numbers"),
    "missing": (lambda v: v["ground"]["surface"].pop("reach"), "has no 'reach'"),
    "how probable": (
        lambda v: v["diagnostics"].update(camera_report={"ground_probabilities": {"level": "x"}}),
        "found str where a number",
    ),
}


@pytest.mark.parametrize(("change", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_grounds_are_refused(tmp_path, change, says):
    scene_on("slope").save(tmp_path)
    edited(tmp_path, change)
    with pytest.raises(SceneError, match=says):
        Scene.load(tmp_path)


# -- its mesh


@pytest.mark.parametrize("kind", KINDS)
def test_the_mesh_lies_on_the_surface_under_everybody(kind):
    scene = scene_on(kind, 30)
    (mesh,) = meshes(scene).values()
    rows, columns = mesh.vertices_m.shape[:2]
    assert rows * columns <= 4000 and (rows * columns == 4) == (kind == "slope")
    vertices = mesh.vertices_m.reshape(-1, 3)
    surface = scene.surface
    heights = vertices @ surface.normal + surface.offset_m
    np.testing.assert_allclose(heights, surface.heights_m(vertices @ surface.axes.T), atol=1e-9)
    frame = export_frame(scene.camera, scene.planes)
    feet, low, high = (
        frame.z_up(scene.people.hvip_m),
        *(end(frame.z_up(vertices), axis=0) for end in (np.min, np.max)),
    )
    np.testing.assert_allclose(feet.min(axis=0)[:2] - low[:2], 3.0)
    np.testing.assert_allclose(high[:2] - feet.max(axis=0)[:2], 3.0)
    # Triangles look up, and along the normals that the vertices have.
    a, b, c = np.moveaxis(vertices[mesh.faces], 1, 0)
    across = np.cross(b - a, c - a)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    normals = mesh.normals.reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    near = np.sum(across * normals[mesh.faces].mean(axis=1), axis=1)
    assert near.min() > 0.96 and (across @ surface.normal > 0).all()


def test_between_its_vertices_the_mesh_is_near_the_surface():
    scene = scene_on("terrain", 200)
    (mesh,) = meshes(scene).values()
    corners = mesh.vertices_m.reshape(-1, 3)[mesh.faces]
    middles = corners.mean(axis=1)
    feet = scene.ground.feet_m(middles, np.zeros(len(middles), int))
    assert np.linalg.norm(feet - middles, axis=1).max() < 0.02


def test_levels_are_rectangles_of_those_on_them():
    scene = two_level_scene(8)
    scene.planes.append(Plane(scene.planes[0].normal, 3.0))  # where nobody stands
    found = meshes(scene)
    assert list(found) == [0, 1]
    for k, mesh in found.items():
        assert mesh.vertices_m.shape == (2, 2, 3)
        height = scene.planes[k].signed_height_m(mesh.vertices_m)
        np.testing.assert_allclose(height, 0, atol=1e-9)


def test_where_nobody_stands_there_is_ground_ahead():
    (mesh,) = meshes(scene_on("stands", 0)).values()
    assert np.isfinite(mesh.vertices_m).all() and np.ptp(mesh.vertices_m[..., 2]) > 20


# -- words


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("slope", "slope of 8 degrees, rising ahead"),
        ("stands", r"stands of 27 degrees, people 0\.0 to \d+\.\d m high"),
        ("terrain", r"terrain, people -\d\.\d to -?\d\.\d m high"),
    ],
)
def test_the_ground_in_words(kind, says):
    import re

    assert re.fullmatch(says, ground_in_words(scene_on(kind, 60)))


@pytest.mark.parametrize(
    ("tilt", "where"),
    [
        ((0.2, 0.1), "to the right"),
        ((-0.2, 0.1), "to the left"),
        ((0.1, -0.2), "towards the camera"),
    ],
)
def test_where_a_slope_rises(tilt, where):
    scene = scene_on("slope", 3)
    relief = replace(relief_of("slope"), tilt=np.array(tilt))
    scene.surface = replace(scene.surface, relief=relief)
    assert ground_in_words(scene) == f"slope of 13 degrees, rising {where}"


def test_levels_in_words():
    scene = scattered_scene()
    assert ground_in_words(scene) == "level"
    normal = scene.planes[0].normal
    scene.planes = [Plane(normal, 6.0), Plane(normal, 2.5), Plane(normal, 7.0)]
    assert ground_in_words(scene) == "3 levels, at 0.0, 3.5 and -1.0 m"
