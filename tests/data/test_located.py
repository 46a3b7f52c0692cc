"""Mistakes in JSON are named by file, line and path."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd3d.errors import DataError
from crowd3d.files.located_json import Node

TEXT = """{
  "size": {"width": 10, "none": null},
  "a b": [
    1,
    [2, "x"],
    {"deep": -3}
  ]
}
"""


@pytest.fixture
def node(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(TEXT)
    return Node.read(path)


@pytest.mark.parametrize(
    ("look", "says"),
    [
        (lambda n: n["size"]["height"], "line 2: size: there is no 'height'"),
        (lambda n: n["size"]["none"], "line 2: size: there is no 'none'"),
        (lambda n: n["size"].array(2), "line 2: size: holds something else than numbers"),
        (lambda n: list(n["size"]), "line 2: size: dict where a list belongs"),
        (lambda n: n["a b"]["x"], 'line 3: ["a b"]: list where an object belongs'),
        (lambda n: n["a b"].text(), 'line 3: ["a b"]: list where a string belongs'),
        (lambda n: list(n["a b"])[1].array(2), 'line 5: ["a b"][1]: holds something else'),
        (lambda n: list(n["a b"])[2]["deep"].integer(), 'line 6: ["a b"][2].deep: -3'),
        (lambda n: next(iter(n["a b"])).one_of("p", "q"), 'line 4: ["a b"][0]: 1 is none of p, q'),
        (lambda n: n.fail("all wrong"), "line 1: all wrong"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_path(node, look, says):
    with pytest.raises(DataError) as error:
        look(node)
    assert f"t.json, {says}" in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "line 1: not JSON"),
        ('{"a": 1,\n\n}', "line 3: not JSON"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, content, says):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(DataError, match=says):
        Node.read(tmp_path / "t.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match="UTF-8"):
        Node.read(tmp_path / "b.json")
    with pytest.raises(DataError, match="cannot read"):
        Node.read(tmp_path / "nowhere.json")


trees = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4) | st.none() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def _paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


def _at(value, path):
    for step in path:
        value = value[step]
    return value


def _replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], new)
    return copy


@settings(max_examples=60, deadline=None)
@given(trees, st.data(), st.sampled_from([None, 1]))
def test_lines_are_those_of_a_marked_copy(tmp_path_factory, tree, data, indent):
    """The naive way: put a mark in place of the value and look for its line."""
    path = data.draw(st.sampled_from(list(_paths(tree))))
    marked = json.dumps(_replaced(tree, path, "§mark§"), indent=indent, ensure_ascii=False)
    expected = marked.count("\n", 0, marked.index("§mark§")) + 1
    file = tmp_path_factory.mktemp("lines") / "t.json"
    file.write_text(json.dumps(tree, indent=indent, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(DataError, match=rf"line {expected}:"):
        Node(_at(tree, path), path, Node.read(file)._file).fail("here")
