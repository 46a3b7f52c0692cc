"""The ground of a fit as its user sees it: where it is, and how surely, along any ray."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from optim.ground.relief import Relief, level_axes
from optim.projection import FloatArray

LEVEL, SLOPE, LEVELS, STANDS, TERRAIN = "level", "slope", "levels", "stands", "terrain"
KINDS = (LEVEL, SLOPE, LEVELS, STANDS, TERRAIN)


@dataclass(frozen=True)
class Surface:
    """Ground below a camera, camera frame, metres.

    Attributes:
        kind: one of KINDS.
        normal: (3,) unit vector up, against gravity; the ground itself may be tilted.
        offset_m: height of the camera above the level that heights are counted from: the first of several, or
            that of the ground straight below the camera.
        offsets_m: (P,) heights of the camera above the levels; `offset_m` alone where there is a relief.
        relief: heights of the ground above that level; None if it is made of levels.
        level_rays: (M, 3) rays that meet known levels; level_index: (M,) which. Any other ray meets that of the
            nearest one.
        covariance: (4 + K, 4 + K) over log focal, pitch, roll, log offset and the relief's numbers.
    """

    kind: str
    normal: FloatArray
    offset_m: float
    offsets_m: FloatArray
    relief: Relief | None = None
    level_rays: FloatArray = field(default_factory=lambda: np.zeros((0, 3)))
    level_index: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    covariance: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def axes(self) -> FloatArray:
        """(2, 3) horizontal directions in the camera frame, in which places are told: right, and ahead."""
        return level_axes(self.normal)

    def camera_heights_m(self, rays: npt.ArrayLike) -> FloatArray:
        """(N,) how high the camera is above the ground that rays (N, 3) meet; NaN for rays that meet none.

        Negative where the ground is higher than the camera, as in a stand.
        """
        return np.asarray(-(self.points_m(rays) @ self.normal))

    def points_m(self, rays: npt.ArrayLike, above_m: float = 0.0) -> FloatArray:
        """(N, 3) where rays (N, 3) meet the ground, or are so far above it; NaN for rays that never are."""
        toward = np.asarray(rays, dtype=np.float64)
        fall = -(toward @ self.normal)
        if self.relief is not None:
            ways = toward @ self.axes.T
            above = above_m / self.offset_m
            depth = self.offset_m * self.relief.depths(ways, fall, above, is_first=True)
        else:
            height = np.full(len(toward), self.offset_m)
            if len(self.offsets_m) > 1:
                unit = toward / np.linalg.norm(toward, axis=1, keepdims=True)
                nearest = cKDTree(self.level_rays).query(np.nan_to_num(unit))[1]
                height = self.offsets_m[self.level_index[nearest]]
            depth = (height - above_m) / np.where(fall == 0, np.nan, fall)
            depth = np.where(depth > 0, depth, np.nan)
        return np.asarray(toward * depth[:, None])

    def heights_m(self, places_m: npt.ArrayLike) -> FloatArray:
        """(N,) height of the ground above the level `offset_m` at places (N, 2): metres right and ahead."""
        where = np.asarray(places_m, dtype=np.float64)
        if self.relief is None:
            return np.zeros(len(where))
        return self.offset_m * self.relief.heights(where / self.offset_m)

    def slopes(self, places_m: npt.ArrayLike) -> FloatArray:
        """(N, 2) of the ground at these places, to the right and ahead."""
        where = np.asarray(places_m, dtype=np.float64)
        if self.relief is None:
            return np.zeros((len(where), 2))
        return self.relief.slopes(where / self.offset_m)

    def by_number_m(self, places_m: npt.ArrayLike) -> FloatArray:
        """(N, K) derivatives of the heights at these places by the relief's numbers."""
        where = np.asarray(places_m, dtype=np.float64)
        if self.relief is None:
            return np.zeros((len(where), 0))
        return self.offset_m * self.relief.by_number(where / self.offset_m)

    def unseen_sd_m(self, places_m: npt.ArrayLike) -> FloatArray:
        """(N,) standard deviation of the heights that the relief's numbers tell nothing of."""
        where = np.asarray(places_m, dtype=np.float64)
        if self.relief is None:
            return np.zeros(len(where))
        return self.offset_m * np.sqrt(self.relief.unseen_variance(where / self.offset_m))

    def height_sd_m(self, places_m: npt.ArrayLike) -> FloatArray:
        """(N,) standard deviation of these heights, the camera being where it is."""
        by_number = self.by_number_m(places_m)
        variance = np.einsum("nk,kl,nl->n", by_number, self.covariance[4:, 4:], by_number)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0) + self.unseen_sd_m(places_m) ** 2))

    def scaled(self, factor: float) -> Surface:
        """The same ground below a camera that is so many times as high."""
        return replace(self, offset_m=self.offset_m * factor, offsets_m=self.offsets_m * factor)
