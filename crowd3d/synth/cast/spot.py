"""One person's place in a scene."""

from __future__ import annotations

from typing import NamedTuple


class Spot(NamedTuple):
    """One person's place: x, z in metres, the level's index, the heading, and what they do."""

    x: float
    z: float
    level: int
    yaw: float
    walks: bool = False
    seated: bool = False
