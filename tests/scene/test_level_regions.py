"""`regions.geojson`: what is read of it, what is refused and how, and what a scene writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from helpers.scenes import scattered_scene

from crowd3d.config import Config
from crowd3d.errors import CameraError, ConfigError, DataError
from crowd3d.picture.camera_hint import CameraHint
from crowd3d.pipeline.run_key import settings_key
from crowd3d.scene import level_regions, storage
from crowd3d.scene.scene import Scene

SIZE = (4000, 3000)


def ring(u0: float, v0: float, u1: float, v1: float) -> list[list[float]]:
    return [[u0, v0], [u1, v0], [u1, v1], [u0, v1], [u0, v0]]


def feature(level: object, *rings: object, kind: str = "Polygon") -> dict[str, object]:
    geometry = {"type": kind, "coordinates": list(rings)}
    return {"type": "Feature", "properties": {"level": level}, "geometry": geometry}


def text_of(*features: object) -> str:
    return json.dumps({"type": "FeatureCollection", "features": features}, indent=1)


PLAZA, STAGE = feature("plaza", ring(0, 0, 2000, 3000)), feature(7, ring(2000, 0, 4000, 3000))


def read(tmp_path: Path, text: str, size_px: tuple[int, int] | None = SIZE):
    (tmp_path / "r.geojson").write_text(text)
    return level_regions.read(tmp_path / "r.geojson", size_px)


def test_levels_are_features_of_one_name_in_the_order_of_the_file(tmp_path: Path) -> None:
    far = feature(7.0, [ring(0, 5000, 900, 9000)], [ring(2100, -50, 2200, -9)], kind="MultiPolygon")
    far["geometry"]["coordinates"].append([ring(100, 3050, 200, 3100)])
    found = read(tmp_path, text_of(feature(7, ring(2000, 0, 4000, 3000)), far, PLAZA), None)
    assert found.names == ("7", "plaza") and len(found.areas) == 2
    points = np.array([[2500.0, 10], [10, 10], [10, 8000], [-500, 100], [9999, -9]])
    assert found.level_at(points).tolist() == [0, 1, 0, 1, 0]


def test_a_hole_belongs_to_who_fills_it(tmp_path: Path) -> None:
    inner = ring(1000, 1000, 2000, 2000)
    around = feature("around", ring(0, 0, 4000, 3000), inner)
    found = read(tmp_path, text_of(around, feature("stage", inner)))
    assert found.level_at(np.array([[1500.0, 1500], [500, 500]])).tolist() == [1, 0]


BAD = {
    "not JSON": ("{", "not JSON"),
    "a list": ("[]", "list where an object belongs"),
    "another type": ('{"type": "Topology"}', "none of FeatureCollection"),
    "no features": (text_of(), "no polygons"),
    "no level": (text_of({**PLAZA, "properties": {}}), r"features\[0\].properties: there is no 'level'"),
    "no properties": (text_of({**PLAZA, "properties": None}), r"features\[0\]: there is no 'propert"),
    "an empty name": (text_of(feature(" ", ring(0, 0, 9, 9))), "a number or a name"),
    "true": (text_of(feature(True, ring(0, 0, 9, 9))), r"features\[0\].properties.level"),
    "a point": (text_of(PLAZA, feature(1, kind="Point")), r"features\[1\].geometry.type: 'Point' is"),
    "no geometry": (text_of({**PLAZA, "geometry": None}), r"features\[0\]: there is no 'geometry'"),
    "no ring": (text_of(PLAZA, feature(1)), r"features\[1\].*empty"),
    "no area": (text_of(PLAZA, feature(1, ring(5, 5, 5, 50))), r"features\[1\].*empty"),
    "no polygon": (text_of(PLAZA, feature(1, kind="MultiPolygon")), r"features\[1\].*empty"),
    "open": (text_of(feature(1, ring(0, 0, 99, 99)[:4])), "the last of which is the first"),
    "a word": (text_of(feature(1, [*ring(0, 0, 99, 99)[:4], ["a", 3]])), r"coordinates\[0\]"),
    "crossing": (
        text_of(STAGE, feature("plaza", [[0, 0], [999, 999], [999, 0], [0, 999], [0, 0]])),
        r"features\[1\].geometry.coordinates: the polygon crosses",
    ),
    "parts overlap": (
        text_of(feature(1, [ring(0, 0, 99, 99)], [ring(50, 50, 200, 200)], kind="MultiPolygon")),
        r"features\[0\].*crosses, touches or leaves",
    ),
    "outside": (
        text_of(PLAZA, feature(1, ring(4100, 0, 5000, 3000))),
        r"features\[1\]: the polygon is outside of the picture; give pixels of this picture, 0 to 4000",
    ),
    "upward": (text_of(feature(1, ring(0, -3000, 2000, -10))), r"\(v points down\)"),
    "overlap": (
        text_of(PLAZA, feature(7, ring(1900, 0, 4000, 3000))),
        r"features\[1\]: the polygon of level '7' overlaps features\[0\] of level 'plaza' by 300000",
    ),
    "shares": (text_of(feature(1, ring(0, 0, 0.5, 1.0))), "shares of the picture's sides"),
    "degrees": (text_of(feature(1, ring(13.37, 52.51, 13.38, 52.52))), "degrees of longitude"),
    "too many": (
        text_of(*(feature(k, ring(100 * k, 0, 100 * k + 99, 9)) for k in range(21))),
        r"features\[20\]: there are more than 20 levels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_the_feature(tmp_path: Path, name: str) -> None:
    text, says = BAD[name]
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_slivers_between_drawn_borders_are_no_overlap(tmp_path: Path) -> None:
    touching = feature(7, ring(1999.2, 0, 4000, 3000))
    assert len(read(tmp_path, text_of(PLAZA, touching)).areas) == 2
    small = feature("a", ring(10, 5, 160, 80))
    assert len(read(tmp_path, text_of(small), (320, 240)).areas) == 1


def test_a_written_file_is_read_as_it_was(tmp_path: Path) -> None:
    scene = scattered_scene(4)
    ground, parts = scene.planes[0], [shapely.box(9, 9, 50, 60), shapely.box(100, 9, 200, 60.123)]
    regions = [shapely.MultiPolygon(parts), shapely.box(600, 0, 1200, 800), shapely.Polygon()]
    planes = [replace(ground, region=region, offset_m=6.0 - k) for k, region in enumerate(regions)]
    report = {"levels": [{"name": "plaza", "people": 3}]}
    scene = replace(scene, planes=planes, diagnostics=scene.diagnostics | {"camera_report": report})
    level_regions.write(scene, tmp_path / "regions.geojson")
    told = json.loads((tmp_path / "regions.geojson").read_text())["features"]
    assert [one["properties"] for one in told] == [
        {"level": "plaza", "plane": 0, "height_m": 0.0},
        {"level": 1, "plane": 1, "height_m": 1.0},
    ]
    found = level_regions.read(tmp_path / "regions.geojson", (1200, 800))
    assert found.names == ("plaza", "1")
    for area, region in zip(found.areas, regions, strict=False):
        assert shapely.hausdorff_distance(area, region) < 0.01
    storage.write(scene, tmp_path)
    again = Scene.load(tmp_path).planes
    assert [one.region.equals(region) for one, region in zip(again, regions, strict=True)] == [
        True, True, True,
    ]  # fmt: skip


def test_a_hint_reads_them_and_the_run_depends_on_them(tmp_path: Path) -> None:
    path = tmp_path / "r.geojson"
    path.write_text(text_of(PLAZA, STAGE))
    hint = CameraHint(regions=path)
    assert hint.resolve(*SIZE).regions.names == ("plaza", "7")
    given = {"config": Config(), "model": None, "keypoints": None}
    keys = [settings_key(camera=CameraHint(), **given), settings_key(camera=hint, **given)]
    path.write_text(text_of(PLAZA))
    assert len({*keys, settings_key(camera=hint, **given)}) == 3
    hint.must_agree_with(Config(ground="levels"))
    for config in (Config(max_planes=2), Config(ground="slope")):
        with pytest.raises(ConfigError, match="regions name the levels"):
            hint.must_agree_with(config)
    with pytest.raises(CameraError, match="fisheye picture"):
        CameraHint(regions=path, projection="fisheye", fov_deg=180.0).resolve(2000, 2000)
