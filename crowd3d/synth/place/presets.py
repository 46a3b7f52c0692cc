"""What kind of place a synthetic scene is: the ranges that everything else is drawn from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Any

from crowd3d.errors import ConfigError
from optim import fisheye

Range = tuple[float, float]


@dataclass(frozen=True)
class Preset:
    """Ranges of one kind of place.

    Attributes:
        fov_deg, height_m, pitch_deg, roll_deg: the camera; pitch is positive downwards.
        grounds: kinds of paving to choose from: paving, slabs, asphalt, grass.
        activities: weights of solo, pair, group, queue, seated.
        walking: share of solos and pairs that walk.
        children: share of children.
        person_px: least height in pixels of a person at the far end, for a picture 1000 px high.
        depth_power: people per metre of distance grow with this power (1 = even over the ground).
        front: a facade this many times farther than the farthest person; 0 = open horizon.
        sides: buildings line both sides.
        terrain: flat, or one of those that `terrain.sample_levels` names.
        turn_deg: the camera against the direction in which raised levels climb.
        aloft: share of the groups that are on the stage.
        on_feet: share of the groups in a stand who have stood up.
        parasols, benches: how many on average.
        sunny: probability of sun rather than an overcast sky.
        min_elevation_deg: lowest sun.
        squares: least and most to gather on, the ground between them empty; None = people are everywhere.
        clear: one sees so many times farther through the haze than usual.
        density: people a square metre where the crowd is; it ends where its people are used up. None = they are
            spread over all the view.
        clearance_m: least distance of two people's centres.
        overflow: the crowd goes on beyond the picture by this share of its sides.
        together: share of people who face one way, as towards a stage.
        raised: share of those who stand with an arm or both in the air.
        umbrellas, phones, prams: shares of people with one.
        projection: of the camera, one of `crowd3d.scene.camera.PROJECTIONS` that is no panorama.
    """

    fov_deg: Range = (50.0, 75.0)
    height_m: Range = (6.0, 14.0)
    pitch_deg: Range = (12.0, 24.0)
    roll_deg: Range = (-1.5, 1.5)
    grounds: tuple[str, ...] = ("paving", "slabs", "asphalt")
    activities: tuple[float, float, float, float, float] = (0.4, 0.25, 0.25, 0.05, 0.05)
    walking: float = 0.6
    children: float = 0.10
    person_px: float = 24.0
    depth_power: float = 0.5
    front: float = 1.25
    sides: bool = False
    terrain: str = "flat"
    turn_deg: Range = (0.0, 0.0)
    aloft: float = 0.0
    on_feet: float = 0.0
    parasols: float = 0.0
    benches: float = 0.0
    sunny: float = 0.65
    min_elevation_deg: float = 30.0
    squares: tuple[int, int] | None = None
    clear: float = 1.0
    density: Range | None = None
    clearance_m: float = 0.58
    overflow: float = 0.0
    together: float = 0.0
    raised: float = 0.0
    umbrellas: float = 0.0
    phones: float = 0.0
    prams: float = 0.0
    projection: str = "perspective"


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
    "stadium": Preset(
        fov_deg=(30.0, 55.0),
        height_m=(5.0, 10.0),
        pitch_deg=(0.0, 6.0),
        grounds=("slabs", "asphalt"),
        activities=(0.06, 0.04, 0.0, 0.0, 0.9),
        terrain="stands",
        person_px=50.0,
        depth_power=1.0,
        front=1.2,
    ),
    "terrace": Preset(
        fov_deg=(40.0, 65.0),
        height_m=(5.0, 11.0),
        pitch_deg=(6.0, 16.0),
        grounds=("slabs", "paving"),
        activities=(0.45, 0.3, 0.25, 0.0, 0.0),
        walking=0.5,
        terrain="terraces",
        person_px=42.0,
        front=1.1,
    ),
    "stairs": Preset(
        fov_deg=(40.0, 60.0),
        height_m=(2.5, 7.0),
        pitch_deg=(3.0, 12.0),
        grounds=("slabs", "paving"),
        activities=(0.6, 0.4, 0.0, 0.0, 0.0),
        walking=0.2,
        terrain="stairs",
        person_px=60.0,
        front=1.2,
    ),
    "slope": Preset(
        fov_deg=(40.0, 65.0),
        height_m=(5.0, 11.0),
        pitch_deg=(5.0, 14.0),
        grounds=("slabs", "asphalt", "paving"),
        terrain="slope",
        person_px=42.0,
        front=1.1,
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
    "stands": Preset(
        fov_deg=(30.0, 50.0),
        height_m=(2.5, 9.0),
        pitch_deg=(0.0, 6.0),
        grounds=("grass", "slabs", "asphalt"),
        activities=(0.04, 0.02, 0.0, 0.0, 0.94),
        walking=0.2,
        terrain="tribune",
        turn_deg=(-22.0, 22.0),
        person_px=60.0,
        depth_power=1.0,
        front=0.0,
        on_feet=0.25,
        raised=0.1,
    ),
    "hillside": Preset(
        fov_deg=(40.0, 62.0),
        height_m=(5.0, 11.0),
        pitch_deg=(8.0, 17.0),
        grounds=("grass", "asphalt", "paving"),
        activities=(0.4, 0.3, 0.3, 0.0, 0.0),
        walking=0.4,
        terrain="hillside",
        person_px=42.0,
        front=0.0,
    ),
    "rolling": Preset(
        fov_deg=(42.0, 65.0),
        height_m=(6.0, 12.0),
        pitch_deg=(8.0, 16.0),
        grounds=("grass",),
        activities=(0.4, 0.3, 0.3, 0.0, 0.0),
        walking=0.4,
        children=0.15,
        terrain="rolling",
        person_px=36.0,
        depth_power=0.8,
        front=0.0,
    ),
    "stage": Preset(
        fov_deg=(38.0, 60.0),
        height_m=(4.0, 9.0),
        pitch_deg=(5.0, 13.0),
        grounds=("asphalt", "grass", "slabs"),
        activities=(0.6, 0.25, 0.15, 0.0, 0.0),
        walking=0.05,
        terrain="stage",
        person_px=45.0,
        depth_power=1.0,
        front=1.3,
        aloft=0.1,
        clearance_m=0.5,
        raised=0.15,
        phones=0.05,
    ),
    "split": Preset(
        fov_deg=(42.0, 65.0),
        height_m=(7.0, 12.0),
        pitch_deg=(8.0, 18.0),
        grounds=("slabs", "paving", "asphalt"),
        activities=(0.45, 0.3, 0.25, 0.0, 0.0),
        walking=0.5,
        terrain="beside",
        person_px=40.0,
        front=1.15,
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
