"""Fits of camera and ground to crowds that were not drawn: how far they are off, how sure, and how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from shared.machine import taking_turns
from shared.results import Cell, Table
from shared.score import apart_deg
from shared.undrawn import Undrawn, undrawn
from shared.uneven import above_m

from crowd3d.synth import Truth
from optim import FitFailed, GroundCameraFit, NotEnoughPeople, fit_ground_camera
from optim.geometry import pitch_roll_from_normal

NOTHING = "none"
COLUMNS = {
    "place": "{}",
    "scenes": "{:.0f}",
    "ground found": "{}",
    "level": "{:.1f} %",
    "focal length": "{:.1f} %",
    "focal in 90 %": "{:.2f}",
    "said open": "{:.2f}",
    "gravity, degrees": "{:.2f}",
    "gravity in 90 %": "{:.2f}",
    "known focal: ground found": "{}",
    "known: gravity, degrees": "{:.2f}",
    "known: gravity in 90 %": "{:.2f}",
    "known: feet m": "{:.2f}",
}
TIMES = {
    "place": "{}",
    "people": "{:.0f}",
    "auto ms": "{:.0f}",
    "level ms": "{:.0f}",
    "ratio": "{:.2f}",
}

_IN_90 = -2 * np.log(0.1)  # chi-square of two numbers
_TIMED_PLACES, _TIMED_SEED, _REPEATS = ("plaza", "hillside"), 9000, 3
_TIMED_PEOPLE, _WANTED = (300, 2000), 400


@dataclass(frozen=True)
class Judged:
    """One fit against the truth; without a fit, errors are infinite and nothing is in its interval.

    Attributes:
        kind: of the ground that was found.
        focal: relative error; gravity_deg: error.
        feet_m: median error in the height of the ground seen at everybody's true foot points.
        focal_in_90, gravity_in_90: whether the truth is in the 90 % region; is_open: whether the focal length
            is said to be undetermined.
    """

    kind: str = NOTHING
    focal: float = np.inf
    gravity_deg: float = np.inf
    feet_m: float = np.inf
    focal_in_90: bool = False
    gravity_in_90: bool = False
    is_open: bool = True


def fitted(crowd: Undrawn, focal_px: float | None = None) -> Judged:
    """Camera and ground of any shape from the keypoints of a crowd, judged; the focal length may be known."""
    size_px = crowd.truth.image_size
    try:
        fit = fit_ground_camera(crowd.keypoints_px, size_px, focal_px=focal_px)
    except (FitFailed, NotEnoughPeople):
        return Judged()
    return judged(fit, crowd.truth)


def judged(fit: GroundCameraFit, truth: Truth) -> Judged:
    low, high = fit.report["focal_interval_90_px"]
    turned = np.subtract(pitch_roll_from_normal(-truth.gravity), fit.unknowns[1:3])
    above = above_m(truth, fit.ground_points(truth.hvip_px), np.arange(len(truth)))
    return Judged(
        kind=fit.report["ground"],
        focal=abs(fit.focal_px / float(truth.focal_px) - 1),
        gravity_deg=apart_deg(fit.gravity, truth.gravity),
        feet_m=float(np.median(np.nan_to_num(np.abs(above), nan=np.inf))),
        focal_in_90=bool(low <= truth.focal_px <= high),
        gravity_in_90=bool(turned @ np.linalg.solve(fit.covariance[1:3, 1:3], turned) <= _IN_90),
        is_open=not fit.report["focal_determined"],
    )


def fits_table(crowds: Iterable[Undrawn], all_of_them: str, title: str) -> Table:
    """A line for each kind of place, and one for all: fits with the focal length unknown and known.

    Args:
        all_of_them: what they are called in the last line.
    """
    lines: dict[str, list[tuple[Judged, Judged]]] = {}
    for crowd in crowds:
        both = fitted(crowd), fitted(crowd, float(crowd.truth.focal_px))
        lines.setdefault(crowd.place, []).append(both)
    lines[all_of_them] = [both for some in lines.values() for both in some]
    return Table(COLUMNS, [line(place, fits) for place, fits in lines.items()], title)


def line(place: str, fits: list[tuple[Judged, Judged]]) -> list[Cell]:
    """Medians of errors and shares of scenes, with the focal length unknown and known."""
    free, known = zip(*fits, strict=True)
    return [
        place,
        len(fits),
        _kinds(free),
        100 * _mean(fit.kind == "level" for fit in free),
        100 * _median(fit.focal for fit in free),
        _mean(fit.focal_in_90 for fit in free),
        _mean(fit.is_open for fit in free),
        _median(fit.gravity_deg for fit in free),
        _mean(fit.gravity_in_90 for fit in free),
        _kinds(known),
        _median(fit.gravity_deg for fit in known),
        _mean(fit.gravity_in_90 for fit in known),
        _median(fit.feet_m for fit in known),
    ]


def times_table() -> Table:
    """Processor time of fits, with the ground's shape unknown and known to be level, in turn."""
    rows: list[list[Cell]] = []
    for people in _TIMED_PEOPLE:
        for place in _TIMED_PLACES:
            crowd = undrawn(place, _TIMED_SEED, _WANTED, people)
            times = taking_turns(
                {ground: _fit(crowd, ground) for ground in ("auto", "level")}, _REPEATS
            )
            auto, level = (1e3 * times[ground].median_processor_s for ground in ("auto", "level"))
            rows.append([place, people, auto, level, auto / level])
    return Table(TIMES, rows, "Time of a fit.")


def _fit(crowd: Undrawn, ground: str) -> Callable[[], object]:
    return lambda: fit_ground_camera(crowd.keypoints_px, crowd.truth.image_size, ground=ground)


def _kinds(fits: Iterable[Judged]) -> str:
    """The shapes that were found, the most frequent first, with how often."""
    return ", ".join(f"{kind} {n}" for kind, n in Counter(fit.kind for fit in fits).most_common())


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
