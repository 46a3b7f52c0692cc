"""`Preset`: a kind of place, as the ranges that everything else is drawn from."""

from __future__ import annotations

from dataclasses import dataclass

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
        turn_deg: of the camera to the right, from straight up the steps or straight at the stage.
        aloft: share of the groups that are on the stage or on steps, which are a small part of the ground.
        shoulders: share of people who are children on somebody's shoulders.
        on_feet: share of the groups in a tribune who have stood up.
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
    turn_deg: Range = (0.0, 0.0)
    aloft: float = 0.0
    on_feet: float = 0.0
    shoulders: float = 0.0
