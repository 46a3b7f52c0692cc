"""From a picture to the people in it: scout, plan, infer, merge, fit, until the camera stands still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from crowd3d.config import Config
from crowd3d.detect import selection
from crowd3d.detect.detector import Detector
from crowd3d.detect.sides import settle_sides
from crowd3d.ground.edges import Structure, find_structure
from crowd3d.ground.fit import fit_camera
from crowd3d.picture.windows import Windows, windows
from crowd3d.progress import Reporter
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections, PeopleSeen
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.plane import Plane
from crowd3d.scene.standing import foot_below_px, on_levels, person_height_px
from tiling import ImageSource, Journal, Tile, plan_tiles, scout_tiles

_SETTLED = (
    0.10  # a further round is pointless once predicted heights change by less than this fraction
)
_SEAM_SHARE = 1 / 8  # of a whole turn: as wide as anybody far enough away to be seen whole


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


@dataclass
class _Look:
    """Looks at one picture in tiles, and remembers what was seen.

    Attributes:
        scouts: tiles that show people of every size, whatever the camera.
        scouted: everybody found in them; n_tiles: of all looks together.
    """

    source: ImageSource
    detector: Detector
    config: Config
    report: Reporter
    journal: Journal | None
    scouts: list[Tile]
    scouted: Detections
    n_tiles: int = 0

    @classmethod
    def scout(
        cls,
        source: ImageSource,
        detector: Detector,
        given: Camera | None,
        config: Config,
        report: Reporter,
        journal: Journal | None,
    ) -> _Look:
        """The first look, with scout tiles."""
        scouts = scout_tiles(
            _planned_width(source, given.turn_px if given is not None else None),
            source.height,
            tile_px=config.tile_px,
            max_tiles=config.scout_tiles,
            max_upscale=config.max_upscale,
        )
        look = cls(source, detector, config, report, journal, scouts, Detections.empty())
        look.scouted = look.at(scouts, "scout", windows(given))
        return look

    def at(self, tiles: Sequence[Tile], stage: str, view: Windows) -> Detections:
        """Everybody in some tiles."""
        self.report.start(stage, len(tiles))
        self.n_tiles += len(tiles)
        found = self.detector.detect(self.source, tiles, self.report.advance, self.journal, view)
        return Detections.cat(list(found))

    def closer(self, fitted: Fitted) -> Detections:
        """Everybody in the scouts and in tiles that fit the people whom a camera lets expect.

        A later plan replaces an earlier one, so that nobody counts twice for being looked at twice.
        """
        tiles = _plan(self.source, fitted.camera, fitted.planes, self.config)
        closer = self.at(tiles, "infer", windows(fitted.camera, fitted.planes[0].normal))
        closer.tile += len(self.scouts)
        return Detections.cat([self.scouted, closer])

    def settled(
        self, people: Detections, fitted: Fitted | None, given: Camera | None
    ) -> Detections:
        """People with left and right as a second look has them."""
        if not (self.config.second_look and isinstance(people, PeopleSeen)):
            return people
        if fitted is None:
            camera, planes, view = None, list[Plane](), windows(given)
        else:
            camera, planes = fitted.camera, fitted.planes
            view = windows(camera, planes[0].normal)
        return settle_sides(
            people,
            self.source,
            self.detector.device,
            camera,
            planes,
            view,
            self.config,
            self.report,
            self.journal,
        )


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
    look = _Look.scout(source, detector, given, config, report, journal)
    if fixed is not None:
        found = look.closer(fixed)
        people = selection.placed_people(found, fixed.camera, fixed.planes, config)
        return Seen(
            look.settled(people, fixed, given), fixed, look.n_tiles, len(found), 1, is_fixed=True
        )
    turn_px = given.turn_px if given is not None else None
    people = selection.scout_people(look.scouted, config, turn_px)
    structure = find_structure(
        source, people.box_px, config, projection, lens_is_known=not free_center
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
    found, fitted, rounds, is_settled = look.scouted, fit(people), 0, False
    while fitted is not None and rounds < config.rounds and not is_settled:
        found, before = look.closer(fitted), fitted
        rounds += 1
        people = selection.placed_people(found, before.camera, before.planes, config)
        fitted = fit(people)
        is_settled = fitted is not None and _height_change(people, before, fitted) < _SETTLED
    if fitted is not None and free_center and projection == "perspective":
        fitted = fit(people, free_center=True) or fitted
    if fitted is None:
        people = selection.unplaced_people(found, config, turn_px)
    else:
        people = selection.placed_people(found, fitted.camera, fitted.planes, config)
    return Seen(
        look.settled(people, fitted, given),
        fitted,
        look.n_tiles,
        len(found),
        rounds,
        False,
        structure,
        focal_prior,
    )


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
