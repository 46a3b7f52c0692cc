"""Ground, facades and sky by rule: reflectances and radiances of points, smoothed to the width of a pixel."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crowd3d.synth import noise
from crowd3d.synth.color import linear
from crowd3d.synth.place.light import Light

FloatArray = npt.NDArray[np.float32]

_PAVING = ("9a948b", "a7a099", "8d8a86", "b0a698", "7f7d7b", "a3958a")


_GOODS = ("d8b27a", "5b5f66", "8f969c", "b0774e", "3d4654", "c9c2b2", "6d7f8c", "efe3c8")


_FRAME = np.full(3, 0.35, np.float32)  # of windows


def _line(distance: FloatArray, width: float, pixel: FloatArray) -> FloatArray:
    """Share of a pixel that a line covers, by the pixel's distance from it and its width."""
    cover = np.clip(
        (width / 2 + pixel / 2 - distance) / np.maximum(np.minimum(pixel, width), 1e-6), 0, 1
    )
    return np.asarray(cover * np.minimum(1.0, width / np.maximum(pixel, 1e-6)), np.float32)


class Ground:
    """The reflectance of one kind of ground.

    Args:
        kind: paving (small stones), slabs (large plates), asphalt, grass.
        seed, yaw_rad: its details and the direction of its joints.
    """

    def __init__(self, kind: str, seed: int, yaw_rad: float) -> None:
        rng = np.random.default_rng(seed)
        self.kind = kind
        self._turn = (math.cos(yaw_rad), math.sin(yaw_rad))
        self._smooth, self._fine = noise.texture(rng, 1.4), noise.texture(rng, 0.6, 4)
        self._base = linear(_PAVING)[int(rng.integers(len(_PAVING)))]
        small = kind == "paving"
        self._stone = (
            (rng.uniform(0.2, 0.4), rng.uniform(0.1, 0.4))
            if small
            else (rng.uniform(0.6, 1.2), rng.uniform(0.6, 1.2))
        )
        self._joint_m = 0.008 if small else 0.012
        self._lines_m = float(rng.choice([0.0, 2.6, 3.4]))
        self._spread, self._bands_m = rng.uniform(0.04, 0.14), float(rng.choice([0.0, 4.8, 7.2]))

    def albedo(
        self, x: FloatArray, z: FloatArray, pixel_u: FloatArray, pixel_v: FloatArray
    ) -> FloatArray:
        """(N,) places in metres and the pixel's extent along both joints -> (N, 3)."""
        c, s = self._turn
        u, v = c * x + s * z, c * z - s * x
        blur = np.maximum(pixel_u, pixel_v)
        stains = (
            noise.sample(self._smooth, u / 37, v / 37) * 0.06
            + noise.sample(self._smooth, u / 7.3, v / 7.3) * 0.045
        )
        grain = noise.sample(self._fine, u / 1.9, v / 1.9) * np.clip(1 - blur / 0.25, 0, 1)
        speckle = noise.sample(self._fine, u / 0.31, v / 0.31) * np.clip(1 - blur / 0.03, 0, 1)
        shade = 1 + stains + 0.05 * grain + 0.04 * speckle
        if self.kind in ("paving", "slabs"):
            color = self._stones(u, v, pixel_u, pixel_v)
        elif self.kind == "grass":
            color = self._grass(u, v, blur)
        else:
            color = self._asphalt(u, v, pixel_u, pixel_v, blur)
        return np.asarray(color * np.clip(shade, 0.3, 2)[:, None], np.float32)

    def pixel_extent(
        self, along_xz: FloatArray, near: FloatArray, far: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Extent of a pixel along both joints.

        Args:
            along_xz: (N, 2) unit direction of view on the ground.
            near, far: (N,) extents across and along that direction.
        """
        c, s = self._turn
        cos = np.abs(c * along_xz[:, 0] + s * along_xz[:, 1])
        sin = np.abs(c * along_xz[:, 1] - s * along_xz[:, 0])
        return np.hypot(far * cos, near * sin), np.hypot(far * sin, near * cos)

    def _stones(
        self, u: FloatArray, v: FloatArray, pixel_u: FloatArray, pixel_v: FloatArray
    ) -> FloatArray:
        wide, deep = self._stone
        row = np.floor(v / deep)
        shifted = u / wide + 0.5 * (row % 2 if self.kind == "paving" else 0)
        column = np.floor(shifted)
        tone = noise.hashed(column, row) - 0.5
        keep_tone = np.clip(1.5 - np.maximum(pixel_u / wide, pixel_v / deep), 0, 1)
        color = self._base[None] * (1 + self._spread * 2 * tone * keep_tone)[:, None]
        off_u = (0.5 - np.abs(shifted - column - 0.5)) * wide
        off_v = (0.5 - np.abs(v / deep - row - 0.5)) * deep
        joint = np.maximum(
            _line(off_u, self._joint_m, pixel_u), _line(off_v, self._joint_m, pixel_v)
        )
        if self._bands_m:
            band = np.maximum(
                _line(np.abs((u / self._bands_m) % 1 - 0.5) * self._bands_m, 0.4, pixel_u),
                _line(np.abs((v / self._bands_m) % 1 - 0.5) * self._bands_m, 0.4, pixel_v),
            )
            color = color * (1 - 0.35 * band)[:, None]
        return np.asarray(color * (1 - 0.55 * joint)[:, None], np.float32)

    def _asphalt(
        self,
        u: FloatArray,
        v: FloatArray,
        pixel_u: FloatArray,
        pixel_v: FloatArray,
        blur: FloatArray,
    ) -> FloatArray:
        color = linear("6f6f70")[0][None] * np.ones((len(u), 1), np.float32)
        patch = noise.hashed(np.floor(u / 5.3), np.floor(v / 11.0))
        color = color * (1 + 0.10 * (patch > 0.7) - 0.12 * (patch < 0.15))[:, None]
        line = _line(np.abs((u / 2.6) % 1 - 0.5) * 2.6, 0.10, pixel_u) * (
            (np.floor(v / 24) % 2) == 0
        )
        wear = np.clip(0.75 + 0.2 * noise.sample(self._fine, u / 1.1, v / 1.1), 0.2, 1)
        share = (0.8 * line * wear)[:, None]
        return np.asarray(color + (linear("d9d8d2")[0] - color) * share, np.float32)

    def _grass(self, u: FloatArray, v: FloatArray, blur: FloatArray) -> FloatArray:
        blades = noise.sample(self._fine, u / 0.9, v / 0.9) * np.clip(1 - blur / 0.2, 0.15, 1)
        dry = noise.smoothstep(0.2, 1.6, noise.sample(self._smooth, u / 11, v / 11))[:, None]
        color = linear("587038")[0] * (1 - dry) + linear("757b45")[0] * dry
        # Winding footpaths of even width, their edges a little worn.
        across = ((u / 28) % 1 - 0.5) * 28 + 1.8 * np.sin(v / 11) + 0.9 * np.sin(v / 4.3 + 1)
        edge = 1.1 + 0.15 * noise.sample(self._fine, u / 2.3, v / 2.3)
        path = np.clip(edge - np.abs(across) / 1.3, 0, 0.2)[:, None] / 0.2
        color = color * (1 + 0.22 * blades)[:, None] * (1 - path) + linear("a5957c")[0] * path
        return np.asarray(color, np.float32)


def facade(
    along: FloatArray,
    up: FloatArray,
    height_m: FloatArray,
    seed: npt.NDArray[np.int64],
    wall: FloatArray,
    pixel_m: FloatArray,
    sky: FloatArray,
) -> FloatArray:
    """Reflectance of building fronts with floors, windows and shops.

    Args:
        along, up: (N,) metres on the wall; height_m: (N,) of the building; seed: (N,) its number.
        wall: (N, 3) its colour; pixel_m: (N,); sky: (3,) what the panes reflect.
    """
    floor_m, bay_m = 3.1 + 0.9 * noise.hashed(seed, 1), 1.9 + 1.8 * noise.hashed(seed, 2)
    floor, bay = np.floor(up / floor_m), np.floor(along / bay_m)
    shops = floor == 0
    half_u = np.where(shops, 0.86, 0.42 + 0.3 * noise.hashed(seed, 3)) * bay_m / 2
    half_v = np.where(shops, 0.72, 0.45 + 0.25 * noise.hashed(seed, 4)) * floor_m / 2
    off_u = np.abs(along / bay_m - bay - 0.5) * bay_m
    off_v = np.abs(up / floor_m - floor - 0.5) * floor_m
    soft = np.maximum(pixel_m, 0.02)

    def within(margin: float) -> FloatArray:
        inside_u = noise.smoothstep(-soft, soft, half_u - margin - off_u)
        return np.asarray(inside_u * noise.smoothstep(-soft, soft, half_v - margin - off_v))

    whole = (floor + 1) * floor_m < height_m - 0.2  # no cut windows under the roof
    sign = shops & (up > 0.86 * floor_m)
    pane = within(0.0) * whole * ~sign
    frame = pane * (1 - within(0.09))
    glass = _panes(along, up, seed, floor, bay, sky)
    color = _plaster(along, up, seed, wall, floor_m, soft)
    lettering = wall * (0.35 + 0.9 * noise.hashed(np.floor(along / 8), seed))[:, None]
    color = np.where(sign[:, None], lettering, color)
    color = color + (glass - color) * pane[:, None]
    return np.asarray(color + (_FRAME - color) * (0.5 * frame)[:, None], np.float32)


def _panes(
    along: FloatArray,
    up: FloatArray,
    seed: npt.NDArray[np.int64],
    floor: FloatArray,
    bay: FloatArray,
    sky: FloatArray,
) -> FloatArray:
    """What windows show: the sky, and goods behind those of the ground floor."""
    pick = noise.hashed(seed, floor, bay)
    glass = sky[None] * (0.05 + 0.10 * pick)[:, None] + 0.03 * (pick > 0.85)[:, None]
    goods = linear(_GOODS)[(noise.hashed(bay, seed, 9) * len(_GOODS)).astype(np.int64)]
    inside = noise.hashed(np.floor(along * 2.3), np.floor(up * 1.7), seed)
    shop = goods * (0.15 + 0.35 * inside * noise.smoothstep(0.3, 2.6, up))[:, None]
    return np.asarray(np.where((floor == 0)[:, None], shop, glass), np.float32)


def _plaster(
    along: FloatArray,
    up: FloatArray,
    seed: npt.NDArray[np.int64],
    wall: FloatArray,
    floor_m: FloatArray,
    soft: FloatArray,
) -> FloatArray:
    """The wall itself, with a ledge at each floor."""
    ledge = _line(np.abs(up / floor_m - np.round(up / floor_m)) * floor_m, 0.22, soft)
    rough = noise.hashed(np.floor(along * 7), np.floor(up * 9), seed) - 0.5
    return np.asarray(wall * (1 - 0.16 * ledge + 0.06 * rough)[:, None], np.float32)


def sky(direction: FloatArray, light: Light, clouds: FloatArray) -> FloatArray:
    """Radiance of the sky along (N, 3) directions, with flat clouds."""
    up = np.maximum(direction[:, 1], 0.0)
    zenith, horizon = np.array([0.22, 0.42, 0.85]), np.array([0.75, 0.85, 0.98])
    clear = horizon + (zenith - horizon) * (1 - np.exp(-4.0 * up))[:, None]
    flat = 1 / np.maximum(up + 0.08, 0.08)
    u, v = direction[:, 0] * flat * 0.035, direction[:, 2] * flat * 0.035
    cover = noise.smoothstep(
        0.9 - 2.4 * light.cloudiness, 2.2 - 2.4 * light.cloudiness, noise.sample(clouds, u, v)
    )
    grey = np.array([0.93, 0.95, 0.98]) * (
        1.0 - 0.1 * noise.sample(clouds, u + 0.3, v)[:, None] * 0.6
    )
    # Below the horizon, past ground that falls away, there is haze and no cloud.
    cover = cover * (1 - noise.smoothstep(0.001, 0.03, -direction[:, 1]))
    return np.asarray((clear + (grey - clear) * cover[:, None]) * 0.9, np.float32)
