"""From a picture to the people in it: scout, plan, infer, merge, fit, until the camera stands still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crowd3d import selection
from crowd3d.camera import Camera
from crowd3d.config import Config
from crowd3d.detections import Detections
from crowd3d.detector import Detector
from crowd3d.fitting import Fitted, fit_camera
from crowd3d.ground import foot_below_px, on_levels, person_height_px
from crowd3d.looks import PeopleSeen
from crowd3d.scene import Plane
from crowd3d.second_look import FEW_PEOPLE, settle_sides
from crowd3d.structure import Structure, find_structure
from crowd3d.windows import Windows, windows
from tiling import ImageSource, Journal, Tile, plan_tiles, scout_tiles

_SETTLED = (
    0.10  # a further round is pointless once predicted heights change by less than this fraction
)
_SEAM_SHARE = 1 / 8  # of a whole turn: as wide as anybody far enough away to be seen whole


class Reporter(Protocol):
    """Whatever shows progress."""

    def start(self, stage: str, total: int) -> None: ...
    def advance(self, steps: int = 1) -> None: ...


@dataclass
class Seen:
    """What a run knows after its last round.

    Attributes:
        people: one row a person, in pixels.
        fitted: camera and ground; None where the picture does not determine them.
        n_tiles, n_detections: how much was looked at.
        rounds: how many rounds of plan, infer, fit there were.
        is_fixed: whether camera and ground were known before.
        structure: straight edges of the picture, where they were looked for.
        focal_prior: as it was given to `find_people`.
    """

    people: Detections
    fitted: Fitted | None
    n_tiles: int
    n_detections: int
    rounds: int
    is_fixed: bool = False
    structure: Structure | None = None
    focal_prior: tuple[float, float] | None = None


def find_people(
    source: ImageSource,
    detector: Detector,
    given: Camera | None,
    config: Config,
    report: Reporter,
    *,
    free_center: bool = True,
    fixed: Fitted | None = None,
    journal: Journal | None = None,
    projection: str = "perspective",
    focal_prior: tuple[float, float] | None = None,
) -> Seen:
    """Everybody in a picture, and the camera and ground they agree on.

    Args:
        given: what is known of the camera.
        free_center: whether its principal point is only assumed, so that people may correct it.
        fixed: camera and ground as they are known already; nothing is fitted then.
        journal: of finished tiles, so that a killed run need not look at them again.
        projection: of the picture, where `given` does not say it.
        focal_prior: pixels and standard deviation of the logarithm, say of EXIF.
    """
    turn_px = given.turn_px if given is not None else None
    scouts = scout_tiles(
        _planned_width(source, turn_px),
        source.height,
        tile_px=config.tile_px,
        max_tiles=config.scout_tiles,
        max_upscale=config.max_upscale,
    )

    def look(tiles: Sequence[Tile], stage: str, view: Windows) -> Detections:
        report.start(stage, len(tiles))
        return Detections.cat(list(detector.detect(source, tiles, report.advance, journal, view)))

    def look_closer(fitted: Fitted) -> tuple[Detections, int]:
        tiles = _plan(source, fitted.camera, fitted.planes, config)
        view = windows(fitted.camera, fitted.planes[0].normal)
        closer = look(tiles, "infer", view)
        closer.tile += len(scouts)
        # A later plan replaces an earlier one, so that nobody counts twice for being looked at twice.
        return Detections.cat([scouted, closer]), len(tiles)

    def settle(found: Detections, fitted: Fitted) -> Detections:
        camera, planes = fitted.camera, fitted.planes
        people = selection.placed_people(found, camera, planes, config)
        wanted = config.second_look and len(people) >= FEW_PEOPLE
        if not (wanted and isinstance(people, PeopleSeen)):
            return people
        view = windows(camera, planes[0].normal)
        return settle_sides(people, source, detector, camera, planes, view, config, report, journal)

    scouted = found = look(scouts, "scout", windows(given))
    n_tiles, rounds = len(scouts), 0
    if fixed is not None:
        found, n_planned = look_closer(fixed)
        return Seen(settle(found, fixed), fixed, n_tiles + n_planned, len(found), 1, is_fixed=True)
    scout_people = selection.scout_people(found, config, turn_px)
    structure = find_structure(
        source, scout_people.box_px, config, projection, lens_is_known=not free_center
    )
    fit = partial(
        fit_camera,
        source=source,
        given=given,
        config=config,
        projection=projection,
        structure=structure,
        focal_prior=focal_prior,
    )
    fitted = fit(scout_people)
    settled = False
    while fitted is not None and rounds < config.rounds and not settled:
        found, n_planned = look_closer(fitted)
        n_tiles += n_planned
        rounds += 1
        people = selection.placed_people(found, fitted.camera, fitted.planes, config)
        before, fitted = fitted, fit(people)
        settled = fitted is not None and _height_change(people, before, fitted) < _SETTLED
    if fitted is not None and free_center and projection == "perspective":
        fitted = fit(people, free_center=True) or fitted
    if fitted is None:
        people = selection.unplaced_people(found, config, turn_px)
    else:
        people = settle(found, fitted)
    return Seen(people, fitted, n_tiles, len(found), rounds, False, structure, focal_prior)


def _height_change(people: Detections, before: Fitted, after: Fitted) -> float:
    """Largest relative change of a predicted height where people are; it decides the size of tiles."""
    foot_px = np.stack([people.box_px[:, [0, 2]].mean(axis=1), people.box_px[:, 3]], axis=1)
    heights = [
        on_levels(f.planes, foot_px, partial(person_height_px, f.camera, foot_px=foot_px))
        for f in (before, after)
    ]
    change = np.abs(np.log(heights[0] / heights[1]))
    return float(np.nanmax(change, initial=0.0))


def _plan(
    source: ImageSource, camera: Camera, planes: Sequence[Plane], config: Config
) -> list[Tile]:
    """Tiles in which everybody whom the ground allows fills the right part."""

    def height_px(middle_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        def on(plane: Plane) -> npt.NDArray[np.float64]:
            foot_px = foot_below_px(camera, plane, middle_px, config.stature_m / 2)
            return person_height_px(camera, plane, foot_px, config.stature_m)

        return on_levels(planes, middle_px, on)

    return plan_tiles(
        _planned_width(source, camera.turn_px),
        source.height,
        height_px,
        tile_px=config.tile_px,
        fill=(config.person_fill_min, config.person_fill_max),
        max_tiles=config.max_tiles,
        max_upscale=config.max_upscale,
    )


def _planned_width(source: ImageSource, turn_px: float | None) -> int:
    """Columns to cover: of a whole turn some twice, so that people on the seam are whole in a tile."""
    return source.width if turn_px is None else source.width + math.ceil(_SEAM_SHARE * turn_px)
