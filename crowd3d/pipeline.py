"""From a picture to the people in it: scout, plan, infer, merge, fit, until the camera stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crowd3d import selection
from crowd3d.camera import Camera
from crowd3d.config import Config
from crowd3d.detections import Detections
from crowd3d.detector import Detector
from crowd3d.fitting import Fitted, fit_camera
from crowd3d.ground import foot_below_px, person_height_px
from crowd3d.scene import Plane
from tiling import ImageSource, Journal, Tile, plan_tiles, scout_tiles

_SETTLED = (
    0.10  # a further round is pointless once predicted heights change by less than this fraction
)


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
    """

    people: Detections
    fitted: Fitted | None
    n_tiles: int
    n_detections: int
    rounds: int


def find_people(
    source: ImageSource,
    detector: Detector,
    given: Camera | None,
    config: Config,
    report: Reporter,
    *,
    free_center: bool = True,
    journal: Journal | None = None,
) -> Seen:
    """Everybody in a picture, and the camera and ground they agree on.

    Args:
        given: what is known of the camera.
        journal: of finished tiles, so that a killed run need not look at them again.
        free_center: whether its principal point is only assumed, so that people may correct it.
    """
    scouts = scout_tiles(
        source.width,
        source.height,
        tile_px=config.tile_px,
        max_tiles=config.scout_tiles,
        max_upscale=config.max_upscale,
    )

    def look(tiles: Sequence[Tile], stage: str) -> Detections:
        report.start(stage, len(tiles))
        return Detections.cat(list(detector.detect(source, tiles, report.advance, journal)))

    scouted = found = look(scouts, "scout")
    n_tiles, rounds = len(scouts), 0
    fitted = fit_camera(selection.scout_people(found, config), source, given, config)
    settled = False
    while fitted is not None and rounds < config.rounds and not settled:
        tiles = _plan(source, fitted.camera, fitted.planes[0], config)
        # A later plan replaces an earlier one, so that nobody counts twice for being looked at twice.
        found = Detections.cat([scouted, look(tiles, "infer")])
        n_tiles += len(tiles)
        rounds += 1
        people = selection.placed_people(found, fitted.camera, fitted.planes[0], config)
        before, fitted = fitted, fit_camera(people, source, given, config)
        settled = fitted is not None and _height_change(people, before, fitted) < _SETTLED
    if fitted is not None and free_center:
        fitted = fit_camera(people, source, given, config, free_center=True) or fitted
    if fitted is None:
        people = selection.unplaced_people(found, config)
    else:
        people = selection.placed_people(found, fitted.camera, fitted.planes[0], config)
    return Seen(people, fitted, n_tiles, len(found), rounds)


def _height_change(people: Detections, before: Fitted, after: Fitted) -> float:
    """Largest relative change of a predicted height where people are; it decides the size of tiles."""
    foot_px = np.stack([people.box_px[:, [0, 2]].mean(axis=1), people.box_px[:, 3]], axis=1)
    heights = [person_height_px(f.camera, f.planes[0], foot_px) for f in (before, after)]
    change = np.abs(np.log(heights[0] / heights[1]))
    return float(np.nanmax(change, initial=0.0))


def _plan(source: ImageSource, camera: Camera, plane: Plane, config: Config) -> list[Tile]:
    """Tiles in which everybody whom the ground allows fills the right part."""

    def height_px(middle_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        foot_px = foot_below_px(camera, plane, middle_px, config.stature_m / 2)
        return person_height_px(camera, plane, foot_px, config.stature_m)

    return plan_tiles(
        source.width,
        source.height,
        height_px,
        tile_px=config.tile_px,
        fill=(config.person_fill_min, config.person_fill_max),
        max_tiles=config.max_tiles,
        max_upscale=config.max_upscale,
    )
