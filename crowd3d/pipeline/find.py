"""Find people, camera and ground of a picture: plan tiles, infer, merge and fit, until the camera is stable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from crowd3d.config import Config
from crowd3d.detect import selection
from crowd3d.detect.detector import Detector
from crowd3d.detect.sides import settle_sides
from crowd3d.ground.edges import find_structure
from crowd3d.ground.fit import NOTHING_ELSE, Evidence, fit_again, fit_camera
from crowd3d.picture.reading import Reading
from crowd3d.picture.windows import Windows, windows
from crowd3d.scene.detections import Detections, PeopleSeen
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.standing import on_levels, person_height_px, standing_height_px
from tiling import Tile, plan_tiles, scout_tiles

# Another round is not needed once predicted heights change by less than this fraction.
_SETTLED = 0.10
# Share of a whole turn that is covered twice. It is as wide as anybody who is far enough away to be seen
# completely.
_SEAM_SHARE = 1 / 8


@dataclass(frozen=True)
class Seen:
    """People, camera and ground found in a picture.

    Attributes:
        people: one row per person, in pixels.
        fitted: camera and ground; None if the people do not determine them.
        n_tiles, n_detections: number of tiles that were read, and of detections in the last round.
        rounds: number of rounds of plan, infer and fit.
        is_fixed: whether camera and ground were known before, so that nothing was fitted.
        evidence: what else the camera was fitted to.
    """

    people: Detections
    fitted: Fitted | None
    n_tiles: int
    n_detections: int
    rounds: int
    is_fixed: bool = False
    evidence: Evidence = NOTHING_ELSE

    @property
    def was_fitted(self) -> bool:
        """Whether the people of this picture determined its camera, which was not known before."""
        return self.fitted is not None and not self.is_fixed


@dataclass
class _Search:
    """The search for people in one picture, with the result of its first pass.

    Attributes:
        scouts: tiles of the first pass, of several sizes, because the camera is not known yet.
        scouted: all detections in them.
        n_tiles: number of tiles read so far.
    """

    reading: Reading
    detector: Detector
    known: KnownCamera
    config: Config
    scouts: list[Tile]
    scouted: Detections
    n_tiles: int = 0

    @classmethod
    def begin(
        cls, reading: Reading, detector: Detector, known: KnownCamera, config: Config
    ) -> _Search:
        """Start a search with the first pass, over the scout tiles."""
        width, height = reading.size_px
        scouts = scout_tiles(
            _planned_width(width, known.turn_px),
            height,
            tile_px=config.tile_px,
            max_tiles=config.scout_tiles,
            max_upscale=config.max_upscale,
        )
        search = cls(reading, detector, known, config, scouts, Detections.empty())
        search.scouted = search._at(scouts, windows(known.camera), "scout")
        return search

    def _at(self, tiles: Sequence[Tile], view: Windows, stage: str) -> Detections:
        """All detections in the given tiles."""
        self.n_tiles += len(tiles)
        return self.detector.detect(self.reading, tiles, view, stage)

    def closer(self, fitted: Fitted) -> Detections:
        """All detections in the scout tiles and in tiles planned for the given camera and ground.

        Detections of earlier plans are not kept. Otherwise the evidence for a person would grow with each
        round.
        """
        tiles = _plan(self.reading.size_px, fitted, self.config)
        closer = self._at(tiles, windows(fitted.camera, fitted.normal), "infer")
        closer.tile += len(self.scouts)
        return Detections.cat([self.scouted, closer])

    def settled(self, people: Detections, fitted: Fitted | None) -> Detections:
        """The people after the second look (see `crowd3d.detect.sides`), if the configuration asks for it."""
        if not (self.config.second_look and isinstance(people, PeopleSeen)):
            return people
        device = self.detector.device
        return settle_sides(people, self.reading, self.known, fitted, self.config, device)


def find_people(
    reading: Reading,
    detector: Detector,
    known: KnownCamera,
    config: Config,
    fixed: Fitted | None = None,
) -> Seen:
    """Find everybody in a picture, and camera and ground.

    Args:
        known: what is known about the camera.
        fixed: camera and ground, if both are known already; nothing is fitted then.

    Raises:
        CameraError: the given camera contradicts the picture.
        tiling.ImageError, tiling.JournalError, tiling.PlanError.
    """
    search = _Search.begin(reading, detector, known, config)
    if fixed is not None:
        found = search.closer(fixed)
        people = search.settled(selection.placed_people(found, fixed, config), fixed)
        return Seen(people, fixed, search.n_tiles, len(found), 1, is_fixed=True)
    people = selection.scout_people(search.scouted, config, known.turn_px)
    evidence = Evidence(find_structure(reading.source, people.box_px, known, config))
    found, rounds, is_settled = search.scouted, 0, False
    fitted = fit_camera(people, known, config, evidence)
    while fitted is not None and rounds < config.rounds and not is_settled:
        found, before = search.closer(fitted), fitted
        rounds += 1
        people = selection.placed_people(found, before, config)
        fitted = fit_camera(people, known, config, evidence)
        is_settled = fitted is not None and _height_change(people, before, fitted) < _SETTLED
    if fitted is None:
        people = selection.unplaced_people(found, config, known.turn_px)
    else:
        fitted = fit_again(fitted, people, known, config, evidence)
        # Selected again, because the selection depends on the camera, and this is the best one.
        people = selection.placed_people(found, fitted, config)
    people = search.settled(people, fitted)
    return Seen(people, fitted, search.n_tiles, len(found), rounds, evidence=evidence)


def _height_change(people: Detections, before: Fitted, after: Fitted) -> float:
    """Largest change of log predicted heights where people are; these heights decide the size of tiles."""
    foot_px = np.stack([people.box_px[:, [0, 2]].mean(axis=1), people.box_px[:, 3]], axis=1)
    heights = [
        on_levels(f.planes, foot_px, partial(person_height_px, f.camera, foot_px=foot_px))
        for f in (before, after)
    ]
    change = np.abs(np.log(heights[0] / heights[1]))
    return float(np.nanmax(change, initial=0.0))


def _plan(size_px: tuple[int, int], fitted: Fitted, config: Config) -> list[Tile]:
    """Plan tiles in which people who stand on the ground fill the right part of the tile."""
    camera, planes = fitted.camera, fitted.planes
    return plan_tiles(
        _planned_width(size_px[0], camera.turn_px),
        size_px[1],
        lambda middle_px: standing_height_px(camera, planes, middle_px, config.stature_m),
        tile_px=config.tile_px,
        fill=(config.person_fill_min, config.person_fill_max),
        max_tiles=config.max_tiles,
        max_upscale=config.max_upscale,
    )


def _planned_width(width: int, turn_px: float | None) -> int:
    """Columns to cover with tiles; in a whole turn some twice, so that people on the seam are whole in one."""
    return width if turn_px is None else width + math.ceil(_SEAM_SHARE * turn_px)
