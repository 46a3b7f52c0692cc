"""JSON that every parser accepts: plain values, no NaN, always the same bytes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any, digits: int | None = None) -> Any:
    """Arrays as lists, NumPy scalars as Python's, paths as text, non-finite numbers as None.

    Args:
        digits: decimals to keep of every float; None keeps all.

    Raises:
        TypeError: something that has no place in JSON.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float | np.floating):
        number = float(value)
        if not math.isfinite(number):
            return None
        return number if digits is None else round(number, digits) + 0.0
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), digits)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item, digits) for key, item in value.items()}
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
