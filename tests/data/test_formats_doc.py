"""Every example in docs/formats.md goes through the reader it describes."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.paths import ROOT

from crowd3d import body, data
from crowd3d.data.keypoint_files import read_poses
from crowd3d.data.rootnet import read_roots
from crowd3d.export import FILES, REGIONS, predict_json, tables
from crowd3d.scene import level_regions, storage
from crowd3d.scene.camera import Camera
from crowd3d.scene.people import ROW_LAYOUT, People
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene
from crowd3d.synth.draw.render import sample_setting
from crowd3d.synth.place.presets import preset
from crowd3d.synth.truth import truth_of

PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r'```[a-z]+ title="(\S+)"\n(.*?)\n```\n', PAGE, flags=re.DOTALL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All examples as files."""
    root = tmp_path_factory.mktemp("formats")
    for name, text in BLOCKS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n", encoding="utf-8")
    return root


def keys(value: object) -> object:
    """The members of an object and of all that is in it; lists count as their first element."""
    if isinstance(value, dict):
        return {key: keys(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [keys(value[0])]
    return None


def test_every_output_is_described() -> None:
    for name in (*FILES, REGIONS):
        assert re.search(rf"^### .*{re.escape(name)}", PAGE, flags=re.MULTILINE), name
    for name in data.FORMATS:
        titles = {"threedpw": "3DPW", "coco": "COCO", "panda": "PANDA", "agora": "AGORA"}
        assert re.search(rf"^### .*{titles.get(name, name)}", PAGE, flags=re.MULTILINE | re.I), name


def test_scene(folder: Path) -> None:
    (folder / "people.npz").write_bytes(storage.people_bytes(People.empty(2)))
    scene = Scene.load(folder)
    assert len(scene.people) == 2 and len(scene.planes) == 1
    written = json.loads(json.dumps(storage.to_dict(scene), default=lambda a: a.tolist()))
    assert keys(json.loads(BLOCKS["scene.json"])) == keys(written)


def test_tables_of_arrays() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| \((.*)\) \|$", PAGE, flags=re.MULTILINE)
    shapes = {name: tuple(int(n) for n in shape.split(",") if n.strip()) for name, _, shape in rows}
    people, truth = PAGE.index("### people.npz"), PAGE.index("### truth.npz")
    for name, (row, dtype) in ROW_LAYOUT.items():
        line = f"| `{name}` | {np.dtype(dtype).name} | ("
        assert people < PAGE.find(line) < truth, name
        assert re.search(
            rf"\| `{name}` \| \w+ \| \({', '.join(['2', *map(str, row)])},?\) \|", PAGE
        )
    arrays = vars(truth_of(sample_setting(0, (320, 180), 2, preset("plaza"))))
    for name, array in arrays.items():
        if isinstance(array, np.ndarray):
            assert shapes[name] == array.shape, name
            assert f"| `{name}` | {array.dtype.name} |" in PAGE[truth:]


def test_predictions_of_two_people_stand_where_the_annotation_says(folder: Path) -> None:
    (predicted,) = predict_json.read(folder / "predict.json").values()
    (frame,) = data.load(folder / "annotations" / "square0_00.json").frames.values()
    posed = predict_json.posed(predicted, body.load("open", "full"))
    np.testing.assert_allclose(posed.torso_m, frame.torso_m, atol=0.03)
    np.testing.assert_allclose(posed.keypoints_px, frame.keypoints_px[..., :2], atol=2.0)
    np.testing.assert_allclose(predicted.hvip_m, frame.hvip_m, atol=0.01)
    np.testing.assert_allclose(predicted.hvip_px, frame.hvip_px, atol=0.5)


def test_tables(folder: Path) -> None:
    with open(folder / "people.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == tables.COLUMNS and len(rows) == 2
    features = json.loads(BLOCKS["people.geojson"])["features"]
    assert [f["properties"]["kind"] for f in features] == ["person"] * 2 + ["error_ellipse"] * 2
    for row, feature in zip(rows, features[:2], strict=True):
        place = feature["geometry"]["coordinates"]
        assert place == pytest.approx([float(row["x_m"]), float(row["y_m"])], abs=0.01)


def test_regions(folder: Path) -> None:
    found = level_regions.read(folder / "regions.geojson", (1280, 720))
    assert found.names == ("plaza", "stage")
    areas = [Plane(np.array([0.0, -1.0, 0.0]), 8.0 - 1.2 * k, a) for k, a in enumerate(found.areas)]
    report = {"levels": [{"name": name} for name in found.names]}
    camera = Camera.from_json(folder / "camera.json")
    scene = Scene(camera, areas, People.empty(), "plaza.jpg", "open", {"camera_report": report})
    assert keys(level_regions.to_geojson(scene)) == keys(json.loads(BLOCKS["regions.geojson"]))


def test_camera(folder: Path) -> None:
    camera = Camera.from_json(folder / "camera.json")
    assert json.loads(json.dumps(camera.to_dict())) == json.loads(BLOCKS["camera.json"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("annotations/square0_00.json", "largecrowd"),
        ("image_annos/person_bbox_train.json", "panda"),
        ("keypoints.json", "coco"),
        ("agora.json", "agora"),
        (".", "panoptic"),
    ],
)
def test_data_sets(folder: Path, path: str, name: str) -> None:
    found = data.load(folder / path, name)
    if name != "panoptic":
        assert data.format_of(folder / path) == name
    (frame,) = found.frames.values()
    assert len(frame) == 2 and np.isfinite(frame.boxes_px).all() and frame.size is not None
    if name in ("coco", "panoptic"):
        (annotated,) = data.load(folder / "annotations" / "square0_00.json").frames.values()
        ours, theirs = frame.keypoints_px[..., :2], annotated.keypoints_px[..., :2]
        known = frame.keypoints_px[..., 2] > 0
        assert known.any() and np.abs(ours - theirs)[known].max() < 2.0
    if name in ("agora", "panoptic"):
        assert np.isfinite(frame.torso_m).all() and frame.torso_m[:, 2].min() > 10


@pytest.mark.parametrize(
    "name", ["alphapose-results.json", "plaza_keypoints.json", "2d_pose_result.json"]
)
def test_poses_of_other_programs(folder: Path, name: str) -> None:
    (annotated,) = data.load(folder / "annotations" / "square0_00.json").frames.values()
    (found,) = read_poses(folder / name).values()
    points = found.keypoints_px[..., :2]
    np.testing.assert_allclose(points, annotated.keypoints_px[..., :2], atol=0.3)


def test_roots_of_other_programs(folder: Path) -> None:
    roots = read_roots(folder / "bbox_root_output.json")
    assert roots.boxes.extended and roots.root_m is not None and len(roots.root_m) == 2
    assert roots.root_m[:, 2].min() > 10
    assert data.format_of(folder / "bbox_root_output.json") == "rootnet"
    (frame,) = data.load(folder / "bbox_root_output.json").frames.values()
    np.testing.assert_allclose(frame.joints_m[:, 0], roots.root_m)
    assert frame.image_name == "plaza.jpg" and np.isnan(frame.boxes_px).all()
