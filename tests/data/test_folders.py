"""Where the pictures of a data set lie, and in which order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowd3d.data.folders import SPLITS, find_scenes, natural_key, scene_of
from crowd3d.errors import DataError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def found(root, split=None):
    return {s.name: [p.name for p in s.pictures] for s in find_scenes(root, split)}


def test_frames_are_in_natural_order(tmp_path):
    touch(tmp_path, *(f"images/s{k}_00/f{n}.jpg" for k in (10, 2) for n in (100, 20, 3)))
    (tmp_path / "images" / "s2_00" / "f3.jpg").rename(tmp_path / "images" / "s2_00" / "g3.jpg")
    (tmp_path / "images" / "s2_00" / "f20.jpg").rename(tmp_path / "images" / "s2_00" / "h.JPG")
    (tmp_path / "images" / "s2_00" / "f100.jpg").rename(tmp_path / "images" / "s2_00" / "g100.jpg")
    assert list(found(tmp_path)) == ["s2_00", "s10_00"]
    assert found(tmp_path)["s10_00"] == ["f3.jpg", "f20.jpg", "f100.jpg"]
    assert found(tmp_path)["s2_00"] == ["g3.jpg", "g100.jpg", "h.JPG"]


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=12))
def test_natural_order_of_numbers_is_theirs(numbers):
    names = [f"frame{n}.jpg" for n in numbers]
    assert sorted(names, key=natural_key) == [f"frame{n}.jpg" for n in sorted(numbers)]


@pytest.mark.parametrize(
    ("name", "scene"),
    [
        ("playground1_00_000100.jpg", "playground1_00"),
        ("SEQ_01_001.jpg", "SEQ_01"),
        ("img-7.png", "img"),
        ("crowd.jpg", "crowd"),
        ("0001.jpg", "0001"),
    ],
)
def test_a_frames_name_tells_its_scene(name, scene):
    assert scene_of(name) == scene


def test_layouts(tmp_path):
    flat, nested, panda = tmp_path / "flat", tmp_path / "nested", tmp_path / "panda"
    touch(flat, "a_00_000001.jpg", "a_00_000000.jpg", "b_00_000000.png", "notes.txt", ".c_0.jpg")
    assert found(flat) == {
        "a_00": ["a_00_000000.jpg", "a_00_000001.jpg"],
        "b_00": ["b_00_000000.png"],
    }
    touch(nested, "here/1.jpg", "there/2.jpg", ".hidden/3.jpg")
    assert found(nested) == {"here": ["1.jpg"], "there": ["2.jpg"]}
    touch(panda, "image_train/01_A/SEQ_01_001.jpg", "image_test/11_B/SEQ_11_001.jpg")
    assert list(found(panda)) == ["01_A", "11_B"]
    assert list(found(panda, "test")) == ["11_B"]
    assert list(found(panda, "train")) == ["01_A"]


def test_splits(tmp_path):
    for scene in (*SPLITS["train"], *SPLITS["test"]):
        touch(tmp_path / "names", f"images/{scene}/{scene}_000000.jpg")
    assert sorted(found(tmp_path / "names", "test")) == sorted(SPLITS["test"])
    assert sorted(found(tmp_path / "names", "train")) == sorted(SPLITS["train"])
    assert len(found(tmp_path / "names")) == 9
    touch(tmp_path / "folders", "test/images/mine/1.jpg", "train/images/yours/2.jpg")
    assert list(found(tmp_path / "folders", "test")) == ["mine"]


def test_what_cannot_be_listed_is_named(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        find_scenes(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no pictures are in"):
        find_scenes(tmp_path)
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    with pytest.raises(DataError, match="no pictures of the test split"):
        find_scenes(tmp_path, "test")
    with pytest.raises(DataError, match="there is no split 'tset'"):
        find_scenes(tmp_path, "tset")
    touch(tmp_path, "b/1.jpg")
    with pytest.raises(DataError, match=r"[ab]/1\.jpg and .*[ab]/1\.jpg have one name"):
        find_scenes(tmp_path)
