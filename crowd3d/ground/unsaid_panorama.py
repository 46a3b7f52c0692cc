"""Is a picture a panorama that does not say so? What its edges and people tell, in words for the user."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import optim
from crowd3d.config import Config
from crowd3d.ground.edges import long_edges
from crowd3d.scene.detections import Detections
from crowd3d.scene.known import KnownCamera
from optim.panorama import CYLINDRICAL
from tiling import Picture

_WIDE = 2.0  # widths over heights that few cameras have, and many panoramas
_CLEAR = 8.0  # logarithm of odds, from which there is no doubt
_EDGES_AGREE = 3.0  # the same of the edges alone, where the picture is not even wide
_MOST_PEOPLE = 120  # that are asked
_LEAST_COS = 0.2  # of the angle between gravity and the columns; phones' panoramas are upright
_ASK = "if this is a panorama, give --projection cylindrical or equirectangular"


def panorama_doubt(
    source: Picture, people: Detections, known: KnownCamera, config: Config
) -> str | None:
    """What to say if a picture that is taken for a perspective one may be a panorama; None if it is none.

    A wide picture is doubted unless edges and people clearly speak against a panorama, any other only if they
    clearly speak for one.

    Args:
        people: those found in the picture.
        known: what was known about its camera; where the projection was told there is no doubt.
    """
    if not known.projection_is_assumed:
        return None
    width, height = known.size_px
    is_wide = width > _WIDE * height
    found = long_edges(source, people.box_px) if config.straight_edges else []
    if not found and not is_wide:
        return None
    told = _told_by_people(people, known, config)
    edges = optim.straightness(found, known.size_px, horizon_px=told.horizon_px)
    log_odds = edges.log_odds + told.log_odds
    if log_odds > _CLEAR and (is_wide or edges.log_odds > _EDGES_AGREE):
        seen = edges.fov_deg if edges.log_odds > told.log_odds else told.fov_deg
        return (
            f"straight edges and people are seen as in a panorama of about {seen:.0f} degrees, not as through "
            f"a lens; {_ASK}"
        )
    if is_wide and log_odds > -_CLEAR:
        return f"the picture is wider than 2:1 and does not say how it was projected; {_ASK}"
    return None


class _Told(NamedTuple):
    """Logarithm of the odds for the best cylinder against the best perspective camera; what that shows."""

    log_odds: float = 0.0
    fov_deg: float = 0.0
    horizon_px: float | None = None


def _told_by_people(people: Detections, known: KnownCamera, config: Config) -> _Told:
    """What the people tell who were found whole."""
    whole = people.keypoints_px[people.found_whole]
    rows = np.unique(np.linspace(0, len(whole) - 1, min(_MOST_PEOPLE, len(whole))).astype(np.int64))
    size, stature_m = known.size_px, config.stature_m
    if len(rows) < config.min_people:
        return _Told()
    try:
        shared: dict[str, Any] = {"stature_m": stature_m, "ground": "level"}
        flat = optim.fit_ground_camera(whole[rows], size, **shared)
        bent = optim.fit_panorama(whole[rows], size, projection=CYLINDRICAL, **shared)
    except optim.OptimError:
        return _Told()
    up = bent.normal
    horizon_px = size[1] / 2 - bent.focal_px * up[2] / min(up[1], -_LEAST_COS)
    return _Told(
        flat.total_cost - bent.total_cost,
        float(np.degrees(size[0] / bent.focal_px)),
        float(horizon_px),
    )
