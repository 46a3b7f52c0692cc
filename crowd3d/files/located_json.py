"""JSON whose mistakes are named by file, line and path: `x.json, line 7: frame_info["a.jpg"][2].bbox`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from crowd3d.errors import DataError
from crowd3d.files import strict_json
from crowd3d.files.arrays import FloatArray, checked
from crowd3d.files.reading import LARGE_BYTES, read_text

_HEAD = 1 << 18
_MOST_SHOWN = 40  # letters of a value in a message
_BLANK = re.compile(r"[ \t\n\r]*")


def begins_with(path: Path, *words: str) -> bool:
    """Whether a file is there, is JSON by its name, and its first few hundred thousand characters hold a word.

    Enough to tell formats apart without reading gigabytes.
    """
    if not path.is_file() or path.suffix.lower() != ".json":
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        head = file.read(_HEAD)
    return any(word in head for word in words)


class Node:
    """One value of a JSON file, that knows where it stands. Reading anything wrong raises DataError."""

    def __init__(self, value: Any, path: tuple[str | int, ...], file: _File) -> None:
        self.value, self._path, self._file = value, path, file

    @classmethod
    def read(cls, path: str | Path) -> Node:
        """The whole file; raises DataError if it is missing or no strict JSON."""
        path = Path(path)
        text = read_text(path, DataError, LARGE_BYTES)
        return cls(strict_json.parsed(text, path, DataError), (), _File(path, text))

    def __getitem__(self, key: str) -> Node:
        """A member of an object."""
        found = self.get(key)
        if found is None:
            self.fail(f"there is no {key!r}")
        return found

    def get(self, key: str) -> Node | None:
        """A member of an object, or None if it is missing or null."""
        self._need(dict, "an object")
        value = self.value.get(key)
        return None if value is None else Node(value, (*self._path, key), self._file)

    def items(self) -> Iterator[tuple[str, Node]]:
        """The members of an object, in order."""
        self._need(dict, "an object")
        for key, value in self.value.items():
            yield key, Node(value, (*self._path, key), self._file)

    def __iter__(self) -> Iterator[Node]:
        """The elements of a list."""
        self._need(list, "a list")
        for index, value in enumerate(self.value):
            yield Node(value, (*self._path, index), self._file)

    def array(self, *shape: int) -> FloatArray:
        """Finite numbers of that shape, -1 = any length."""
        try:
            return checked(self.value, shape, "")
        except DataError as error:
            self.fail(str(error).strip())

    def number(self) -> float:
        """A finite number."""
        return float(self.array())

    def integer(self, at_least: int = 0) -> int:
        """A whole number."""
        if type(self.value) is not int or self.value < at_least:
            self.fail(f"{_shown(self.value)} is not a whole number from {at_least}")
        return int(self.value)

    def text(self) -> str:
        """A string."""
        self._need(str, "a string")
        return str(self.value)

    def one_of(self, *allowed: str) -> str:
        """One of some strings."""
        if not isinstance(self.value, str) or self.value not in allowed:
            self.fail(f"{_shown(self.value)} is none of {', '.join(allowed)}")
        return str(self.value)

    def fail(self, reason: str) -> NoReturn:
        """Raises DataError that says where."""
        line = _line_of(self._file.text, self._path)
        where = f"{self._file.path}, line {line}"
        raise DataError(
            f"{where}: {_spelled(self._path)}: {reason}" if self._path else f"{where}: {reason}"
        )

    def _need(self, kind: type, name: str) -> None:
        if not isinstance(self.value, kind):
            self.fail(f"{type(self.value).__name__} where {name} belongs")


def _shown(value: Any) -> str:
    """The beginning of a value, for a message."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


class _File:
    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text


def _spelled(path: tuple[str | int, ...]) -> str:
    """frame_info["a b.jpg"][2].bbox"""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step)}]"
    return text


def _line_of(text: str, path: tuple[str | int, ...]) -> int:
    """Line of the value at a path; looked for only when something is wrong there."""
    at = _skip(text, 0)
    for step in path:
        at = _child(text, at, step)
    return text.count("\n", 0, at) + 1


def _child(text: str, at: int, step: str | int) -> int:
    """Where an element begins inside the list or object that begins at `at`."""
    decoder = json.JSONDecoder()
    found, index, at = at, 0, _skip(text, at + 1)
    while text[at] not in "]}":
        key: str | int = index
        if isinstance(step, str):
            key, at = decoder.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)  # over the colon
        if key == step:
            found = at  # of members of one name the last counts
            if isinstance(step, int):
                return found
        _, at = decoder.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1
    return found


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
