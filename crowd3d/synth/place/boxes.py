"""Everything in a scene that is not a person and not the ground, as boxes, some tapered or sheared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from crowd3d.synth.color import linear

FloatArray = npt.NDArray[np.float64]

BUILDING, KERB, SEAT, POST, TIER, TERRACE, PARASOL = range(7)


class Box(NamedTuple):
    """One upright box.

    Attributes:
        center, half: (3,) metres; yaw: radians about the vertical.
        kind: a code of this module; color: sRGB hex.
        taper: size of the top against the bottom; 0 = a pyramid.
        rise: metres that the top climbs per metre towards -z.
    """

    center: npt.ArrayLike
    half: npt.ArrayLike
    kind: int
    color: str
    yaw: float = 0.0
    taper: float = 1.0
    rise: float = 0.0


@dataclass
class Boxes:
    """Boxes as arrays, one row each.

    Attributes:
        center_m, half_m: (B, 3); yaw_rad: (B,) about the vertical.
        kind: (B,) codes of this module; color: (B, 3) linear.
        taper, rise: (B,) as in `Box`.
    """

    center_m: FloatArray
    half_m: FloatArray
    yaw_rad: FloatArray
    kind: npt.NDArray[np.int64]
    color: FloatArray
    taper: FloatArray
    rise: FloatArray

    def __len__(self) -> int:
        return len(self.kind)

    @classmethod
    def of(cls, rows: Sequence[Box]) -> Boxes:
        """Boxes in the order given."""
        return cls(
            np.array([r.center for r in rows], np.float64).reshape(-1, 3),
            np.array([r.half for r in rows], np.float64).reshape(-1, 3),
            np.array([r.yaw for r in rows], np.float64),
            np.array([r.kind for r in rows], np.int64),
            np.array([linear(r.color)[0] for r in rows], np.float64).reshape(-1, 3),
            np.array([r.taper for r in rows], np.float64),
            np.array([r.rise for r in rows], np.float64),
        )

    def with_more(self, rows: Sequence[Box]) -> Boxes:
        """These boxes and some more."""
        more = Boxes.of(rows)
        both = (
            np.concatenate([getattr(self, f.name), getattr(more, f.name)]) for f in fields(self)
        )
        return Boxes(*both)

    def corners_m(self) -> FloatArray:
        """(B, 8, 3)."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
        turn = Rotation.from_euler("y", self.yaw_rad[:, None]).as_matrix().reshape(-1, 3, 3)
        local = signs * self.half_m[:, None]
        top = signs[:, 1] > 0
        local[:, top, 0] *= self.taper[:, None]
        local[:, top, 2] *= self.taper[:, None]
        local[:, top, 1] += self.rise[:, None] * (self.half_m[:, 2:] - local[:, top, 2])
        return np.asarray(np.einsum("bij,bkj->bki", turn, local) + self.center_m[:, None])

    def reach_m(self) -> FloatArray:
        """(B, 2) half extents along x and z; of turned boxes, their half diagonal."""
        reach = self.half_m[:, [0, 2]].copy()
        turned = self.yaw_rad != 0
        reach[turned] = np.linalg.norm(reach[turned], axis=1, keepdims=True)
        return reach


# Of the corners in `corners_m`; two triangles a side: -x, +x, -y, +y, -z, +z.
BOX_FACES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ]
)
