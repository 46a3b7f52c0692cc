"""Several looks at one person: what each saw, and how much they say together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.detections import Detections
from crowd3d.people import N_KEYPOINTS

MOST_LOOKS = 6  # kept of one person
_TINY = 1e-12


@dataclass
class PeopleSeen(Detections):
    """One row a person, whose numbers are those of all looks joined, and the looks themselves.

    Attributes:
        looks_px: (N, L, 17, 3) keypoints of each look, the most trusted first; zero beyond the last.
        look_trust: (N, L) how much each look is to be trusted; zero beyond the last.
        heading: (N, 2) where they were read to face, see `facing.FacingReadout`; zeros for the unread.
    """

    looks_px: npt.NDArray[np.float64]
    look_trust: npt.NDArray[np.float64]
    heading: npt.NDArray[np.float64]

    def shifted(self, columns_px: npt.NDArray[np.float64]) -> PeopleSeen:
        """The people moved sideways by (N,) pixels, looks included."""
        moved = super().shifted(columns_px)
        moved.looks_px = self.looks_px.copy()
        moved.looks_px[..., 0] += columns_px[:, None, None]
        return moved


def gather_looks(
    found: Detections,
    trust: npt.NDArray[np.float64],
    person: npt.NDArray[np.int64],
    n_people: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """`looks_px` and `look_trust` of `PeopleSeen`.

    Args:
        found: all looks; trust: (M,) in each of them; person: (M,) whom each shows.
    """
    order = np.lexsort((-trust, person))
    owner = person[order]
    rank = np.arange(len(order)) - np.searchsorted(owner, owner)
    kept = rank < MOST_LOOKS
    order, owner, rank = order[kept], owner[kept], rank[kept]
    looks = np.zeros((n_people, MOST_LOOKS, N_KEYPOINTS, 3))
    looks[owner, rank] = found.keypoints_px[order]
    kept_trust = np.zeros((n_people, MOST_LOOKS))
    kept_trust[owner, rank] = trust[order]
    return looks, kept_trust


def fusion_weights(trust: npt.NDArray[np.float64], correlation: float) -> npt.NDArray[np.float64]:
    """(N, L) factors on what each look says, so that looks at the same pixels are not counted as many.

    The mean of looks with weights t and errors of equal variance, correlated by rho, has the variance
    sum_ij t_i t_j rho_ij / (sum t)^2 of one look; its inverse is how many independent looks they are worth,
    and the factors add up to that.

    Args:
        trust: (N, L), 0 where there is no look.
        correlation: rho between the errors of two looks; 1 makes them worth one, 0 worth L equal ones.
    """
    total = trust.sum(axis=1, keepdims=True)
    share = trust / np.maximum(total, _TINY)
    squares = (share**2).sum(axis=1, keepdims=True)
    variance = squares + correlation * (share.sum(axis=1, keepdims=True) ** 2 - squares)
    return np.asarray(share / np.maximum(variance, _TINY))
