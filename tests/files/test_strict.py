"""What the one JSON reader and the one YAML reader take, and what they refuse in words."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowd3d.errors import ConfigError, DataError
from crowd3d.files import strict_json, strict_yaml

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(values)
def test_what_is_written_is_read(value):
    assert strict_json.loads(strict_json.dumps(value)) == value
    assert strict_json.loads(json.dumps(value, ensure_ascii=False)) == value


@given(st.text() | st.binary().map(lambda b: b.decode("latin1")))
def test_any_text_is_read_or_a_value_error(text):
    for reader in (strict_json, strict_yaml):
        try:
            reader.loads(text)
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1e999]", "the number 1e999 is too large"),
        ("[-1e999]", "too large"),
        (f"[{2**63}]", "too large"),
        (f"[{'9' * 5000}]", "whole number 9999.* is too large"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the name 'c' stands twice"),
        ('["\\ud800"]', "not Unicode"),
        ('{"\\udc00": 1}', "not Unicode"),
        ("[NaN]", "NaN is no JSON number"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_parsers_take_differently_is_refused(tmp_path, text, says):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=says) as error:
        strict_json.read(tmp_path / "a.json")
    assert str(error.value).startswith(str(tmp_path)) and len(str(error.value)) < 300


def test_json_that_is_right_stays():
    assert strict_json.loads('["\\ud83d\\ude00", "\\\\ud800", 1e308, -9223372036854775808]') == [
        "\U0001f600",
        "\\ud800",
        1e308,
        -(2**63),
    ]


def test_names_that_are_no_text_are_spelled_in_json():
    assert strict_json.dumps({"caf\udce9.jpg": "\udce9"}) == '{"caf\\\\xe9.jpg":"\\\\xe9"}\n'


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "line 1: anchors and aliases"),
        ("a: .nan", "not finite"),
        ("a: -.inf", "not finite"),
        ("a: !!int x", "line 1: 'x' is no int"),
        ("a: !!int ''", "line 1: '' is no int"),
        ("b: 1\na: !!timestamp 2024-13-45", "line 2: values of the kind"),
        ("a: !!python/object/apply:os.system [ls]", "are not read"),
        ("a: 1\nb: 2\na: 3", "a key stands twice"),
        (f"a: {'9' * 5000}", "is no int"),
        (f"a: {2**63}", "too large"),
        ("[" * 50_000, "nested too deeply"),
        ("a: [", "line 1"),
        ("a: \x07", "special characters"),
        ("? [1, 2]\n: 3", "unhashable"),
    ],
)
def test_yaml_that_is_dangerous_or_ambiguous_is_refused(tmp_path, text, says):
    (tmp_path / "a.yaml").write_text(text)
    begin = time.monotonic()
    with pytest.raises(ConfigError, match=says) as error:
        strict_yaml.read(tmp_path / "a.yaml")
    assert time.monotonic() - begin < 5 and "not valid YAML" in str(error.value)


def test_a_date_is_a_text_in_yaml():
    assert strict_yaml.loads("a: 2024-13-45\nb: 1.5\nc: [1, yes]\nd: null") == {
        "a": "2024-13-45",
        "b": 1.5,
        "c": [1, True],
        "d": None,
    }


def test_a_huge_page_is_not_begun(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\n" * 100_000)
    with pytest.raises(ConfigError, match="more than"):
        strict_yaml.read(tmp_path / "a.yaml")
