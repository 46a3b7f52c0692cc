"""The largest crowd of a picture whose people agree on one camera and ground, where not all of them do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from crowd3d.config import Config
from crowd3d.ground.fit import Evidence, fit_camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import FEW_PEOPLE, Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.sizes import AGREES, agreement_of, is_outvoted

BoolArray = npt.NDArray[np.bool_]

_MOST_PLACES = 16  # at which a crowd of one size is tried
_ENOUGH_PEOPLE = 200  # of one part; more say the same and take longer
_ROUNDS = 3  # of fitting to those who agree


def largest_crowd(
    people: Detections, known: KnownCamera, config: Config, evidence: Evidence
) -> Fitted | None:
    """Camera and ground of the largest crowd that agrees on one; None if no crowd determines a camera.

    A camera is fitted to people who stand together, in many places and numbers. The one with which most people
    of the whole picture agree is fitted again to those.

    Raises:
        CameraError: the given camera contradicts the picture.
    """
    best: Fitted | None = None
    members = np.zeros(len(people), bool)
    for rows in neighbourhoods(people):
        fitted = fit_camera(people.filter(_some(rows)), known, config, evidence)
        agree = _members(people, fitted, config)
        if agree.sum() > members.sum():
            best, members = fitted, agree
    for _ in range(_ROUNDS if best is not None else 0):
        fitted = fit_camera(people.filter(members), known, config, evidence)
        agree = _members(people, fitted, config)
        if agree.sum() <= members.sum():
            break
        best, members = fitted, agree
    return best


def _members(people: Detections, fitted: Fitted | None, config: Config) -> BoolArray:
    """(N,) who belongs to the crowd of a camera and its ground."""
    if fitted is None:
        return np.zeros(len(people), bool)
    agree = agreement_of(people, fitted, config.stature_m) >= AGREES
    return agree & ~is_outvoted(people, agree)


def neighbourhoods(people: Detections) -> list[npt.NDArray[np.int64]]:
    """Rows of everybody, then of half as many who stand together, in several places, then a quarter, ..."""
    middle_px, n = people.middle_px, len(people)
    tree = cKDTree(middle_px)
    found = [np.arange(n)]
    size, places = n // 2, 2
    while size >= FEW_PEOPLE:
        for seed in np.linspace(0, n - 1, places).astype(np.int64):
            _, rows = tree.query(middle_px[seed], k=size)
            found.append(np.sort(rows))
        size, places = size // 2, min(2 * places, _MOST_PLACES)
    return found


def _some(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """At most `_ENOUGH_PEOPLE` of the rows, evenly chosen."""
    step = max(1, len(rows) // _ENOUGH_PEOPLE)
    return rows[::step]
