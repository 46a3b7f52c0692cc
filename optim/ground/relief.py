"""Ground that is not one level: its height above the level below the camera, as a sum of simple shapes.

Heights and places are in heights of the camera above that level, so that no shape depends on the scale of the
scene. A ray that falls by f per unit of its horizontal way meets level ground at the place q = way / f. If the
ground is by g(p) higher at a place p, it meets it at r q, where r = 1 - g(r q) is the height of the camera above
that place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from optim.geometry import tangent_basis
from optim.ground.residuals import View
from optim.projection import FloatArray

_MIN_FALL = 1e-7
_MIN_RATIO = 1e-3  # of heights: the ground is as high as the camera, and nobody there is seen standing
_MIN_SLOPE = 0.05  # of r - 1 + g(r q) by r; rays that touch the ground hardly meet it
_NEWTON_STEPS, _EXACT = 20, 1e-10
_STEP = 1e-5
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
        mean, information: (K,), (K, K) of the Gaussian prior of all these numbers, in this order.
    """

    tilt: FloatArray = field(default_factory=lambda: np.zeros(0))
    hinges: FloatArray = field(default_factory=lambda: np.zeros((0, OF_HINGE)))
    bumps: FloatArray = field(default_factory=lambda: np.zeros(0))
    centers: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    reach: float = 1.0
    mean: FloatArray = field(default_factory=lambda: np.zeros(0))
    information: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

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
        return self._at(where)[1]

    def _at(self, where: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Heights (N,), their derivatives by the numbers (N, K) and by the place (N, 2)."""
        n = len(where)
        height, slope, columns = np.zeros(n), np.zeros((n, 2)), []
        if len(self.tilt):
            height = where @ self.tilt
            slope = slope + self.tilt
            columns.append(where)
        for rise, azimuth, start in self.hinges:
            toward = np.array([np.sin(azimuth), np.cos(azimuth)])
            turned = np.array([toward[1], -toward[0]])
            behind = where @ toward - start
            is_behind = behind > 0
            height = height + rise * np.maximum(behind, 0.0)
            slope = slope + np.where(is_behind[:, None], rise * toward, 0.0)
            ways = [behind, rise * (where @ turned), np.full(n, -rise)]
            columns.append(np.where(is_behind[:, None], np.stack(ways, axis=1), 0.0))
        if len(self.centers):
            apart = where[:, None] - self.centers
            bump = np.exp(-0.5 * np.sum(apart**2, axis=2) / self.reach**2)
            height = height + bump @ self.bumps
            slope = slope - np.einsum("nm,m,nmd->nd", bump, self.bumps, apart) / self.reach**2
            columns.append(bump)
        by_number = np.concatenate(columns, axis=1) if columns else np.zeros((n, 0))
        return height, by_number, slope

    def ratios(self, level_places: FloatArray) -> FloatArray:
        """(N,) r of the module's text for rays that meet level ground at places (N, 2); NaN where they miss."""
        known = np.isfinite(level_places).all(axis=1)
        q = np.where(known[:, None], level_places, 0.0)
        ratio = np.ones(len(q))
        for _ in range(_NEWTON_STEPS):
            value, slope = self._along(q, ratio)
            step = value / np.maximum(slope, _MIN_SLOPE)
            ratio = np.maximum(ratio - np.clip(step, -ratio, 0.5 * ratio), _MIN_RATIO)
            if np.abs(value).max(initial=0.0) < _EXACT:
                break
        value, slope = self._along(q, ratio)
        met = known & (np.abs(value) < 1e-6) & (slope > 0) & (ratio > _MIN_RATIO)
        return np.where(met, ratio, np.nan)

    def _along(self, q: FloatArray, ratio: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N,) r - 1 + g(r q), and its derivative by r."""
        height, _, slope = self._at(ratio[:, None] * q)
        return ratio - 1 + height, 1 + np.sum(slope * q, axis=1)

    def seen(self, view: View, rays: FloatArray, moves: FloatArray) -> Seen:
        """The ground along rays.

        Args:
            rays: (N, 3) of the sticks' bottoms in the camera frame.
            moves: (N, 3, 3) their derivatives by log focal, and by the columns and rows of their pixels.
        """
        q = places(view, rays)
        ratio = self.ratios(q)
        met = np.isfinite(ratio)
        q, safe = np.where(met[:, None], q, 0.0), np.where(met, ratio, 1.0)
        _, by_number, slope = self._at(safe[:, None] * q)
        # dr (1 + g' q) = -dg - r g' dq, dg being the change of g at a place that stays
        along = np.maximum(1 + np.sum(slope * q, axis=1), _MIN_SLOPE)
        share = np.where(met, 1.0 / along, 0.0)

        def change(ahead: FloatArray, behind: FloatArray) -> FloatArray:
            """Of log r, as the places move from one to the other in two steps."""
            moved = np.nan_to_num((ahead - behind) / (2 * _STEP))
            return np.asarray(-share * np.sum(slope * moved, axis=1))

        def by_ray(move: FloatArray) -> FloatArray:
            return change(places(view, rays + _STEP * move), places(view, rays - _STEP * move))

        def by_tilt(step: FloatArray) -> FloatArray:
            return change(places(view.moved(step), rays), places(view.moved(-step), rays))

        tilts = np.eye(4)[1:3] * _STEP
        focal, column, row = (by_ray(moves[:, k]) for k in range(3))
        by_view = np.stack([focal, *map(by_tilt, tilts), np.zeros(len(q))], axis=1)
        return Seen(
            np.log(np.where(met, ratio, _MIN_RATIO)),
            by_view,
            -by_number * (share / safe)[:, None],
            np.stack([column, row], axis=1),
        )
