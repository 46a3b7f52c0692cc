"""Every file of a run at once, with the embedded body."""

import json

import cv2
import numpy as np
from helpers.scenes import two_level_scene

from crowd3d import body as bodies
from crowd3d.export import FILES, write_all


def test_all_files_of_a_crowd(tmp_path):
    scene, body = two_level_scene(12), bodies.load("open", "crowd")
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
