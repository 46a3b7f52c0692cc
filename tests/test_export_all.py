"""Every file of a run at once, with the embedded body and the real pictures."""

import json

import cv2
import numpy as np

from crowd3d import body as bodies
from crowd3d.camera import Camera
from crowd3d.export import FILES, write_all
from crowd3d.people import People
from crowd3d.scene import Plane, Scene


def make_scene(n: int) -> Scene:
    rng = np.random.default_rng(3)
    camera = Camera.from_fov(1200, 500, 60.0)
    plane = Plane(np.array([0.0, -np.cos(0.2), -np.sin(0.2)]), 5.0)
    people = People.empty(n)
    people.id = np.arange(1, n + 1)
    people.score[:] = 0.8
    people.pose = rng.normal(0, 0.1, people.pose.shape)
    people.pose[:, 0] = [np.pi - 0.2, 0, 0]
    people.transl_m = plane.foot_m(rng.uniform([-8, 2, 14], [8, 4, 30], (n, 3)))
    people.transl_m += 0.95 * plane.normal
    people.hvip_m = plane.foot_m(people.transl_m)
    people.box_px = np.tile([100.0, 100, 140, 220], (n, 1))
    people.position_cov_m2[:] = np.diag([0.01, 0.01, 0.25])
    people.stature_m[:] = 1.7
    return Scene(camera, [plane], people, "square.jpg", "open", {"warnings": []})


def test_all_files_of_a_crowd(tmp_path):
    scene, body = make_scene(12), bodies.load("open", "crowd")
    picture = np.full((250, 600, 3), 128, np.uint8)
    paths = write_all(scene, picture, tmp_path / "a", body)
    assert [path.name for path in paths] == list(FILES)
    overlay = cv2.imread(str(tmp_path / "a" / "overlay.jpg"))
    assert overlay.shape == picture.shape
    assert 0.005 < (np.abs(overlay.astype(int) - 128).max(axis=2) > 30).mean() < 0.5
    assert cv2.imread(str(tmp_path / "a" / "topview.png")).shape[1] == 1600
    points = json.loads((tmp_path / "a" / "people.geojson").read_text())["features"]
    assert len(points) == 24
    assert (tmp_path / "a" / "report.html").stat().st_size < 2_000_000
    write_all(scene, picture, tmp_path / "b", body)
    for path in paths:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
