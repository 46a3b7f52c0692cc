"""Ground that is not one level: its height above the level below the camera, as a sum of simple shapes.

Heights and places are in heights of the camera above that level, so that no shape depends on the scale of the
scene. A ray that falls by f per unit of its horizontal way meets level ground at the place q = way / f. If the
ground is by g(p) higher at a place p, it meets it at r q, where r = 1 - g(r q) is the height of the camera
above that place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from optim.geometry import tangent_basis
from optim.ground.residuals import View
from optim.projection import FloatArray

_MIN_FALL = 1e-7
_MIN_RATIO = (
    1e-3  # of heights: the ground is as high as the camera, and nobody there is seen standing
)
_MIN_SLOPE = 0.05  # of r - 1 + g(r q) by r; rays that touch the ground hardly meet it
_NEWTON_STEPS, _EXACT = 20, 1e-9
_STEP = 1e-5
_JITTER = 1e-4  # of a bump's variance: keeps the prior of near ones invertible
OF_HINGE = 3  # numbers: its rise, the azimuth towards which it rises, where it begins


def level_axes(normal: FloatArray) -> FloatArray:
    """(2, 3) horizontal directions in the camera frame: to the right, and ahead."""
    toward, right = tangent_basis(normal)
    return np.stack([right, -toward])


def places(view: View, rays: FloatArray) -> FloatArray:
    """(N, 2) where rays (N, 3) of any length meet level ground, in camera heights; NaN above the horizon."""
    fall = -(rays @ view.normal)
    fall = np.where(fall > _MIN_FALL, fall, np.nan)
    return np.asarray(rays @ level_axes(view.normal).T / fall[:, None])


@dataclass(frozen=True)
class Seen:
    """The ground as sticks stand on it, and how that changes.

    Attributes:
        log_ratio: (N,) logarithm of the camera's height above the ground of each stick over the view's.
        by_view: (N, 4), by_number: (N, K), by_bottom: (N, 2) its derivatives; the last by the pixel.
    """

    log_ratio: FloatArray
    by_view: FloatArray
    by_number: FloatArray
    by_bottom: FloatArray


@dataclass(frozen=True)
class Relief:
    """Heights of the ground: one tilt, hinges and bumps, added up.

    Attributes:
        tilt: (2,) height per place to the right and ahead, or (0,).
        hinges: (H, 3) rise, azimuth and start. A hinge is 0 up to a line across its azimuth (from ahead to the
            right), and behind it rises with the distance from that line.
        bumps: (M,) heights of exp(-d^2 / 2 reach^2) about centers (M, 2).
        bump_sd: of the ground's height by bumps, before anything is seen.
        mean, information: (K,), (K, K) of the Gaussian prior of all these numbers, in this order.
    """

    tilt: FloatArray = field(default_factory=lambda: np.zeros(0))
    hinges: FloatArray = field(default_factory=lambda: np.zeros((0, OF_HINGE)))
    bumps: FloatArray = field(default_factory=lambda: np.zeros(0))
    centers: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    reach: float = 1.0
    bump_sd: float = 0.0
    mean: FloatArray = field(default_factory=lambda: np.zeros(0))
    information: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def tilted(cls, tilt_sd: float) -> Relief:
        """One tilt, still 0, with the standard deviation of its prior."""
        return cls(tilt=np.zeros(2), mean=np.zeros(2), information=np.eye(2) / tilt_sd**2)

    @classmethod
    def smooth(cls, centers: FloatArray, reach: float, bump_sd: float, tilt_sd: float) -> Relief:
        """A tilt and bumps, all of them still 0.

        Bumps at places c with the prior covariance K^-1, K being their values at each other's places, are a
        Gaussian process seen through these places (Quinonero-Candela & Rasmussen 2005, "subset of regressors").
        """
        count = 2 + len(centers)
        information = np.zeros((count, count))
        information[:2, :2] = np.eye(2) / tilt_sd**2
        each_other = _bumps(centers, centers, reach) + _JITTER * np.eye(len(centers))
        information[2:, 2:] = each_other / bump_sd**2
        return cls(
            tilt=np.zeros(2),
            bumps=np.zeros(len(centers)),
            centers=centers,
            reach=reach,
            bump_sd=bump_sd,
            mean=np.zeros(count),
            information=information,
        )

    def hinged(self, hinge: FloatArray, sds: FloatArray) -> Relief:
        """With one more hinge (3,); its prior is about no rise, and its azimuth and start."""
        mean = np.concatenate([self.mean, [0.0], hinge[1:]])
        information = np.zeros((len(mean), len(mean)))
        information[:-OF_HINGE, :-OF_HINGE] = self.information
        information[-OF_HINGE:, -OF_HINGE:] = np.diag(sds**-2.0)
        hinges = np.vstack([self.hinges, hinge])
        return Relief(hinges=hinges, mean=mean, information=information)

    @cached_property
    def numbers(self) -> FloatArray:
        """(K,) tilt, hinges and bumps in one row."""
        return np.concatenate([self.tilt, self.hinges.ravel(), self.bumps])

    def moved(self, step: FloatArray) -> Relief:
        """With (K,) added to the numbers."""
        first, last = len(self.tilt), len(self.tilt) + self.hinges.size
        return replace(
            self,
            tilt=self.tilt + step[:first],
            hinges=self.hinges + step[first:last].reshape(-1, OF_HINGE),
            bumps=self.bumps + step[last:],
        )

    def take(self, rows: npt.NDArray[np.int64]) -> Relief:
        """Itself: it is the same for all sticks."""
        return self

    def cost(self) -> float:
        """Of the numbers under their prior, without its normalisation."""
        apart = self.numbers - self.mean
        return 0.5 * float(apart @ self.information @ apart)

    def gradient(self) -> FloatArray:
        """(K,) of the cost."""
        return np.asarray(self.information @ (self.numbers - self.mean))

    def heights(self, where: FloatArray) -> FloatArray:
        """(N,) above the level, at places (N, 2)."""
        return self._at(where)[0]

    def by_number(self, where: FloatArray) -> FloatArray:
        """(N, K) derivatives of the heights at places (N, 2) by the numbers."""
        columns = [where] if len(self.tilt) else []
        for rise, azimuth, start in self.hinges:
            toward = np.array([np.sin(azimuth), np.cos(azimuth)])
            turned = np.array([toward[1], -toward[0]])
            behind = where @ toward - start
            ways = np.stack([behind, rise * (where @ turned), np.full(len(where), -rise)], axis=1)
            columns.append(np.where(behind[:, None] > 0, ways, 0.0))
        if len(self.centers):
            columns.append(_bumps(where, self.centers, self.reach))
        return np.concatenate(columns, axis=1) if columns else np.zeros((len(where), 0))

    def _at(self, where: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Heights (N,) and their derivatives by the place (N, 2)."""
        height, slope = np.zeros(len(where)), np.zeros((len(where), 2))
        if len(self.tilt):
            height, slope = where @ self.tilt, slope + self.tilt
        for rise, azimuth, start in self.hinges:
            toward = np.array([np.sin(azimuth), np.cos(azimuth)])
            behind = where @ toward - start
            height = height + rise * np.maximum(behind, 0.0)
            slope = slope + np.where(behind[:, None] > 0, rise * toward, 0.0)
        if len(self.centers):
            # The sum over bumps of b (c - p) / reach^2, without the (N, M, 2) differences.
            bump = _bumps(where, self.centers, self.reach) * self.bumps
            total = bump.sum(axis=1)
            height = height + total
            slope = slope + (bump @ self.centers - total[:, None] * where) / self.reach**2
        return height, slope

    def unseen_variance(self, where: FloatArray) -> FloatArray:
        """(N,) prior variance of bumps that the centers do not tell of, far from all of them.

        A Gaussian process that is seen through some places is sure elsewhere; this is what it leaves out
        (Snelson & Ghahramani 2006, "Sparse Gaussian processes using pseudo-inputs", equation 6).
        """
        if not len(self.centers):
            return np.zeros(len(where))
        bump = _bumps(where, self.centers, self.reach)
        each_other = _bumps(self.centers, self.centers, self.reach) + _JITTER * np.eye(
            len(self.centers)
        )
        told = np.sum(bump * np.linalg.solve(each_other, bump.T).T, axis=1)
        return np.asarray(self.bump_sd**2 * np.maximum(1.0 - told, 0.0))

    def ratios(self, level_places: FloatArray, above: float = 0.0) -> FloatArray:
        """(N,) r of the module's text for rays that meet level ground at places (N, 2); NaN where they miss.

        Args:
            above: height above the ground of what is seen there, in camera heights.
        """
        return self._depths(level_places, above) + above

    def _depths(self, level_places: FloatArray, above: float) -> FloatArray:
        """(N,) how far below the camera the rays meet what is so far above the ground; NaN where they miss."""
        known = np.isfinite(level_places).all(axis=1)
        q = np.where(known[:, None], level_places, 0.0)
        depth = np.ones(len(q))
        for _ in range(_NEWTON_STEPS):
            value, slope = self._along(q, depth, above)
            step = value / np.maximum(slope, _MIN_SLOPE)
            depth = np.maximum(depth - np.clip(step, -depth, 0.5 * depth), _MIN_RATIO)
            if np.abs(value).max(initial=0.0) < _EXACT:
                break
        value, slope = self._along(q, depth, above)
        met = known & (np.abs(value) < 1e-6) & (slope > 0) & (depth > _MIN_RATIO)
        return np.where(met, depth, np.nan)

    def _along(
        self, q: FloatArray, depth: FloatArray, above: float
    ) -> tuple[FloatArray, FloatArray]:
        """(N,) how far the ground is over a ray at that depth below the camera; its derivative by the depth."""
        height, slope = self._at(depth[:, None] * q)
        return depth - 1 + height + above, 1 + np.sum(slope * q, axis=1)

    def seen(self, view: View, rays: FloatArray, moves: FloatArray, above_m: float) -> Seen:
        """The ground along rays.

        Args:
            rays: (N, 3) of the sticks' bottoms in the camera frame.
            moves: (N, 3, 3) their derivatives by log focal, and by the columns and rows of their pixels.
            above_m: height of the bottoms above the ground.
        """
        above = above_m / float(np.exp(view.log_offset))
        q = places(view, rays)
        depth = self._depths(q, above)
        met = np.isfinite(depth)
        q, safe = np.where(met[:, None], q, 0.0), np.where(met, depth, 1.0)
        _, slope = self._at(safe[:, None] * q)
        by_number = self.by_number(safe[:, None] * q)
        ratio = safe + above
        # With t the depth: dt (1 + g' q) = -dg - t g' dq - da, dg being the change of g at a place that stays.
        along = np.maximum(1 + np.sum(slope * q, axis=1), _MIN_SLOPE)
        share = np.where(met, 1.0 / (along * ratio), 0.0)

        def change(ahead: FloatArray, behind: FloatArray) -> FloatArray:
            """Of log r, as the places move from one to the other in two steps."""
            moved = np.nan_to_num((ahead - behind) / (2 * _STEP))
            return np.asarray(-share * safe * np.sum(slope * moved, axis=1))

        def by_ray(move: FloatArray) -> FloatArray:
            return change(places(view, rays + _STEP * move), places(view, rays - _STEP * move))

        def by_tilt(step: FloatArray) -> FloatArray:
            return change(places(view.moved(step), rays), places(view.moved(-step), rays))

        tilts = np.eye(4)[1:3] * _STEP
        focal, column, row = (by_ray(moves[:, k]) for k in range(3))
        by_height = np.where(met, above * (share - 1 / ratio), 0.0)  # da = -a d log offset
        by_view = np.stack([focal, *map(by_tilt, tilts), by_height], axis=1)
        return Seen(
            np.log(np.where(met, ratio, _MIN_RATIO)),
            by_view,
            -by_number * share[:, None],
            np.stack([column, row], axis=1),
        )


def _bumps(where: FloatArray, centers: FloatArray, reach: float) -> FloatArray:
    """(N, M) values of bumps of height 1 about centers (M, 2), at places (N, 2)."""
    return np.asarray(np.exp(-0.5 * cdist(where, centers, "sqeuclidean") / reach**2))
