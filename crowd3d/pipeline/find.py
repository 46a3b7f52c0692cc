"""Find people, camera and ground of a picture: look, merge and fit, until camera and people are settled."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from crowd3d.config import Config
from crowd3d.detect import selection
from crowd3d.detect.detector import Detector
from crowd3d.detect.sides import settle_sides
from crowd3d.ground.crowds import largest_crowd
from crowd3d.ground.edges import find_structure
from crowd3d.ground.fit import NOTHING_ELSE, Evidence, fit_again, fit_camera, given_ground
from crowd3d.picture.reading import Reading
from crowd3d.pipeline import nobody
from crowd3d.pipeline.looked import Looked
from crowd3d.pipeline.search import Search
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import FEW_PEOPLE, Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.standing import person_height_px
from optim.ground.report import MIN_EXPLAINED
from tiling import thumbnail

# Another round is not needed once predicted heights change by less than this fraction.
_SETTLED = 0.10
_JUDGED_PX = 1024  # longer side of the copy of a picture in which nobody was found


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
        others: people who are clearly seen, but do not agree with camera and ground.
        looked: what of the picture was looked at; None if nobody was searched.
        warnings: what is doubtful about the people, or why nobody was found, in words.
        as_found: the people before somebody looked closer, to whom cameras are fitted; rows as in `people`.
        is_unrolled: whether people were found in a panorama into which the picture was unrolled.
    """

    people: Detections
    fitted: Fitted | None
    n_tiles: int
    n_detections: int
    rounds: int
    is_fixed: bool = False
    evidence: Evidence = NOTHING_ELSE
    others: Detections = field(default_factory=Detections.empty)
    looked: Looked | None = None
    warnings: tuple[str, ...] = ()
    as_found: Detections = field(default_factory=Detections.empty)
    is_unrolled: bool = False

    @property
    def was_fitted(self) -> bool:
        """Whether the people of this picture determined its camera, which was not known before."""
        return self.fitted is not None and not self.is_fixed


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
        fixed: camera and ground, if both are known already; nothing is fitted then, nor where `known` tells
            everything.

    Raises:
        CameraError: the given camera contradicts the picture.
        tiling.ImageError, tiling.JournalError.
    """
    fixed = fixed or given_ground(known, config)
    search = Search.begin(reading, detector, known, config)
    if fixed is not None:
        found = search.around(fixed, search.closer(fixed))
        return _seen(search, found, fixed, 1, is_fixed=True)
    fitted, evidence = _first_camera(search)
    found, fitted, rounds = _closer(search, fitted, evidence)
    if fitted is not None:
        found = search.around(fitted, found)
        people, others = selection.everybody(found, fitted, config)
        if len(others) > len(people):
            # Another crowd is larger. It was looked at already, while the search went on around the first.
            everyone = Detections.cat([_found_whole(people), others])
            fitted = largest_crowd(everyone, known, config, evidence) or fitted
            people, _ = selection.everybody(found, fitted, config)
        fitted = fit_again(fitted, _found_whole(people), known, config, evidence)
    return _seen(search, found, fitted, rounds, evidence=evidence)


def _seen(
    search: Search,
    found: Detections,
    fitted: Fitted | None,
    rounds: int,
    *,
    is_fixed: bool = False,
    evidence: Evidence = NOTHING_ELSE,
) -> Seen:
    """Select the people for the last time, because whom the ground admits depends on the camera; look again."""
    others = Detections.empty()
    if fitted is None:
        people = selection.unplaced_people(found, search.config, search.known.turn_px)
    else:
        people, others = selection.everybody(found, fitted, search.config)
    as_found = people
    if search.config.second_look:
        engine = search.detector.engine
        engine.rest()  # another network comes
        people = settle_sides(people, search.reading, search.known, fitted, search.config, engine)
    why: tuple[str, ...] = ()
    if not len(people) and not len(others):
        picture = thumbnail(search.reading.source, _JUDGED_PX)
        config = search.config
        why = nobody.reasons(found, picture, config.min_person_px, config.min_probability)
    return Seen(
        people,
        fitted,
        search.n_tiles,
        len(found),
        rounds,
        is_fixed,
        evidence,
        others,
        search.looked(Detections.cat([people, others])),
        why,
        as_found,
    )


def _first_camera(search: Search) -> tuple[Fitted | None, Evidence]:
    """Search until the people found determine a camera that explains them, or all was looked at."""
    people, fitted, evidence = _fit(search)
    for _ in () if _is_sure(people, fitted) else search.onward():
        people, fitted, evidence = _fit(search)
        if _is_sure(people, fitted):
            break
    if fitted is not None and not _explains(fitted):
        fitted = largest_crowd(people, search.known, search.config, evidence)
    return fitted, evidence


def _fit(search: Search) -> tuple[Detections, Fitted | None, Evidence]:
    """The people found so far, the camera that they determine, and what else it was fitted to."""
    known, config = search.known, search.config
    people = selection.scout_people(search.found, config, known.turn_px)
    evidence = Evidence(find_structure(search.reading.source, people.box_px, known, config))
    return people, fit_camera(people, known, config, evidence), evidence


def _is_sure(people: Detections, fitted: Fitted | None) -> bool:
    """Whether a camera explains the people to whom it was fitted, and these are enough."""
    return fitted is not None and len(people) >= FEW_PEOPLE and _explains(fitted)


def _explains(fitted: Fitted) -> bool:
    return float(str(fitted.report["share_explained"])) >= MIN_EXPLAINED


def _closer(
    search: Search, fitted: Fitted | None, evidence: Evidence
) -> tuple[Detections, Fitted | None, int]:
    """Plan, look and fit until the camera is stable: all detections, the fit, and the number of rounds."""
    known, config = search.known, search.config
    found, rounds, is_settled = search.found, 0, False
    while fitted is not None and rounds < config.rounds and not is_settled:
        found, before = search.closer(fitted), fitted
        rounds += 1
        people = _found_whole(selection.everybody(found, before, config)[0])
        fitted = fit_camera(people, known, config, evidence)
        is_settled = fitted is not None and _height_change(people, before, fitted) < _SETTLED
    return found, fitted, rounds


def _found_whole(people: Detections) -> Detections:
    """Those to whom a camera is fitted. A head, or a box, says where somebody stands if the camera is known."""
    return people.filter(people.found_whole)


def _height_change(people: Detections, before: Fitted, after: Fitted) -> float:
    """Largest change of log predicted heights where people are; these heights decide the size of tiles."""
    foot_px = np.stack([people.box_px[:, [0, 2]].mean(axis=1), people.box_px[:, 3]], axis=1)
    heights = [
        person_height_px(f.camera, f.ground.under(f.camera, foot_px), foot_px)
        for f in (before, after)
    ]
    change = np.abs(np.log(heights[0] / heights[1]))
    return float(np.nanmax(change, initial=0.0))
