"""Rendered scenes whose ground is not one level plane, and how far off feet are in height."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from shared.rendered import Crowd

from crowd3d.synth import Truth

FloatArray = npt.NDArray[np.float64]

SCENES = (
    Crowd("slope", "slope", (3000, 1900), 120, 1101),
    Crowd("levels-beside", "split", (3000, 1900), 140, 1201),
    Crowd("levels-behind", "terrace", (3000, 1900), 140, 1301),
    Crowd("stands", "stands", (3600, 2280), 300, 1401),
    Crowd("stairs", "stairs", (3000, 1900), 100, 1501),
    Crowd("hillside", "hillside", (3000, 1900), 120, 1601),
    Crowd("rolling", "rolling", (3600, 2280), 150, 1701),
    Crowd("stage", "stage", (3000, 1900), 150, 1801),
)


def above_m(truth: Truth, found_hvip_m: FloatArray, rows: npt.NDArray[np.int64]) -> FloatArray:
    """How much higher than they are people were placed, (M,) metres along gravity.

    Args:
        found_hvip_m: (M, 3) points of the ground below those who were found, camera frame.
        rows: (M,) who they are, as rows of the truth.
    """
    return np.asarray((truth.hvip_m[rows] - found_hvip_m) @ truth.gravity)
