"""Files of 2D poses with anything anywhere: read, or refused with one line, never another exception."""

import copy
import json

import pytest
from data.test_keypoint_writers import LANDMARKS, WRITERS, annotated
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd3d.data.poses.in_picture import in_picture
from crowd3d.data.poses.reading import poses_of_picture
from crowd3d.errors import DataError

WHOLE = [content for _, content, _, _ in WRITERS.values()] + [annotated(), [LANDMARKS]]
ODD = st.sampled_from(
    [None, True, -1, 0, 7.5, 1e300, -1e308, "", "x", [], {}, [[]], [1], {"a": []}, [[[[1]]]], [{}]]
)


def places(value, path=()):
    """Paths to all values inside a value."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts if isinstance(value, (dict, list)) else ():
        yield from places(part, (*path, key)) if isinstance(part, (dict, list)) else [(*path, key)]


@settings(max_examples=150)
@given(st.data())
def test_anything_anywhere_is_read_or_refused(tmp_path_factory, data):
    content = copy.deepcopy(data.draw(st.sampled_from(WHOLE)))
    path = data.draw(st.sampled_from([p for p in places(content) if p]))
    inside = content
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = data.draw(ODD)
    file = tmp_path_factory.mktemp("fuzz") / "image.json"
    file.write_text(json.dumps(content))
    try:
        found, _ = in_picture(poses_of_picture(file, "image.jpg"), (1280, 720))
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert len(found) <= 2


@pytest.mark.parametrize("depth", [10, 500])
def test_landmarks_in_many_lists_are_refused(tmp_path, depth):
    file = tmp_path / "x.json"
    file.write_text("[" * depth + json.dumps(LANDMARKS) + "]" * depth)
    with pytest.raises(DataError, match="lists in lists"):
        poses_of_picture(file, "image.jpg")
