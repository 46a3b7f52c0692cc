"""Checks what the caller of a fit gives, and turns it into sticks, weights and a prior."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from optim import anthropometry as body
from optim import fisheye, panorama, projection
from optim import lens as lenses
from optim.errors import BadInput, NotEnoughPeople
from optim.geometry import normal_from_pitch_roll, pitch_roll_from_normal
from optim.ground.lean import with_lean_restored
from optim.ground.own_views import in_own_views
from optim.ground.residuals import View
from optim.ground.solver import Prior
from optim.ground.sticks import (
    Levels,
    Sticks,
    levels_from_keypoints,
    sticks_from_boxes,
    sticks_from_levels,
    usable_people,
)
from optim.pixels import PROJECTIONS
from optim.projection import FloatArray

# What is assumed of cameras before any person is seen; so broad that a few dozen overrule it.
PRIOR_FOV_DEG = 55.0
PRIOR_LOG_FOCAL_SD = 0.8  # one sigma is a horizontal field of view of 26 to 98 degrees
_PRIOR_PITCH_DEG, _PRIOR_PITCH_SD_DEG, _PRIOR_ROLL_SD_DEG = 12.0, 30.0, 12.0
_PRIOR_OFFSET_M, _PRIOR_LOG_OFFSET_SD = 6.0, 1.5

MOST_GIVEN_LEVELS = 20

_CROWDED = 4.0  # times the median number of neighbours, from which on people share their weight
_NEIGHBOUR_LENGTHS = 2.0
_FAR_OUTSIDE = 10.0  # picture sizes; keypoints farther away are not measurements
_MIN_LENGTH_PX = 2.0
_ANKLES_SHARE = 0.5  # what the ankles' mean height may be off by, over what stature may be off by
_LEAST_SCALE_SD = 1e-3  # of a mean stature that is given as exact
_FLATTEST = 0.17  # rays farther than 80 degrees from the axis have no place on a plane picture


@dataclass(frozen=True)
class Given:
    """The caller's knowledge, checked; None is unknown."""

    size_px: tuple[float, float]
    center_px: FloatArray
    center_is_given: bool
    focal_px: float | None
    normal: FloatArray | None
    offset_m: float | None
    distortion: tuple[float, ...]
    pixel_aspect: float
    distortion_unit_px: float | None
    stature_m: float
    stature_sd_m: float
    mean_stature_sd_m: float
    lean_shrinkage: tuple[float, float]
    focal_prior: tuple[float, float] | None
    repeats: float
    projection: str
    grade_sd: float

    @property
    def unknowns(self) -> int:
        return (self.offset_m is None) + (self.focal_px is None) + 2 * (self.normal is None)

    @property
    def has_ideal_lens(self) -> bool:
        return not any(self.distortion) and self.pixel_aspect == 1.0

    @property
    def focal_guess_px(self) -> float:
        if self.focal_px is not None:
            return self.focal_px
        if self.focal_prior is not None:
            return self.focal_prior[0]
        return 0.5 * self.size_px[0] / math.tan(math.radians(PRIOR_FOV_DEG) / 2)


def checked(
    image_size: npt.ArrayLike | None,
    center_px: npt.ArrayLike | None,
    focal_px: float | None,
    gravity: npt.ArrayLike | None,
    distortion: tuple[float, ...],
    statures_m: tuple[float, float, float],
    lean_shrinkage: tuple[float, float] = (0.0, 0.0),
    focal_prior: tuple[float, float] | None = None,
    repeats: float = 1.0,
    kind: str = "perspective",
    distortion_unit_px: float | None = None,
    grade_sd: float = body.GROUND_GRADE_SD,
    offset_m: float | None = None,
    pixel_aspect: float = 1.0,
) -> Given:
    """The caller's values in one piece; raises BadInput naming the first that cannot be."""
    size = _vector(image_size, 2, "image_size must be (width, height) in pixels")
    if np.any(size <= 0):
        raise BadInput(f"image_size must be positive, not {image_size!r}")
    center = size / 2
    if center_px is not None:
        center = _vector(center_px, 2, "center_px must be two finite numbers")
    if focal_px is not None and not (math.isfinite(focal_px) and focal_px > 0):
        raise BadInput(f"focal_px must be positive and finite, not {focal_px!r}")
    normal = None
    if gravity is not None:
        down = _vector(gravity, 3, "gravity must be a direction (3,)")
        length = float(np.linalg.norm(down))
        if length < 1e-9:
            raise BadInput("gravity must be a direction, not zero")
        normal = -down / length
    if offset_m is not None and not (math.isfinite(offset_m) and offset_m > 0):
        raise BadInput(f"offset_m must be a height above the ground, not {offset_m!r}")
    if kind not in PROJECTIONS:
        raise BadInput(f"projection must be one of {', '.join(PROJECTIONS)}, not {kind!r}")
    counts = fisheye.COUNTS.get(kind, lenses.COUNTS)
    if any(distortion) and len(distortion) not in counts:
        raise BadInput(f"{len(distortion)} coefficients of distortion are none of a {kind} picture")
    bend = _vector(distortion, len(distortion), "distortion must be finite coefficients")
    if not (math.isfinite(pixel_aspect) and pixel_aspect > 0):
        raise BadInput(f"pixel_aspect must be positive, not {pixel_aspect!r}")
    if distortion_unit_px is not None and not 0 < distortion_unit_px < math.inf:
        raise BadInput(f"distortion_unit_px must be positive, not {distortion_unit_px!r}")
    stature, spread, mean_spread = statures_m
    if not (0.3 < stature < 3.0 and 0 < spread < stature and 0 <= mean_spread < stature):
        raise BadInput(
            f"statures of {stature} +- {spread} m (mean +- {mean_spread} m) are not people's"
        )
    share, share_sd = _vector(lean_shrinkage, 2, "lean_shrinkage must be (share, sd)")
    if not (0 <= share < 0.5 and 0 <= share_sd < 0.5):
        raise BadInput(f"lean_shrinkage must be two shares below 0.5, not {lean_shrinkage!r}")
    if focal_prior is not None:
        guess, log_sd = _vector(focal_prior, 2, "focal_prior must be (pixels, sd of the logarithm)")
        if not (guess > 0 and log_sd > 0):
            raise BadInput(f"focal_prior must be positive, not {focal_prior!r}")
        focal_prior = (float(guess), float(log_sd))
    if not (math.isfinite(repeats) and repeats >= 1):
        raise BadInput(f"repeats must be at least 1, not {repeats!r}")
    if not 0 < grade_sd < 1:
        raise BadInput(f"grade_sd must be between 0 and 1, not {grade_sd!r}")
    if kind != "perspective" and focal_px is None:
        raise BadInput(
            f"a {kind} picture needs its pixels per radian as focal_px; `fit_panorama` finds them"
        )
    if kind in panorama.KINDS and (bend.any() or pixel_aspect != 1.0):
        raise BadInput(f"a {kind} picture has no lens: neither distortion nor pixel_aspect")
    return Given(
        size_px=(float(size[0]), float(size[1])),
        center_px=center,
        center_is_given=center_px is not None,
        focal_px=None if focal_px is None else float(focal_px),
        normal=normal,
        offset_m=None if offset_m is None else float(offset_m),
        distortion=tuple(float(k) for k in bend),
        pixel_aspect=float(pixel_aspect),
        distortion_unit_px=distortion_unit_px,
        stature_m=stature,
        stature_sd_m=spread,
        mean_stature_sd_m=mean_spread,
        lean_shrinkage=(float(share), float(share_sd)),
        focal_prior=focal_prior,
        repeats=float(repeats),
        projection=kind,
        grade_sd=float(grade_sd),
    )


def _vector(values: npt.ArrayLike | None, length: int, requirement: str) -> FloatArray:
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"{requirement}, not {values!r}") from None
    if vector.shape != (length,) or not np.isfinite(vector).all():
        raise BadInput(f"{requirement}, not {values!r}")
    return vector


def checked_levels(levels: npt.ArrayLike, total: int) -> npt.NDArray[np.int64]:
    """(N,) whole numbers from -1; raises BadInput."""
    level = np.asarray(levels)
    if level.shape != (total,) or not np.issubdtype(level.dtype, np.integer):
        raise BadInput(f"levels must be {total} whole numbers, one for each person")
    if total and (level.min() < -1 or level.max() >= MOST_GIVEN_LEVELS):
        raise BadInput(f"levels must be from 0 to {MOST_GIVEN_LEVELS - 1}, or -1 where not known")
    return level.astype(np.int64)


def measure_keypoints(keypoints: npt.ArrayLike, given: Given) -> tuple[int, Levels, Sticks]:
    """Number of people, and the usable ones in an order that the input's order does not change."""
    points = np.array(keypoints, dtype=np.float64)
    if points.size == 0:
        points = points.reshape(0, 17, 3)
    if points.ndim != 3 or points.shape[1:] != (17, 3):
        raise BadInput(f"keypoints must be (N, 17, 3), not {points.shape}")
    limit = _FAR_OUTSIDE * max(given.size_px)
    with np.errstate(invalid="ignore"):
        points[~(np.abs(points[..., :2]) < limit).all(axis=2)] = np.nan
    views = None
    if given.projection == "perspective":
        points[..., :2] = undistorted(points[..., :2], given)
    else:
        points, views = in_own_views(
            points,
            given.focal_guess_px,
            given.center_px,
            given.projection,
            given.distortion,
            given.pixel_aspect,
        )
    levels = replace(levels_from_keypoints(points), views=views)
    index = np.flatnonzero(usable_people(levels))
    index = index[_reading_order(points[index].reshape(len(index), 51))]
    levels = with_lean_restored(levels.take(index), given.lean_shrinkage[0])
    sticks = sticks_from_levels(levels, index)
    long_enough = sticks.length_px > _MIN_LENGTH_PX
    return len(points), levels.take(long_enough), sticks.take(long_enough)


def measure_boxes(boxes_px: npt.ArrayLike, given: Given) -> tuple[int, Sticks]:
    """The same for boxes of standing people."""
    if given.projection != "perspective":
        raise BadInput(f"boxes cannot be used in a {given.projection} picture; give keypoints")
    boxes = np.array(boxes_px, dtype=np.float64)
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise BadInput(f"boxes_px must be (N, 4) xyxy, not {boxes.shape}")
    limit = _FAR_OUTSIDE * max(given.size_px)
    with np.errstate(invalid="ignore"):
        good = (np.abs(boxes) < limit).all(axis=1)
        good &= (boxes[:, 2] >= boxes[:, 0]) & (boxes[:, 3] - boxes[:, 1] > _MIN_LENGTH_PX)
    index = np.flatnonzero(good)
    index = index[_reading_order(boxes[index])]
    corners = undistorted(boxes[index].reshape(-1, 2, 2), given)
    return len(boxes), sticks_from_boxes(corners.reshape(-1, 4), index)


def undistorted(points_px: FloatArray, given: Given) -> FloatArray:
    """(..., 2) pixels as a lens without distortion would show them; NaN where it would show nothing."""
    if given.has_ideal_lens:
        return points_px
    unit_px = given.distortion_unit_px or given.focal_guess_px
    ray = projection.rays(
        points_px,
        unit_px,
        given.center_px,
        given.distortion,
        pixel_aspect=given.pixel_aspect,
    )
    depth = np.where(ray[..., 2:] > _FLATTEST, ray[..., 2:], np.nan)
    return np.asarray(ray[..., :2] / depth * unit_px + given.center_px)


def _reading_order(rows: FloatArray) -> npt.NDArray[np.int64]:
    return np.lexsort(np.nan_to_num(rows).T[::-1]) if len(rows) else np.zeros(0, np.int64)


def require_people(sticks: Sticks, total: int, given: Given) -> None:
    """Raises NotEnoughPeople where people who differ give fewer facts than there are unknowns.

    A person gives two, direction and size; a box gives its size alone.
    """
    places = np.concatenate([sticks.bottom_px, sticks.top_px], axis=1)
    different = len(np.unique(places.round(3), axis=0)) if len(places) else 0
    facts = 2 if sticks.sees_angle else 1
    needed = math.ceil((given.unknowns + 1) / facts)
    if different < needed:
        known = "" if given.focal_px else ", or a focal length with two,"
        raise NotEnoughPeople(
            f"{different} of {total} people are seen well enough to fit camera and ground; at "
            f"least {needed}{known} are needed, standing apart, with shoulders and legs in view"
        )


def camera_prior(given: Given, sticks: Sticks) -> Prior:
    """Broad Gaussians, and who is free; pictures lying on their side keep their roll."""
    upward = np.median(sticks.top_px - sticks.bottom_px, axis=0)
    quarter = round(math.atan2(upward[0], -upward[1]) / (math.pi / 2)) * math.pi / 2
    normal = given.normal
    if normal is None:
        normal = normal_from_pitch_roll(math.radians(_PRIOR_PITCH_DEG), quarter)
    offset, log_offset_sd = (
        _PRIOR_OFFSET_M * given.stature_m / body.ADULT_STATURE_M,
        _PRIOR_LOG_OFFSET_SD,
    )
    if given.offset_m is not None:
        # The fit measures in statures of the crowd: how many the known height is depends on its mean.
        offset, log_offset_sd = given.offset_m, log_scale_sd(given, given.offset_m)
    spreads = [
        PRIOR_LOG_FOCAL_SD if given.focal_prior is None else given.focal_prior[1],
        math.radians(_PRIOR_PITCH_SD_DEG),
        math.radians(_PRIOR_ROLL_SD_DEG),
        log_offset_sd,
    ]
    pitch, roll = pitch_roll_from_normal(normal)
    tilt_is_free = given.normal is None
    free = np.array([given.focal_px is None, tilt_is_free, tilt_is_free, True])
    mean = View.of(given.focal_guess_px, pitch, roll, offset)
    return Prior(mean, np.where(free, np.array(spreads) ** -2.0, 0.0), free)


def log_scale_sd(given: Given, offset_m: float) -> float:
    """Standard deviation of the log of a camera's height that is measured by the people's mean stature."""
    sd_m = given.mean_stature_sd_m
    sd = math.hypot(sd_m / given.stature_m, _ANKLES_SHARE * sd_m / offset_m)
    return max(sd, _LEAST_SCALE_SD)


def density_weights(sticks: Sticks) -> FloatArray:
    """(N,) 1, shared among exact copies, and less where people stand much denser than usual.

    Density is counted in units of the people's own height, so that perspective does not matter.
    """
    if len(sticks) == 0:
        return np.ones(0)
    places = np.concatenate([sticks.bottom_px, sticks.top_px], axis=1)
    _, same, copies = np.unique(places.round(6), axis=0, return_inverse=True, return_counts=True)
    tree = cKDTree(sticks.bottom_px)
    reach = _NEIGHBOUR_LENGTHS * sticks.length_px
    neighbours = tree.query_ball_point(sticks.bottom_px, reach, return_length=True)
    crowd = np.minimum(1.0, _CROWDED * _typical(neighbours) / neighbours)
    return np.asarray(crowd / copies[same.ravel()])


def _typical(neighbours: npt.NDArray[np.int64]) -> float:
    """Median over places rather than over people: a crowd of hundreds counts as one place."""
    ordered = np.sort(neighbours)
    share = np.cumsum(1.0 / ordered)
    return float(ordered[np.searchsorted(share, 0.5 * share[-1])])


def spread_rows(sticks: Sticks, count: int) -> npt.NDArray[np.int64]:
    """At most `count` rows, evenly over the sorted people."""
    n = len(sticks)
    return np.unique(np.linspace(0, n - 1, min(count, n)).round().astype(np.int64))
