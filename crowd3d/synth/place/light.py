"""Sun, sky and haze. The sky's irradiance has the shape of measured HDR environments.

The shapes are spherical harmonics up to degree 2 (Ramamoorthi and Hanrahan 2001) of the upper halves of
environments from Poly Haven (CC0), without the sun's disc, scaled so that a level surface receives 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.synth.place.preset import Preset

FloatArray = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]

# Factors of 1, y, z, x, 3y^2-1, yz, xy, xz, z^2-x^2 in red, green, blue; brightest towards +z.
_OVERCAST = {
    "bridge": """0.42 0.45 0.48 0.50 0.50 0.50 0.05 0.08 0.13 0.00 0.00 0.00 0.04 0.03 0.01
        0.03 0.04 0.06 0.00 0.00 0.00 0.08 0.06 0.03 0.01 0.01 0.02""",
    "city": """0.38 0.38 0.38 0.51 0.51 0.51 0.12 0.12 0.11 0.00 0.00 0.00 0.06 0.06 0.06
        0.12 0.12 0.12 -0.01 -0.01 -0.01 0.03 0.03 0.02 0.00 0.00 0.00""",
    "forest": """0.40 0.38 0.35 0.50 0.50 0.50 0.11 0.13 0.16 0.00 0.00 0.01 0.05 0.06 0.07
        0.13 0.15 0.18 0.01 0.00 0.01 0.02 0.01 0.01 0.01 0.01 0.01""",
}
_CLEAR = {
    "dawn": """0.72 0.62 0.54 0.50 0.50 0.51 0.70 0.45 0.24 0.00 -0.01 0.01 -0.11 -0.06 -0.02
        0.32 0.23 0.15 0.01 0.01 0.02 0.00 -0.01 0.00 0.19 0.11 0.05""",
    "sky": """0.82 0.73 0.58 0.44 0.46 0.49 0.39 0.16 -0.05 -0.14 -0.04 0.06 -0.13 -0.09 -0.03
        0.92 0.55 0.11 -0.40 -0.22 -0.02 0.41 0.24 0.05 -0.11 -0.07 -0.01""",
    "venice": """0.55 0.50 0.47 0.51 0.51 0.51 0.31 0.17 0.09 -0.08 -0.01 0.02 -0.03 -0.01 0.01
        0.20 0.12 0.06 -0.09 -0.04 -0.01 -0.15 -0.09 -0.05 0.06 0.03 0.01""",
    "forest": _OVERCAST["forest"],
}


@dataclass(frozen=True)
class Light:
    """Sun and sky. Radiances are relative; the exposure is set from them.

    Attributes:
        to_sun: (3,) unit vector in the ground frame.
        sun: (3,) irradiance facing it; sky: (3,) of a level surface under the open sky.
        bounce: (3,) from sunlit ground, of a surface that faces down.
        cloudiness: 0 clear .. 1 overcast.
        shape: (9, 3) of the sky, before it is turned; azimuth_rad: where its brightest part is.
        haze_m: distance at which 1 - 1/e of the light comes from the air.
    """

    to_sun: FloatArray
    sun: FloatArray
    sky: FloatArray
    bounce: FloatArray
    cloudiness: float
    shape: FloatArray
    azimuth_rad: float
    haze_m: float

    def from_sky(self, normal: Single) -> Single:
        """Irradiance (N, 3) of surfaces with unit normals (N, 3) by the sky, nothing in the way."""
        c, s = np.float32(math.cos(self.azimuth_rad)), np.float32(math.sin(self.azimuth_rad))
        x = c * normal[:, 0] - s * normal[:, 2]
        y = normal[:, 1]
        z = s * normal[:, 0] + c * normal[:, 2]
        basis = (np.ones_like(x), y, z, x, 3 * y * y - 1, y * z, x * y, x * z, z * z - x * x)
        shares = np.stack(basis, axis=1) @ self.shape.astype(np.float32)
        # Degree 2 rings below zero where a surface faces the ground.
        return np.asarray(np.maximum(shares, 0.02) * self.sky.astype(np.float32), np.float32)


def sample_light(rng: np.random.Generator, preset: Preset) -> Light:
    """Sun somewhere behind or beside the camera, or an overcast sky."""
    azimuth = rng.uniform(-1.7, 1.7)
    elevation = math.radians(rng.uniform(preset.min_elevation_deg, 68))
    to_sun = np.array(
        [
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        ]
    )
    sunny = rng.random() < preset.sunny
    shapes = _CLEAR if sunny else _OVERCAST
    shape = np.array(shapes[str(rng.choice(sorted(shapes)))].split(), np.float64).reshape(9, 3)
    haze_m = preset.clear * float(rng.uniform(1200, 4000) if sunny else rng.uniform(500, 2500))
    if sunny:
        low = math.cos(elevation)
        return Light(
            to_sun,
            rng.uniform(1.6, 3.2) * np.array([1.0, 0.93 - 0.1 * low, 0.84 - 0.24 * low]),
            np.array([0.80, 0.92, 1.12]),
            np.array([0.33, 0.31, 0.28]),
            rng.uniform(0.05, 0.45),
            shape,
            azimuth,
            haze_m,
        )
    return Light(
        to_sun,
        rng.uniform(0.0, 0.25) * np.ones(3),
        np.array([0.98, 1.0, 1.04]),
        np.array([0.30, 0.29, 0.28]),
        1.0,
        shape,
        azimuth,
        haze_m,
    )
