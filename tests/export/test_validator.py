"""scene.glb under the Khronos validator (npm package gltf-validator), where one is installed."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from helpers.grounds import KINDS, scene_on

from crowd3d import body as bodies
from crowd3d.export import glb
from crowd3d.export.bodies import crowd_mesh
from crowd3d.scene.camera import Camera
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene

_SCRIPT = """
const validator = require("gltf-validator"), fs = require("fs");
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))
  .then((report) => console.log(JSON.stringify(report.issues)));
"""


def validate(path):
    node = shutil.which("node")
    if (
        node is None
        or subprocess.run(
            [node, "-e", 'require.resolve("gltf-validator")'], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("set NODE_PATH to a folder with the npm package gltf-validator")
    done = subprocess.run(
        [node, "-e", _SCRIPT, os.fspath(path)], capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("planes", [0, 1, 2])
@pytest.mark.parametrize("n", [0, 1, 30])
def test_the_validator_has_nothing_to_say(tmp_path, n, planes):
    rng = np.random.default_rng(n)
    people = People.empty(n)
    people.id = np.arange(n)
    people.pose = rng.normal(0, 0.4, people.pose.shape)
    people.betas = rng.normal(0, 1.0, people.betas.shape)
    people.transl_m = rng.uniform([-8, 0, 10], [8, 1, 40], (n, 3))
    people.hvip_m = people.transl_m + np.array([0, 0.9, 0])
    people.plane = np.arange(n) % max(planes, 1)
    ground = [Plane(np.array([0, -1.0, 0]), 1.7 + k) for k in range(planes)]
    scene = Scene(Camera.from_fov(4000, 1000, 75.0), ground, people, "wide.jpg")
    path = tmp_path / "scene.glb"
    glb.write(scene, crowd_mesh(scene, bodies.load("open", "crowd")), path)
    issues = validate(path)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"][:5]


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_nothing_to_say_about_surfaces_with_photographs(tmp_path, kind):
    scene = scene_on(kind, 2)
    mesh = crowd_mesh(scene, bodies.load("open", "crowd"))
    glb.write(scene, mesh, tmp_path / "scene.glb", np.full((40, 60, 3), 99, np.uint8))
    issues = validate(tmp_path / "scene.glb")
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"][:5]
