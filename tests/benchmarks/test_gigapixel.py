"""Pictures are chosen by name, made once, and their people compared with the panorama's."""

import gigapixel
import numpy as np
import pytest
import pyvips
from gigapixel import PICTURES, Picture
from helpers.scenes import level_scene
from shared import results, surfaces
from shared.rendered import Crowd

from crowd3d.scene.people import People

TAKEN = ("megapixels", "tiles", "seconds", "processor_s", "peak_mb", "looked_at")
BY_NAME = {picture.name: picture for picture in PICTURES}


def names(pictures):
    return [picture.name for picture in gigapixel.chosen(pictures)]


def test_pictures_are_chosen_by_name():
    assert names("all") == list(BY_NAME)
    assert names("quick") == [
        *("panorama", "wide-quick", "mosaic-50m", "empty-40m", "noise-40m", "foliage-40m")
    ]
    assert names("render-1, noise-1g") == ["render-1", "noise-1g"]
    with pytest.raises(Exception, match="no such picture: sea"):
        names("wide,sea")


def test_copies_need_the_panorama():
    assert names("wide") == ["panorama", "wide-grey"]
    assert names("mosaic-1g,panorama") == ["panorama", "mosaic-1g"]


def test_pictures_have_the_size_they_claim():
    """Only the headers are made."""
    sizes = {}
    for name in ("panorama", "wide-grey", "wide-black", "mosaic-200m", "mosaic-1g", "mosaic-2g"):
        picture = BY_NAME[name].draw()
        sizes[name] = (picture.width, picture.height)
        corners = np.array(BY_NAME[name].corners_px)
        assert (corners + gigapixel.DEMO_PX <= sizes[name]).all()
    assert sizes["panorama"] == gigapixel.DEMO_PX
    assert sizes["wide-grey"] == sizes["wide-black"] == (32000, 16000)
    megapixels = {name: width * height / 1e6 for name, (width, height) in sizes.items()}
    assert megapixels["mosaic-200m"] == 200
    assert megapixels["mosaic-1g"] == pytest.approx(1000, rel=0.05)
    assert megapixels["mosaic-2g"] == pytest.approx(2400, rel=0.05)
    assert max(max(size) for size in sizes.values()) <= 65500  # of a JPEG
    assert len(BY_NAME["mosaic-2g"].corners_px) == 16 * 19


def test_a_copy_lies_where_its_corner_says():
    (x, y), *_ = BY_NAME["wide-quick"].corners_px
    crop = BY_NAME["wide-quick"].draw().crop(x, y, 200, 100)
    assert np.array_equal(crop.numpy(), gigapixel.panorama().crop(0, 0, 200, 100).numpy())


def test_renders_are_of_the_gigapixel_preset():
    renders = [picture for picture in PICTURES if isinstance(picture, Crowd)]
    assert [(r.preset, r.size, r.people, r.seed) for r in renders] == [
        ("gigapixel", (30000, 15000), 1000, seed) for seed in (1, 2)
    ]


def test_a_picture_is_made_once(tmp_path):
    drawn = []

    def draw():
        drawn.append(1)
        return surfaces.plain((64, 48), 7)

    picture = Picture("small", draw)
    path = gigapixel.made(picture, tmp_path / "cache")
    assert gigapixel.made(picture, tmp_path / "cache") == path and drawn == [1]
    assert pyvips.Image.new_from_file(str(path)).height == 48


def test_the_panorama_is_the_demo_itself(tmp_path):
    assert gigapixel.made(BY_NAME["panorama"], tmp_path) == gigapixel.DEMO


def test_people_are_counted_by_the_panorama():
    known = People.empty(2)
    known.box_px = np.array([[0.0, 0, 20, 40], [100, 0, 150, 100]])
    known.keypoints_px[..., :2] = (known.box_px[:, None, :2] + known.box_px[:, None, 2:]) / 2
    row = gigapixel.compared(known.filter(np.array([1])), known, BY_NAME["mosaic-50m"])
    assert row == {"people": 12, "recall": 1 / 12, "recall_25_60": 0.0, "false": 0}


def test_whoever_is_found_in_an_empty_picture_is_false():
    row = gigapixel.compared(People.empty(3), People.empty(), BY_NAME["empty-1g"])
    assert row == {"people": 0, "recall": None, "recall_25_60": None, "false": 3}


def test_whoever_is_not_in_the_truth_of_a_render_is_false(monkeypatch):
    row = {"answers": 30, "precision": 29 / 30, "recall_60": 0.5, "scene": {"PPDS": 0.75}}
    monkeypatch.setattr(gigapixel, "score", lambda answer, truth: row)
    scored = gigapixel.scored(level_scene(4), None)
    assert scored["false"] == 1 and scored["recall"] == 0.5
    taken = {"megapixels": 450.0, "people": 1000, "tiles": 9, "seconds": 1.0}
    taken |= {"processor_s": 2.0, "peak_mb": 3.0}
    shown = gigapixel.table({"x": taken | scored}).markdown()
    assert "| x | 450 | 1,000 | 30 | 50.0 % | 1 | 0.750 | 9 | 1 | 2 | 3 |" in shown


def test_what_was_looked_at_is_told_if_the_scene_knows():
    assert gigapixel.looked_at({}) is None
    assert gigapixel.looked_at({"coverage": 0.5}) == 0.5
    assert gigapixel.looked_at({"coverage": {"share": 1}}) == 1.0


def test_a_result_is_read_and_shown(tmp_path, monkeypatch):
    def run(command):
        assert command[-2:] == ["--config", "fast"]
        level_scene(4).save(command[command.index("-o") + 1])
        return gigapixel.machine.Spent(12.0, 20.0, 800.0)

    monkeypatch.setattr(gigapixel.machine, "run", run)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "of another run").touch()
    _, row = gigapixel.reconstructed(
        tmp_path / "image.jpg", ["--config", "fast"], tmp_path / "kept"
    )
    assert not (tmp_path / "kept" / "of another run").exists()
    shown = gigapixel.table({"x": row}).markdown()
    assert "| picture | megapixels | found | s | processor s | peak memory MB |" in shown
    assert "| x | 8 | 4 | 12 | 20 | 800 |" in shown


def test_lines_of_other_pictures_stay(tmp_path):
    def line(answers):
        return {**dict.fromkeys(TAKEN, 1.0), "answers": answers}

    first = gigapixel.table({"mosaic-1g": line(1), "wide-grey": line(2)})
    results.write(results.Result("gigapixel", "command", "0", "2026-11", "-", [first]), tmp_path)
    now = gigapixel.table({"wide-grey": line(3), "panorama": line(4)})
    order = list(BY_NAME)
    merged = results.with_earlier("gigapixel", now, order, folder=tmp_path)
    found = list(merged.columns).index("found")
    lines = [(row[0], row[found]) for row in merged.rows]
    assert lines == [("panorama", 4), ("wide-grey", 3), ("mosaic-1g", 1)]
    assert results.with_earlier("gigapixel", now, order, folder=tmp_path / "no").rows == now.rows
