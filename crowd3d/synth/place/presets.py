"""The kinds of places by name, and how their cameras are narrowed."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any

from crowd3d.errors import ConfigError
from crowd3d.synth.place.preset import Preset, Range
from crowd3d.synth.place.uneven import UNEVEN
from optim import fisheye

PRESETS: dict[str, Preset] = {
    "plaza": Preset(parasols=1.5, benches=2.0),
    "street": Preset(
        fov_deg=(45.0, 70.0),
        height_m=(2.2, 5.5),
        pitch_deg=(2.0, 12.0),
        grounds=("slabs", "asphalt", "paving"),
        activities=(0.45, 0.35, 0.15, 0.05, 0.0),
        walking=0.8,
        depth_power=0.1,
        sides=True,
        sunny=0.5,
    ),
    "steep": Preset(
        fov_deg=(40.0, 65.0),
        height_m=(15.0, 28.0),
        pitch_deg=(35.0, 52.0),
        activities=(0.45, 0.25, 0.2, 0.05, 0.05),
        depth_power=1.0,
    ),
    "wide": Preset(
        fov_deg=(82.0, 105.0),
        height_m=(3.5, 12.0),
        pitch_deg=(8.0, 26.0),
        depth_power=0.2,
        person_px=30.0,
    ),
    "park": Preset(
        grounds=("grass",),
        activities=(0.3, 0.25, 0.35, 0.0, 0.1),
        walking=0.4,
        children=0.18,
        parasols=1.0,
        benches=3.0,
        front=2.2,
    ),
    "largecrowd": Preset(
        fov_deg=(34.0, 42.0),
        height_m=(12.0, 18.0),
        pitch_deg=(9.0, 14.0),
        roll_deg=(-1.0, 1.0),
        person_px=55.0,
        depth_power=0.7,
        sunny=0.6,
    ),
    "phone": Preset(
        fov_deg=(58.0, 74.0),
        height_m=(1.4, 1.8),
        pitch_deg=(-3.0, 5.0),
        roll_deg=(-3.0, 3.0),
        activities=(0.4, 0.3, 0.25, 0.0, 0.05),
        person_px=80.0,
        depth_power=0.0,
        parasols=1.0,
    ),
    "telephoto": Preset(
        fov_deg=(15.0, 22.0),
        height_m=(8.0, 20.0),
        pitch_deg=(3.0, 9.0),
        person_px=60.0,
        depth_power=0.8,
    ),
    "dense": Preset(
        fov_deg=(45.0, 65.0),
        height_m=(14.0, 26.0),
        pitch_deg=(18.0, 32.0),
        activities=(0.5, 0.25, 0.2, 0.05, 0.0),
        walking=0.3,
        person_px=30.0,
        depth_power=0.9,
    ),
    # People of about 25 to 450 px at 30000x15000; the horizon is in the picture, and the far ones 1.7 km away.
    "gigapixel": Preset(
        fov_deg=(58.0, 64.0),
        height_m=(45.0, 56.0),
        pitch_deg=(13.0, 14.0),
        roll_deg=(-1.0, 1.0),
        person_px=1.7,
        squares=(4, 7),
        clear=6.0,
    ),
    "festival": Preset(
        fov_deg=(35.0, 65.0),
        height_m=(3.0, 15.0),
        pitch_deg=(8.0, 30.0),
        grounds=("grass", "asphalt", "paving"),
        activities=(0.85, 0.15, 0.0, 0.0, 0.0),
        walking=0.05,
        children=0.03,
        person_px=14.0,
        depth_power=1.0,
        front=2.0,
        density=(2.5, 6.0),
        clearance_m=0.34,
        overflow=0.15,
        together=0.75,
        raised=0.18,
        phones=0.08,
        umbrellas=0.02,
    ),
    "parade": Preset(
        fov_deg=(30.0, 60.0),
        height_m=(12.0, 40.0),
        pitch_deg=(30.0, 58.0),
        activities=(0.6, 0.25, 0.15, 0.0, 0.0),
        walking=0.7,
        children=0.12,
        person_px=14.0,
        depth_power=1.0,
        density=(0.6, 2.5),
        clearance_m=0.45,
        overflow=0.10,
        together=0.6,
        raised=0.12,
        umbrellas=0.05,
        phones=0.06,
        prams=0.03,
    ),
    "platform": Preset(
        fov_deg=(45.0, 70.0),
        height_m=(1.5, 2.6),
        pitch_deg=(-2.0, 8.0),
        grounds=("slabs", "asphalt", "paving"),
        activities=(0.35, 0.25, 0.1, 0.3, 0.0),
        walking=0.25,
        person_px=45.0,
        depth_power=0.6,
        density=(0.8, 2.5),
        clearance_m=0.42,
        overflow=0.12,
        together=0.5,
        raised=0.06,
        phones=0.15,
        umbrellas=0.03,
        prams=0.03,
    ),
    # Of 1000 px of picture height, nine in ten people take 10 to 40.
    "far": Preset(
        fov_deg=(36.0, 60.0),
        height_m=(24.0, 56.0),
        pitch_deg=(9.0, 18.0),
        person_px=10.0,
        depth_power=1.0,
        density=(0.1, 0.8),
        clearance_m=0.45,
        overflow=0.05,
        umbrellas=0.02,
        clear=3.0,
    ),
    **UNEVEN,
}


def preset(name: str) -> Preset:
    """The preset of that name; raises ConfigError naming the nearest one."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no scene is called {name!r}; known: {', '.join(PRESETS)}{hint}")
    return PRESETS[name]


# What the generator is tested for.
_CAMERA_LIMITS: dict[str, Range] = {
    "fov_deg": (15.0, 110.0),
    "height_m": (1.2, 60.0),
    "pitch_deg": (-5.0, 90.0),
    "roll_deg": (-30.0, 30.0),
}
_FISHEYE_FOV_DEG = (60.0, 220.0)
_USUAL_FISHEYE_FOV_DEG = 180.0


def with_camera(
    chosen: Preset,
    *,
    projection: str = "perspective",
    fov_deg: float | None = None,
    height_m: float | None = None,
    pitch_deg: float | None = None,
    roll_deg: float | None = None,
) -> Preset:
    """The preset with some of its camera's ranges narrowed to one value; ConfigError beyond the limits.

    Args:
        projection: "perspective" or one of `optim.fisheye.KINDS`, whose usual field of view is 180 degrees.
    """
    limits = dict(_CAMERA_LIMITS)
    if projection in fisheye.KINDS:
        limits["fov_deg"] = _FISHEYE_FOV_DEG
        fov_deg = _USUAL_FISHEYE_FOV_DEG if fov_deg is None else fov_deg
    elif projection != "perspective":
        known = ", ".join(("perspective", *fisheye.KINDS))
        raise ConfigError(f"a {projection} picture cannot be rendered; use one of {known}")
    given = {"fov_deg": fov_deg, "height_m": height_m, "pitch_deg": pitch_deg, "roll_deg": roll_deg}
    fixed = {name: value for name, value in given.items() if value is not None}
    for name, value in fixed.items():
        low, high = limits[name]
        if not low <= value <= high:
            raise ConfigError(f"{name} must be from {low:g} to {high:g}, not {value:g}")
    ranges: dict[str, Any] = {name: (value, value) for name, value in fixed.items()}
    return replace(chosen, projection=projection, **ranges)
