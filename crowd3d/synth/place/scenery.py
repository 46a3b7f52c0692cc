"""What stands around a crowd: buildings, lamp posts, parasols, benches; a stage's wall and roof."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from crowd3d.synth.place.boxes import BUILDING, PARASOL, POST, SEAT, TERRACE, Box
from crowd3d.synth.place.preset import Preset
from crowd3d.synth.place.view import WIDEST_HALF_RAD, Level, View

Rng = np.random.Generator
Height = Callable[[float, float], float]  # of the ground at x, z

_WALLS = ("b9a48a", "cbbfae", "a86f54", "8d8f92", "d8d2c6", "9c8468", "b7b3ab", "7a5a48", "c7b48f")
_CANOPIES = ("d8d2c4", "e4dcc6", "8a2f2c", "2f4a3c", "c7b48f", "39485e", "c98a3a")
_BENCHES = ("6b4a32", "5a5f63", "8a6a4a")
_POST, _CANVAS = "3a3d40", "2b2c30"


def row_of_buildings(
    rng: Rng, start: float, end: float, wall: float, sign: float, base_m: float = 0.0
) -> list[Box]:
    """Buildings side by side from `start` to `end`, their fronts at the distance `wall`.

    Args:
        sign: 0 = across the view, behind the crowd; otherwise along it, on that side.
        base_m: height of their feet.
    """
    found, at = [], start
    while at < end:
        width, height, depth = rng.uniform(14, 34), rng.uniform(9, 26), rng.uniform(10, 16)
        setback = rng.uniform(0, 1.5)
        middle, out = at + width / 2, wall + setback + depth / 2
        x, z = (middle, -out) if sign == 0 else (sign * out, -middle)
        size = (width, height, depth) if sign == 0 else (depth, height, width)
        color = str(rng.choice(_WALLS))
        found.append(Box((x, base_m + height / 2, z), np.array(size) / 2, BUILDING, color))
        at += width + (rng.uniform(4, 9) if rng.random() < 0.25 else 0.0)
    return found


def street_furniture(
    rng: Rng, preset: Preset, half_width: float, near: float, far: float
) -> list[Box]:
    """Lamp posts, market parasols and benches on the flat ground."""
    rows: list[Box] = []

    def place(count: int, first: float, last: float) -> list[tuple[float, float]]:
        z = -rng.uniform(first, last, count)
        return [(float(rng.uniform(-0.7, 0.7) * half_width), float(v)) for v in z]

    for x, z in place(int(rng.integers(2, 7)), 0.5 * far, 1.1 * far):
        tall = rng.uniform(4.5, 8.0)
        rows.append(Box((x, tall / 2, z), (0.06, tall / 2, 0.06), POST, _POST))
        turn = float(rng.uniform(0, 3))
        rows.append(Box((x, tall, z), (0.55, 0.05, 0.12), POST, "54575a", turn))
    for x, z in place(int(rng.poisson(preset.parasols)), near + 2, far):
        half, turn = rng.uniform(1.2, 1.8), float(rng.uniform(0, 1.5))
        color = str(rng.choice(_CANOPIES))
        rows.append(Box((x, 1.2, z), (0.03, 1.2, 0.03), POST, "cfcac0"))
        rows.append(Box((x, 2.4, z), (half, 0.22, half), PARASOL, color, turn, 0.06))
    for x, z in place(int(rng.poisson(preset.benches)), near + 1, far):
        turn, color = float(rng.uniform(0, math.pi)), str(rng.choice(_BENCHES))
        rows.append(Box((x, 0.44, z), (0.85, 0.03, 0.22), SEAT, color, turn))
        for side in (-0.65, 0.65):
            leg = (x + side * math.cos(turn), 0.205, z - side * math.sin(turn))
            rows.append(Box(leg, (0.05, 0.205, 0.18), SEAT, "3b3d3f", turn))
    return rows


def on_hills(rng: Rng, view: View, height: Height, near: float, reach: float) -> list[Box]:
    """Lamp posts in the crowd and houses beyond it, upright on ground that is not."""
    rows = []
    half_view = math.tan(min(view.camera.fov_rad / 2, WIDEST_HALF_RAD))
    for _ in range(int(rng.integers(3, 8))):
        away = rng.uniform(0.3 * reach + near, 1.3 * reach)
        x, z = view.on_map(float(rng.uniform(-0.9, 0.9)) * half_view * away, away)
        tall, below = rng.uniform(4.5, 7.0), 0.3
        middle = height(x, z) + (tall - below) / 2
        rows.append(Box((x, middle, z), (0.06, (tall + below) / 2, 0.06), POST, _POST))
        top = (x, height(x, z) + tall, z)
        rows.append(Box(top, (0.5, 0.05, 0.12), POST, "54575a", float(rng.uniform(0, 3))))
    for _ in range(int(rng.integers(3, 7))):
        away = rng.uniform(1.35, 2.6) * reach
        x, z = view.on_map(float(rng.uniform(-1.1, 1.1)) * half_view * away, away)
        half, tall = rng.uniform(4, 8, 2), rng.uniform(5, 10)
        corners = [
            height(x + s * float(half[0]), z + t * float(half[1])) for s in (-1, 1) for t in (-1, 1)
        ]
        low, high = min(corners) - 0.3, max(corners) + tall
        size = (float(half[0]), (high - low) / 2, float(half[1]))
        rows.append(Box((x, (low + high) / 2, z), size, BUILDING, str(rng.choice(_WALLS))))
    return rows


def behind_tribune(rng: Rng, last: Level, half_width: float) -> Box:
    """The wall at the back of the last row."""
    top = last.base_m + rng.uniform(1.2, 3.0)
    return Box((0.0, top / 2, last.back_z - 0.15), (half_width, top / 2, 0.15), TERRACE, "5d6166")


def around_stage(rng: Rng, stage: Level) -> list[Box]:
    """A wall behind the stage and a roof on two towers."""
    x, half = (stage.left_x + stage.right_x) / 2, (stage.right_x - stage.left_x) / 2
    z, deep = (stage.front_z + stage.back_z) / 2, (stage.front_z - stage.back_z) / 2
    tall = rng.uniform(5.0, 7.5)
    roof_m = stage.base_m + tall
    rows = [
        Box((x, roof_m / 2, stage.back_z - 0.15), (half, roof_m / 2, 0.15), TERRACE, _CANVAS),
        Box((x, roof_m + 0.2, z - 0.3), (half + 0.8, 0.2, deep), TERRACE, _CANVAS),
    ]
    for side in (-1.0, 1.0):
        at = (x + side * (half + 0.5), roof_m / 2, stage.front_z)
        rows.append(Box(at, (0.25, roof_m / 2, 0.25), POST, "4c4f55"))
    return rows
