"""Ground that is not one level: its height above the level below the camera, as a sum of simple shapes.

Heights and places are in heights of the camera above that level, so that no shape depends on the scale of the
scene. A ray of horizontal way w that falls by f is, after t times its length, at the place t w and by t f below
the camera. It meets ground that is by g(p) higher at places p where t f = 1 - g(t w).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from optim.geometry import tangent_basis
from optim.ground.residuals import Footing, View, rays_of
from optim.ground.sticks import Sticks
from optim.projection import FloatArray

_MIN_RATE = 1e-4  # at which ground and ray approach each other; rays that touch it hardly meet it
_QUICK_FALL = 0.02  # of rays that level ground tells something about
_NEWTON_STEPS, _EXACT, _MET = 15, 1e-9, 1e-6
_MARCH = np.geomspace(0.05, 100.0, 48)  # camera heights at which a ray is compared with the ground
_HALVINGS = 4
_STEP = 1e-5
_JITTER = 1e-4  # of a bump's variance: keeps the prior of near ones invertible
OF_HINGE = 3  # numbers: its rise, the azimuth towards which it rises, where it begins


def level_axes(normal: FloatArray) -> FloatArray:
    """(2, 3) horizontal directions in the camera frame: to the right, and ahead."""
    toward, right = tangent_basis(normal)
    return np.stack([right, -toward])


class Ground(Protocol):
    """Ground that is not one level."""

    @property
    def numbers(self) -> FloatArray:
        """(K,) what describes it."""

    @property
    def information(self) -> FloatArray:
        """(K, K) of the Gaussian prior of these numbers."""

    def moved(self, step: FloatArray) -> Ground:
        """With (K,) added to the numbers."""

    def take(self, rows: npt.NDArray[np.int64]) -> Ground:
        """The ground of some of the sticks."""

    def cost(self) -> float:
        """Of the numbers under their prior, without its normalisation."""

    def gradient(self) -> FloatArray:
        """(K,) of that cost."""

    def depths(
        self, ways: FloatArray, falls: FloatArray, above: float | FloatArray = 0.0
    ) -> FloatArray:
        """(N,) how many times the rays of the sticks have to be followed to meet it, see `Relief.depths`."""

    def slopes(self, where: FloatArray) -> FloatArray:
        """(N, 2) of the ground at places (N, 2)."""

    def by_number(self, where: FloatArray) -> FloatArray:
        """(N, K) derivatives of its heights at places (N, 2) by the numbers."""


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

    def slopes(self, where: FloatArray) -> FloatArray:
        """(N, 2) of the ground at places (N, 2)."""
        return self._at(where)[1]

    def depths(
        self,
        ways: FloatArray,
        falls: FloatArray,
        above: float | FloatArray = 0.0,
        *,
        is_first: bool = False,
    ) -> FloatArray:
        """(N,) how many times rays have to be followed until they meet the ground; NaN for those that never do.

        Args:
            ways: (N, 2) of the rays to the right and ahead; falls: (N,) of the rays, negative where they rise.
            above: height above the ground of what is seen there, in camera heights, or (N,).
            is_first: look for the first place for certain; else some place is enough where that is quicker.
        """
        above = np.broadcast_to(np.asarray(above, dtype=np.float64), falls.shape)
        start = (1 - above) / np.maximum(falls, _QUICK_FALL)
        depth, is_met = self._followed(start, ways, falls, above)
        again = np.ones(len(depth), bool) if is_first else ~is_met
        if again.any():
            ways, falls, above = ways[again], falls[again], above[again]
            begun, found = self._bracketed(ways, falls, above)
            again_depth, again_met = self._followed(begun, ways, falls, above)
            depth[again], is_met[again] = again_depth, again_met & found
        return np.where(is_met, depth, np.nan)

    def _followed(
        self, start: FloatArray, ways: FloatArray, falls: FloatArray, above: FloatArray
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Newton's method from a start (N,): depths, and whether the ground is met there from above."""
        depth = start
        for _ in range(_NEWTON_STEPS):
            value, rate = self._over_ray(depth, ways, falls, above)
            if np.abs(value).max(initial=0.0) < _EXACT:
                break
            step = value / np.maximum(rate, _MIN_RATE)
            depth = np.clip(depth - step, 0.4 * depth, 2.0 * depth)
        value, rate = self._over_ray(depth, ways, falls, above)
        return depth, np.asarray((np.abs(value) < _MET) & (rate > 0))

    def _bracketed(
        self, ways: FloatArray, falls: FloatArray, above: FloatArray
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Depths (N,) shortly behind which the ground is first over the ray, and whether it ever is."""
        length = np.maximum(np.hypot(*ways.T), np.maximum(falls, _QUICK_FALL))
        depth = _MARCH / length[:, None]
        where = depth[..., None] * ways[:, None]
        height = self.heights(where.reshape(-1, 2)).reshape(depth.shape)
        over = depth * falls[:, None] - 1 + height + above[:, None] > 0
        k = np.argmax(over, axis=1)
        rows = np.arange(len(depth))
        low, high = depth[rows, np.maximum(k - 1, 0)], depth[rows, k]
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            value, _rate = self._over_ray(middle, ways, falls, above)
            low, high = np.where(value > 0, low, middle), np.where(value > 0, middle, high)
        return (low + high) / 2, np.asarray(over.any(axis=1))

    def _over_ray(
        self, depth: FloatArray, ways: FloatArray, falls: FloatArray, above: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """(N,) how far the ground is over rays that were followed so far, and how fast that grows."""
        height, slope = self._at(depth[:, None] * ways)
        return depth * falls - 1 + height + above, falls + np.sum(slope * ways, axis=1)


def footing(
    ground: Ground, view: View, sticks: Sticks, center_px: FloatArray, stature_m: float
) -> Footing:
    """Where sticks stand on ground of any shape, and how that changes with view, pixels and ground."""
    rays, moves = rays_of(view, sticks, center_px)
    axes, normal, height = level_axes(view.normal), view.normal, float(np.exp(view.log_offset))
    above = sticks.bottom_height * stature_m / height
    ways, falls = rays @ axes.T, -(rays @ normal)
    depth = ground.depths(ways, falls, above)
    is_met = np.isfinite(depth)
    depth = np.where(is_met, depth, 1.0)
    where = depth[:, None] * ways
    slopes = ground.slopes(where)
    # With t the depth: dt (f + g' w) = -t df - t g' dw - dg - da, dg being the change of the height at a place.
    steep = np.maximum(falls + np.sum(slopes * ways, axis=1), _MIN_RATE)

    def by(way: FloatArray, fall: FloatArray) -> FloatArray:
        return np.asarray(-height * depth * (fall + np.sum(slopes * way, axis=1)) / steep)

    by_ray = [by(moves[:, k] @ axes.T, -(moves[:, k] @ normal)) for k in range(3)]
    by_tilt = []
    for step in np.eye(4)[1:3] * _STEP:
        ahead, behind = view.moved(step).normal, view.moved(-step).normal
        turned = (level_axes(ahead) - level_axes(behind)) / (2 * _STEP)
        by_tilt.append(by(rays @ turned.T, -(rays @ (ahead - behind)) / (2 * _STEP)))
    by_height = height * (depth + above / steep)  # da = -a d log offset
    return Footing(
        height * depth,
        np.stack([by_ray[0], *by_tilt, by_height], axis=1),
        np.stack(by_ray[1:], axis=1),
        -height * ground.by_number(where) / steep[:, None],
        np.hypot(*ways.T) / steep,
        is_met,
    )


def _bumps(where: FloatArray, centers: FloatArray, reach: float) -> FloatArray:
    """(N, M) values of bumps of height 1 about centers (M, 2), at places (N, 2)."""
    return np.asarray(np.exp(-0.5 * cdist(where, centers, "sqeuclidean") / reach**2))
