"""YAML pages of plain keys and values, read without what makes YAML dangerous or ambiguous. The one reader.

Refused are anchors and aliases (a few lines of which can stand for gigabytes), tags, keys that stand twice,
numbers that are not finite. A date is a text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from crowd3d.errors import ConfigError, Crowd3dError
from crowd3d.files.reading import read_text

_MOST_BYTES = 200_000  # the longest page that ships has 4,000, and a megabyte takes 10 s to read
_TAG = "tag:yaml.org,2002:"
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")


def read(path: str | Path, error: type[Crowd3dError] = ConfigError) -> Any:
    """The value of a YAML file; None if it is empty.

    Raises:
        error: as `crowd3d.files.reading.read_text`, or not strict YAML.
    """
    text = read_text(path, error, _MOST_BYTES)
    try:
        return loads(text)
    except ValueError as problem:
        raise error(f"{path} is not valid YAML: {problem}") from None


def loads(text: str) -> Any:
    """The value of a strict YAML text; raises ValueError."""
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"{where}{problem.problem or problem.context}") from None
    except yaml.YAMLError as problem:
        raise ValueError(str(problem)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _StrictLoader(yaml.SafeLoader):
    """A SafeLoader of plain values only."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused(
                "anchors and aliases (& and *) are not read; write the values out", event
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind not in _KINDS:
            raise _refused(f"values of the kind {node.tag} are not read", node)
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError):
            raise _refused(f"{node.value!r:.40} is no {kind}", node) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise _refused(f"the number {node.value:.40} is not finite", node)
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise _refused("a whole number is too large", node)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        value = super().construct_mapping(node, deep=deep)
        if len(value) < len(node.value):
            raise _refused("a key stands twice", node)
        return value


# Dates, merges (<<) and the lone = are texts like others.
_StrictLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) in _KINDS]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# 2e-05 is a number to everybody but YAML 1.1.
_StrictLoader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"^[-+]?(\.\d+|\d+\.?\d*)[eE][-+]?\d+$"),
    [*"-+.0123456789"],
)


def _refused(reason: str, at: yaml.Event | yaml.Node) -> yaml.YAMLError:
    line = at.start_mark.line + 1 if at.start_mark is not None else "?"
    return yaml.YAMLError(f"line {line}: {reason}")
