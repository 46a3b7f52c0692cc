"""Numbers of a camera's file, however its writer nests them."""

from __future__ import annotations

import math
from typing import Any

from crowd3d.errors import CameraError


def numbers(values: Any, name: str, *counts: int) -> tuple[float, ...]:
    """Finite numbers of a list, of lists in a list, or of a mapping with `data`; raises CameraError.

    Args:
        counts: how many there may be; any number if none is named.
    """
    if isinstance(values, dict):
        values = values.get("data")
    flat: list[Any] = []
    for value in values if isinstance(values, list) else [None]:
        flat += value if isinstance(value, list) else [value]
    is_number = [isinstance(v, int | float) and not isinstance(v, bool) for v in flat]
    if not all(is_number) or not all(math.isfinite(v) for v in flat):
        raise CameraError(f"{name} must be finite numbers")
    if counts and len(flat) not in counts:
        wanted = " or ".join(map(str, counts))
        raise CameraError(f"{name} must be {wanted} numbers, not {len(flat)}")
    return tuple(float(value) for value in flat)
