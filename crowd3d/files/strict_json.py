"""JSON that every parser accepts: plain values, no NaN, always the same bytes. The one reader and writer.

Reading refuses what parsers take differently: NaN, numbers beyond a float or 64 bits, a name twice in one
object, text that is no Unicode.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from crowd3d.errors import Crowd3dError, DataError, printable
from crowd3d.files.reading import SMALL_BYTES, read_text

_INT_DIGITS = 18  # so many digits fit 64 bits without a closer look
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read(
    path: str | Path, error: type[Crowd3dError] = DataError, most_bytes: int = SMALL_BYTES
) -> Any:
    """The value of a JSON file.

    Raises:
        error: as `crowd3d.files.reading.read_text`, or no strict JSON; the message names the line.
    """
    return parsed(read_text(path, error, most_bytes), path, error)


def parsed(text: str, path: str | Path, error: type[Crowd3dError] = DataError) -> Any:
    """The value of the text of a file; raises `error`, which names the file and, if it can, the line."""
    try:
        return loads(text)
    except json.JSONDecodeError as problem:
        raise error(f"{path}, line {problem.lineno}: not JSON: {problem.msg}") from None
    except ValueError as problem:
        raise error(f"{path} is not JSON: {problem}") from None


def read_object(
    path: str | Path, error: type[Crowd3dError] = DataError, most_bytes: int = SMALL_BYTES
) -> dict[str, Any]:
    """Like `read`, of a file that must hold one object."""
    value = read(path, error, most_bytes)
    if not isinstance(value, dict):
        raise error(f"{path} must hold one JSON object")
    return value


def loads(text: str) -> Any:
    """The value of a strict JSON text; raises ValueError, of mistakes in the grammar JSONDecodeError."""
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _SURROGATE.search(text) and not all(_is_unicode(part) for part in _texts(value)):
        raise ValueError("a text in it is not Unicode (half of a pair of \\u escapes)")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {_short(text)} is too large")
    return number


def _within_64_bits(text: str) -> int:
    if len(text) > _INT_DIGITS and (len(text) > 20 or not -(2**63) <= int(text) < 2**63):
        raise ValueError(f"the whole number {_short(text)} is too large")
    return int(text)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the name {_short(repr(name))} stands twice in one object")
            seen.add(name)
    return value


_DECODER = json.JSONDecoder(
    parse_constant=_no_constant,
    parse_float=_finite,
    parse_int=_within_64_bits,
    object_pairs_hook=_without_twins,
)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def typed(value: Any, kind: type | tuple[type, ...]) -> Any:
    """The value, which must be of that type, or a number if there are several; raises TypeError."""
    if not isinstance(value, kind):
        wanted = kind.__name__ if isinstance(kind, type) else "a number"
        raise TypeError(f"found {type(value).__name__} where {wanted} belongs")
    return value


def plain(value: Any, digits: int | None = None) -> Any:
    """Arrays as lists, NumPy scalars as Python's, paths as text, non-finite numbers as None.

    What of a text is no Unicode (a file's name in another encoding) is spelled, see `printable`.

    Args:
        digits: decimals to keep of every float; None keeps all.

    Raises:
        TypeError: something that has no place in JSON.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value if _is_unicode(value) else printable(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        if not math.isfinite(number):
            return None
        return number if digits is None else round(number, digits) + 0.0
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), digits)
    if isinstance(value, Path):
        return plain(str(value))
    if isinstance(value, dict):
        return {plain(str(key)): plain(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item, digits) for item in items]
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def dumps(value: Any, *, indent: int | None = None, digits: int | None = None) -> str:
    """The text of `plain(value)`, with a final newline."""
    separators = (",", ": ") if indent else (",", ":")
    return (
        json.dumps(plain(value, digits), indent=indent, separators=separators, allow_nan=False)
        + "\n"
    )
