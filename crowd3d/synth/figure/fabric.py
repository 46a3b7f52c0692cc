"""The colour of a point on a figure: skin, hair and cloth by rule, from its place on the resting body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.synth import noise
from crowd3d.synth.cast import outfits as wear
from crowd3d.synth.cast.outfits import Outfits
from crowd3d.synth.figure import accessories as parts
from crowd3d.synth.figure import regions

FloatArray = npt.NDArray[np.float32]


@dataclass
class Spots:
    """Points on figures, one row each.

    Attributes:
        rest_m: (N, 3) on the resting template.
        material: (N,) codes of `accessories`; who: (N,) row of the outfits.
        pixel_m: (N,) width that a pixel covers there.
    """

    rest_m: FloatArray
    material: npt.NDArray[np.int8]
    who: npt.NDArray[np.int64]
    pixel_m: FloatArray


def _mix(color: FloatArray, other: FloatArray, share: FloatArray) -> FloatArray:
    return np.asarray(color + (other - color) * share[:, None], np.float32)


def _patterned(
    p: FloatArray, who: npt.NDArray[np.int64], outfits: Outfits, pixel_m: FloatArray
) -> FloatArray:
    """Colour of the top with stripes, checks, a print on the chest or a yoke; patterns too fine blur."""
    top, second = outfits.top[who], outfits.top_second[who]
    kind, period = outfits.pattern[who], outfits.pattern_scale[who]
    along, around = regions.along_around(p)
    edge = np.clip(pixel_m / period, 0.02, 1.0)
    sharp = np.clip(2 - 3 * pixel_m / period, 0, 1)

    def band(x: FloatArray) -> FloatArray:
        wave = np.abs((x / period) % 1.0 - 0.5) * 2
        return np.asarray(0.45 + sharp * (noise.smoothstep(0.55 - edge, 0.55 + edge, wave) - 0.45))

    share = np.where(kind == wear.STRIPES, band(along), 0.0)
    share = np.where(kind == wear.CHECKS, 0.5 * (band(along) + band(around)), share)
    spot = (np.abs(p[:, 0]) < 0.085) & (np.abs(p[:, 1] - 0.26) < 0.075) & (p[:, 2] > 0.05)
    ragged = noise.hashed((p[:, 0] * 60).astype(int), (p[:, 1] * 40).astype(int), who) > 0.4
    share = np.where((kind == wear.PRINT) & spot, 0.85 * ragged, share)
    share = np.where((kind == wear.YOKE) & ((p[:, 1] > 0.30) | regions.is_arm(p)), 1.0, share)
    return _mix(top, second, share.astype(np.float32))


def _face(
    p: FloatArray, color: FloatArray, hair: FloatArray, lips: FloatArray, glasses: FloatArray
) -> FloatArray:
    """Eyes, brows, mouth, flushed cheeks."""
    x, y, front = np.abs(p[:, 0]), p[:, 1], p[:, 2] > 0.095

    def spot(cx: float, cy: float, rx: float, ry: float) -> FloatArray:
        return np.asarray(
            np.exp(-(((x - cx) / rx) ** 2) - ((y - cy) / ry) ** 2) * front, np.float32
        )

    color = _mix(
        color,
        color * np.array([1.12, 0.86, 0.82], np.float32),
        0.7 * spot(0.042, 0.575, 0.022, 0.02),
    )
    color = _mix(color, lips, np.minimum(1.2 * spot(0.0, 0.541, 0.024, 0.0075), 1))
    color = _mix(color, color * 0.55, 0.6 * spot(0.03, 0.614, 0.022, 0.011))
    color = _mix(
        color, np.full(3, 0.02, np.float32), np.minimum(1.3 * spot(0.030, 0.613, 0.011, 0.0055), 1)
    )
    color = _mix(color, hair * 0.8, np.minimum(1.2 * spot(0.031, 0.634, 0.019, 0.0045), 0.9))
    lens = (np.abs(x - 0.032) < 0.026) & (np.abs(y - 0.611) < 0.017) & (p[:, 2] > 0.07)
    return _mix(
        color, np.full(3, 0.015, np.float32), 0.93 * (lens & (glasses > 0)).astype(np.float32)
    )


def _body_color(
    p: FloatArray, who: npt.NDArray[np.int64], o: Outfits, pixel_m: FloatArray
) -> FloatArray:
    color = (
        o.skin[who]
        * (
            1
            + 0.25
            * (noise.hashed((p * 900).astype(int)[:, 0], (p * 900).astype(int)[:, 1]) - 0.5)
            * 0.2
        )[:, None]
    )
    hair = o.hair[who]
    head = p[:, 1] > 0.48
    color[head] = _face(p[head], color[head], hair[head], o.lips[who[head]], o.glasses[who[head]])

    bottom = regions.bottom_cover(p, o.leg_y[who])
    cloth = o.bottom[who]
    faded = (
        o.denim[who]
        * noise.smoothstep(0.02, 0.10, p[:, 2])
        * noise.smoothstep(-0.5, -0.25, p[:, 1])
    )
    cloth = cloth * (1 + 0.35 * faded)[:, None]
    color = np.where(bottom[:, None], cloth, color)
    hem = np.where(o.tucked[who] > 0, wear.WAIST_Y, np.minimum(o.hem_y[who], wear.WAIST_Y - 0.05))
    top = regions.top_cover(p, o.sleeve_x[who], hem, o.neck_y[who])
    color = np.where(top[:, None], top_color(p, who, o, pixel_m), color)
    belt = (o.tucked[who] > 0) & (np.abs(p[:, 1] - wear.WAIST_Y) < 0.016) & ~regions.is_arm(p)
    color = np.where(belt[:, None], 0.02, color)
    shoes = regions.shoe_cover(p) & (p[:, 1] <= o.leg_y[who])
    sole = p[:, 1] < -0.877
    color = np.where(shoes[:, None], np.where(sole[:, None], o.sole[who], o.shoes[who]), color)

    scalp = noise.smoothstep(-0.006, 0.006, p[:, 1] - regions.hair_edge_y(p, o.hairline[who])) * (
        p[:, 1] > 0.5
    )
    strands = noise.hashed((np.arctan2(p[:, 0], p[:, 2] - 0.05) * 40).astype(int), who)
    color = _mix(color, hair * (0.75 + 0.5 * strands)[:, None], scalp.astype(np.float32))
    hat = (o.hat_kind[who] > 0) & (p[:, 1] > parts.HAT_Y - 0.03 * (o.hat_kind[who] == wear.BEANIE))
    return np.asarray(np.where(hat[:, None], o.hat[who], color), np.float32)


def top_color(
    p: FloatArray, who: npt.NDArray[np.int64], o: Outfits, pixel_m: FloatArray
) -> FloatArray:
    """Colour of shirt or jacket, with an open front and the straps of a bag."""
    color = _patterned(p, who, o, pixel_m)
    trunk = (p[:, 2] > 0.03) & ~regions.is_arm(p)
    front = np.abs(p[:, 0]) < o.opening[who] * np.clip(1.2 - 0.5 * (p[:, 1] + 0.1), 0.3, 1.2)
    color = np.where((front & trunk)[:, None], o.top_second[who], color)
    pack = (
        (o.bag_kind[who] == wear.BACKPACK)
        & (np.abs(np.abs(p[:, 0]) - 0.105) < 0.02)
        & (p[:, 1] > 0.12)
        & trunk
    )
    side = np.where(o.wrinkle_seed[who] > 0.5, 1.0, -1.0)
    slanted = np.abs(p[:, 0] + side * (p[:, 1] - 0.2) * 0.55) < 0.015
    strap = (
        (o.bag_kind[who] == wear.SHOULDER_BAG)
        & slanted
        & (np.abs(p[:, 0]) < 0.16)
        & ~regions.is_arm(p)
    )
    return np.asarray(np.where((pack | strap)[:, None], o.bag[who], color), np.float32)


def _bare(at: Spots, o: Outfits) -> npt.NDArray[np.bool_]:
    """(N,) whether a point is skin: neither clothes nor shoes cover it."""
    p, who = at.rest_m, at.who
    hem = np.minimum(o.hem_y[who], wear.WAIST_Y)
    top = regions.top_cover(p, o.sleeve_x[who], hem, o.neck_y[who])
    covered = top | regions.bottom_cover(p, o.leg_y[who]) | regions.shoe_cover(p)
    return np.asarray((at.material == parts.BODY) & ~covered)


def folded(normal: FloatArray, at: Spots, outfits: Outfits, grain: FloatArray) -> FloatArray:
    """Normals (N, 3) turned by the folds of cloth and the strands of hair."""
    along, around = regions.along_around(at.rest_m)
    skin = _bare(at, outfits)
    hair = (at.material == parts.HAIR) | (skin & (at.rest_m[:, 1] > 0.66))
    smooth = skin | (at.material == parts.BAG)
    amount = np.where(hair, 0.12, np.where(smooth, 0.02, 0.17)).astype(np.float32)
    fine = 0.45 * np.clip(1.5 - at.pixel_m / 0.02, 0, 1)
    shift = at.who * np.float32(0.137)
    found = normal.copy()
    for axis in range(3):
        offset = shift + np.float32(0.31 * axis)
        # Folds run across limbs and trunk: longer around than along.
        large = noise.sample(grain, around * 0.8 + offset, along * 1.4 - offset)
        small = noise.sample(grain, around * 2.6 - offset, along * 5.5 + offset)
        found[:, axis] += amount * (0.75 * large + fine * small)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(length, 1e-6), np.float32)


def _hair(p: FloatArray, color: FloatArray, who: npt.NDArray[np.int64]) -> FloatArray:
    strand = noise.hashed((np.arctan2(p[:, 0], p[:, 2] - 0.05) * 40).astype(int), who)
    return np.asarray(color * (0.7 + 0.6 * strand)[:, None], np.float32)


def albedo(at: Spots, o: Outfits, grain: FloatArray) -> FloatArray:
    """Linear reflectance (N, 3) of points on figures; `grain` is a noise texture."""
    p, who, pixel_m = at.rest_m, at.who, at.pixel_m
    color = np.zeros((len(p), 3), np.float32)
    makers: dict[int, Callable[[npt.NDArray[np.bool_]], npt.NDArray[np.generic]]] = {
        parts.BODY: lambda m: _body_color(p[m], who[m], o, pixel_m[m]),
        parts.TOP: lambda m: top_color(p[m], who[m], o, pixel_m[m]),
        parts.BOTTOM: lambda m: o.bottom[who[m]],
        parts.HAIR: lambda m: _hair(p[m], o.hair[who[m]], who[m]),
        parts.HAT: lambda m: o.hat[who[m]],
        parts.BAG: lambda m: o.bag[who[m]],
    }
    for code, make in makers.items():
        mine = at.material == code
        if mine.any():
            color[mine] = make(mine)
    along, around = regions.along_around(p)
    mottle = noise.sample(grain, around * 1.3 + who * 0.37, along * 1.1 + who * 0.11)
    amount = np.where(_bare(at, o), 0.015, 0.05)
    return np.asarray(color * (1 + amount * mottle)[:, None], np.float32)
