"""People reduced to sticks: where both ends of each body's axis are in the picture.

A vertical stick seen in perspective maps heights to pixels by p(h) = (1 - g) p_0 + g p_1 with
g(h) = h (1 + q) / (1 + q h), h = 0 at the bottom and 1 at the top, and q the growth of depth from
bottom to top over the depth of the bottom. For known q the two ends are linear in the observed
levels. People who sit are reduced to their torsos, which stand upright as well, on their seats.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from optim import anthropometry as body
from optim.projection import FloatArray

BoolArray = npt.NDArray[np.bool_]

MIN_SCORE = 0.2  # keypoints below are guesses
_MIN_SPAN = 0.2  # of stature, between the outermost levels seen
_BOX_NOISE = 0.03  # of the height, at either end of a box
_SPAN = body.SHOULDER_FRACTION - body.ANKLE_FRACTION
_HIPS, _SHOULDERS = (body.HIP_FRACTION - body.ANKLE_FRACTION) / _SPAN, 1.0  # on the way up a stick
_TORSO, _LEGS = [1, 2], list(body.SEATED_BELOW_HIPS)  # rows of `body.LEVELS`
_LEAST_NOISE, _LEAST_FOR_NOISE = 0.1, 8  # share of the assumed variance; people who tell it
_SHARE_COUNT, _SHARE_STEPS = 20.0, 10  # people that the assumed share of seated ones is worth
# Pairs of joints a level line apart, left and right, and the rows of `body.LEVELS` that are their middles.
_SPANS = np.array([[5, 6], [11, 12], [15, 16]])
SPAN_LEVELS = np.array([1, 2, 4])


@dataclass(frozen=True)
class OwnViews:
    """The perspective view that every person of a panorama is measured in.

    Attributes:
        center_px: (N, 2) principal points, in columns and rows near those of the panorama.
        R_own_cam: (N, 3, 3) turns the camera frame into that of each view.
    """

    center_px: FloatArray
    R_own_cam: FloatArray

    def take(self, rows: npt.NDArray[np.int64] | BoolArray) -> OwnViews:
        return OwnViews(self.center_px[rows], self.R_own_cam[rows])


@dataclass(frozen=True)
class Sticks:
    """One row a usable person; lengths in pixels.

    Attributes:
        index: (N,) row of the person in the input.
        bottom_px, top_px: (N, 2) the ends.
        var_bottom, var_top, cov: (N,) variances and covariance of the ends' noise, the same in u
            and v.
        length_px: (N,) distance of the ends.
        misfit: (N,) chi-square of the levels about a straight stick over its degrees of freedom; 0 where
            there are none.
        bottom_height, top_height: (N,) of the ends above the ground, fractions of stature.
        is_seated: (N,) whose sticks are their torsos, since hips are hardly higher than knees.
        sees_angle: False for boxes, whose sides are upright by construction.
        views: of a panorama; None where all people are in one perspective picture.
    """

    index: npt.NDArray[np.int64]
    bottom_px: FloatArray
    top_px: FloatArray
    var_bottom: FloatArray
    var_top: FloatArray
    cov: FloatArray
    length_px: FloatArray
    misfit: FloatArray
    bottom_height: FloatArray
    top_height: FloatArray
    is_seated: BoolArray
    sees_angle: bool = True
    views: OwnViews | None = None

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: npt.NDArray[np.int64] | BoolArray) -> Sticks:
        """The sticks that a mask or an index array selects."""
        names = (
            "index",
            "bottom_px",
            "top_px",
            "var_bottom",
            "var_top",
            "cov",
            "length_px",
            "misfit",
            "bottom_height",
            "top_height",
            "is_seated",
        )
        views = self.views.take(rows) if self.views is not None else None
        return replace(self, views=views, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True)
class Levels:
    """Mid-points of joints of equal height. (N, K) each; sd is infinite where nothing was seen."""

    points_px: FloatArray  # (N, K, 2)
    sd_px: FloatArray
    height: FloatArray  # fraction of the way from the stick's bottom to its top
    spans_px: FloatArray  # (N, 3, 2) from right to left shoulder, hip, ankle; NaN where not both were seen
    views: OwnViews | None = None

    def take(self, rows: npt.NDArray[np.int64] | BoolArray) -> Levels:
        views = self.views.take(rows) if self.views is not None else None
        return Levels(
            self.points_px[rows], self.sd_px[rows], self.height[rows], self.spans_px[rows], views
        )


def levels_from_keypoints(keypoints: FloatArray) -> Levels:
    """Levels of (N, 17, 3) COCO keypoints."""
    finite = np.asarray(np.isfinite(keypoints).all(axis=2))
    score = np.where(finite & (keypoints[..., 2] >= MIN_SCORE), keypoints[..., 2], 0.0)
    score = np.minimum(score, 1.0)
    points = np.where(finite[..., None], keypoints[..., :2], 0.0)
    middle, height, seen, sigma = [], [], [], []
    for joints in body.LEVELS:
        weight = score[:, joints]
        total = weight.sum(axis=1)
        safe = np.where(total > 0, total, 1.0)
        middle.append((weight[..., None] * points[:, joints]).sum(axis=1) / safe[:, None])
        height.append((weight * body.HEIGHT_FRACTION[list(joints)]).sum(axis=1) / safe)
        seen.append((weight > 0).sum(axis=1))
        # A score says how probable it is that the joint is where it is said to be.
        sigma.append(body.COCO_SIGMA[list(joints)].mean() / np.sqrt(safe))
    levels_px, heights = np.stack(middle, axis=1), np.stack(height, axis=1)
    count = np.stack(seen, axis=1)
    stature_px = _stature_px(levels_px, heights, count > 0)
    detector = np.stack(sigma, axis=1) * body.AREA_ROOT_OF_STATURE
    aside = np.where(count == 1, body.LEVEL_HALF_WIDTH, 0.0)
    relative = detector**2 + body.LEVEL_POSE_SD**2 + aside**2
    sd = np.sqrt(stature_px[:, None] ** 2 * relative + body.PIXEL_NOISE_PX**2)
    sd = np.where(count > 0, sd, np.inf)
    both = np.asarray((score[:, _SPANS] > 0).all(axis=2))
    spans = points[:, _SPANS[:, 0]] - points[:, _SPANS[:, 1]]
    spans = np.where(both[..., None], spans, np.nan)
    return Levels(levels_px, sd, (heights - body.ANKLE_FRACTION) / _SPAN, spans)


def _stature_px(levels_px: FloatArray, heights: FloatArray, seen: BoolArray) -> FloatArray:
    """(N,) pixels that a whole stature would cover; NaN where fewer than two levels were seen."""
    rows = np.arange(len(seen))
    top = np.argmax(np.where(seen, heights, -np.inf), axis=1)
    low = np.argmin(np.where(seen, heights, np.inf), axis=1)
    span = heights[rows, top] - heights[rows, low]
    length = np.linalg.norm(levels_px[rows, top] - levels_px[rows, low], axis=1)
    usable = (seen.sum(axis=1) >= 2) & (span >= _MIN_SPAN) & (length > 0)
    return np.where(usable, length / np.where(usable, span, 1.0), np.nan)


def usable_people(levels: Levels) -> BoolArray:
    """(N,) at least two levels, far enough apart."""
    return np.asarray(np.isfinite(np.where(np.isinf(levels.sd_px), 0.0, levels.sd_px)).all(axis=1)
                      & (np.isfinite(levels.sd_px).sum(axis=1) >= 2))  # fmt: skip


def sticks_from_levels(
    levels: Levels, index: npt.NDArray[np.int64], depth_growth: FloatArray | None = None
) -> Sticks:
    """Generalised least squares for both ends of every stick.

    Args:
        depth_growth: (N,) q of the module's text; 0 (an affine camera) where nothing is known yet.
    """
    q = np.zeros(len(index)) if depth_growth is None else depth_growth
    upright, bent = _line(levels, q), _line(_seated(levels), q)
    freedom = 2 * (np.isfinite(levels.sd_px).sum(axis=1) - 2)
    is_seated = _is_likely(_log_odds_seated(levels, q, _noise_share(upright, bent, freedom)))
    line = bent.where(is_seated, upright)
    low, high = (np.where(is_seated, at, usual) for at, usual in ((_HIPS, 0.0), (_SHOULDERS, 1.0)))
    bottom, top, variance_low, variance_high, shared = line.between(
        _seen_at(low, q), _seen_at(high, q)
    )
    hips = np.where(is_seated, body.SEATED_HIP_FRACTION, body.ANKLE_FRACTION)
    return Sticks(
        index=index,
        bottom_px=bottom,
        top_px=top,
        var_bottom=variance_low,
        var_top=variance_high,
        cov=shared,
        length_px=np.linalg.norm(top - bottom, axis=1),
        misfit=np.where(freedom > 0, upright.chi2 / np.maximum(freedom, 1), 0.0),
        bottom_height=hips,
        top_height=np.where(is_seated, hips + body.SEATED_TORSO_FRACTION, body.SHOULDER_FRACTION),
        is_seated=is_seated,
        views=levels.views,
    )


def _seated(levels: Levels) -> Levels:
    """The levels as they are if everybody sits: knees and ankles higher, and less certain."""
    height, sd_px = levels.height.copy(), levels.sd_px.copy()
    stature_px = _stature_px(levels.points_px, levels.height * _SPAN, np.isfinite(levels.sd_px))
    for row, below in body.SEATED_BELOW_HIPS.items():
        height[:, row] = _HIPS - below / _SPAN
        sd_px[:, row] = np.hypot(sd_px[:, row], body.SEATED_BELOW_HIPS_SD * stature_px)
    return replace(levels, height=height, sd_px=sd_px)


def _noise_share(upright: _Lines, bent: _Lines, freedom: npt.NDArray[np.int64]) -> float:
    """Variance of the levels over the assumed one: of half of the people at most, as they stand or sit."""
    has_more = freedom > 0
    if has_more.sum() < _LEAST_FOR_NOISE:
        return 1.0
    chi2 = np.minimum(upright.chi2, bent.chi2)[has_more] / freedom[has_more]
    return float(np.clip(np.median(chi2), _LEAST_NOISE, 1.0))


def _log_odds_seated(levels: Levels, q: FloatArray, noise_share: float) -> FloatArray:
    """(N,) what everybody's levels say for sitting against standing; 0 where nothing."""
    exact = replace(levels, sd_px=levels.sd_px * np.sqrt(noise_share))
    odds = _line(_seated(exact), q).log_evidence - _line(exact, q).log_evidence
    is_seen = np.isfinite(levels.sd_px)
    can_tell = is_seen[:, _TORSO].all(axis=1) & is_seen[:, _LEGS].any(axis=1)
    return np.where(can_tell, odds, 0.0)


def _is_likely(log_odds: FloatArray) -> BoolArray:
    """(N,) who sits, from what everybody's levels say for it (N,), and how many of this crowd do."""
    share = body.SEATED_SHARE
    for _ in range(_SHARE_STEPS):
        chance = expit(log_odds + logit(share))
        share = (chance.sum() + body.SEATED_SHARE * _SHARE_COUNT) / (len(chance) + _SHARE_COUNT)
    return np.asarray(log_odds + logit(share) > 0)


def _seen_at(height: FloatArray, q: FloatArray) -> FloatArray:
    """g(h) of the module's text."""
    return np.asarray(height * (1 + q) / np.maximum(1 + q * height, 0.05))


@dataclass(frozen=True)
class _Lines:
    """Lines fitted to everybody's levels: the places at g = 0 and g = 1, and how sure they are.

    Attributes:
        low, high: (N, 2); variance: (N, 3) of low, high and both.
        chi2: (N,) of the levels about the line.
        log_evidence: (N,) of the levels, the line being anywhere.
    """

    low: FloatArray
    high: FloatArray
    variance: FloatArray
    chi2: FloatArray
    log_evidence: FloatArray

    def where(self, mine: BoolArray, other: _Lines) -> _Lines:
        """These lines where `mine` (N,), elsewhere the other ones."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return _Lines(*(np.where(mine if a.ndim == 1 else mine[:, None], a, b) for a, b in pairs))

    def between(self, g0: FloatArray, g1: FloatArray) -> tuple[FloatArray, ...]:
        """Places (N, 2) at g0 and g1 (N,), their variances, and their covariance."""
        share = np.stack([1 - g0, g0], axis=1), np.stack([1 - g1, g1], axis=1)
        both = np.stack([self.low, self.high], axis=1)
        first, second, cross = self.variance.T
        matrix = np.stack([np.stack([first, cross], 1), np.stack([cross, second], 1)], axis=1)
        places = [np.einsum("nk,nkc->nc", s, both) for s in share]
        pairs = ((0, 0), (1, 1), (0, 1))
        spread = [np.einsum("nk,nkl,nl->n", share[i], matrix, share[j]) for i, j in pairs]
        return (*places, *spread)


def _line(levels: Levels, q: FloatArray) -> _Lines:
    """Generalised least squares."""
    g = _seen_at(levels.height, q[:, None])
    weight = 1.0 / levels.sd_px**2
    a00, a01, a11 = ((weight * f).sum(axis=1) for f in ((1 - g) ** 2, g * (1 - g), g**2))
    b0 = ((weight * (1 - g))[..., None] * levels.points_px).sum(axis=1)
    b1 = ((weight * g)[..., None] * levels.points_px).sum(axis=1)
    det = a00 * a11 - a01**2
    bottom = (a11[:, None] * b0 - a01[:, None] * b1) / det[:, None]
    top = (a00[:, None] * b1 - a01[:, None] * b0) / det[:, None]
    fitted = (1 - g)[..., None] * bottom[:, None] + g[..., None] * top[:, None]
    chi2 = (weight * ((levels.points_px - fitted) ** 2).sum(axis=2)).sum(axis=1)
    spread = np.where(np.isfinite(levels.sd_px), np.log(levels.sd_px), 0.0).sum(axis=1)
    # Both coordinates, so twice the logarithms of one; and det is that of one coordinate's information.
    evidence = -0.5 * chi2 - 2 * spread - np.log(det)
    return _Lines(bottom, top, np.stack([a11, a00, -a01], 1) / det[:, None], chi2, evidence)


def sticks_from_boxes(boxes_px: FloatArray, index: npt.NDArray[np.int64]) -> Sticks:
    """Standing people's boxes (N, 4) xyxy: from the ground to the top of the head."""
    middle = (boxes_px[:, 0] + boxes_px[:, 2]) / 2
    length = boxes_px[:, 3] - boxes_px[:, 1]
    variance = (_BOX_NOISE * length) ** 2 + body.PIXEL_NOISE_PX**2
    zeros = np.zeros(len(index))
    return Sticks(
        index=index,
        bottom_px=np.stack([middle, boxes_px[:, 3]], axis=1),
        top_px=np.stack([middle, boxes_px[:, 1]], axis=1),
        var_bottom=variance,
        var_top=variance,
        cov=zeros,
        length_px=length,
        misfit=zeros,
        bottom_height=zeros,
        top_height=zeros + 1.0,
        is_seated=np.zeros(len(index), bool),
        sees_angle=False,
    )
