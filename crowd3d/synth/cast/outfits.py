"""What people wear: one row a person, drawn from palettes as they are seen in the street."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from crowd3d.synth.color import linear

FloatArray = npt.NDArray[np.float32]
Rng = np.random.Generator

# Heights on the resting body (crowd3d.body's template), metres above the pelvis.
WAIST_Y, CROTCH_Y, ANKLE_Y = 0.09, -0.13, -0.82

PLAIN, STRIPES, CHECKS, PRINT, YOKE = range(5)
NO_HAT, CAP, BRIM, BEANIE = range(4)
NO_BAG, BACKPACK, SHOULDER_BAG, SHOPPING = range(4)
NO_GEAR, UMBRELLA, PHONE, PRAM = range(4)

_SKIN = ("f1c9a5", "e0ac85", "e8b796", "d09a72", "c68c5f", "ad7347", "8a5533", "6a3f26", "f3d0b5")
_SKIN_WEIGHTS = (3, 4, 4, 3, 2.2, 1.5, 1.2, 1.0, 2)
_HAIR = (
    "17120f",
    "1e1712",
    "2b1e15",
    "3d2918",
    "5a3d22",
    "8a6a3f",
    "b9975f",
    "8c8a88",
    "c9c5bf",
    "6b2f17",
)
_HAIR_WEIGHTS = (7, 6, 5, 4, 2.5, 1.2, 0.8, 1.0, 0.6, 0.4)
_TOPS = (
    "14151a 1d2026 262a33 23304a 1c2b4f 31415f 4a5a72 6d7784 8f959c b5b8bb d9d9d6 ecebe6 f4f3ef e6e2d8 "
    "3a3f36 55603f 6d5a43 8c7355 b79c77 7b1f24 a3262b c43a32 5d2036 d66f3a e2b93b 2f6a4f 3f8a8c 5f8fc2 "
    "86a9d1 274f9c 6a4a86 d59aa8 e7c4c4"
).split()
_TOP_WEIGHTS = "9 8 6 7 4 5 4 4 5 5 7 8 9 4 3 3 2.5 2.5 2.5 2 2 2.2 1.2 1 1.2 1.5 1.2 3 3 2.5 1 1.5 1.5".split()
_BOTTOMS = (
    "15161a 1e2027 262932 1d2a44 24365a 34496f 4d6690 7389a8 3b3b3e 5a5a5c 8d8a84 b9a988 9c8763 5c4a38 "
    "d8d3c8 3f4636 6b2730"
).split()
_BOTTOM_WEIGHTS = "11 8 6 8 9 8 6 4 5 4 3 4 3 2 2.5 2 0.6".split()
_SHOES = ("15151a", "2a2724", "e9e8e4", "f4f3f0", "6b4a32", "8a8d92", "2b3c63", "a02c2f", "c9a987")
_SHOE_WEIGHTS = (8, 5, 6, 5, 3, 2, 1.5, 1, 1)
_BAGS = ("1a1a1d", "2d2a28", "5b3b26", "8a5a33", "23304a", "6f7478", "8b2a2d", "d8d0c0", "3f5a3a")


@dataclass
class Outfits:
    """One row a person; colours are linear reflectances, lengths metres on the resting body.

    Attributes:
        skin, hair, top, top_second, bottom, shoes, sole, hat, bag, lips: (N, 3).
        pattern, hat_kind, bag_kind: (N,) codes of this module.
        pattern_scale: (N,) metres a period.
        hairline: (N,) shift of the hair's edge; large = bald. hair_m: its thickness.
        hair_end_y: (N,) where long hair ends; above the chin = short hair.
        sleeve_x, hem_y, neck_y, leg_y: (N,) ends of sleeves, top, neckline, trousers.
        opening: (N,) half width of an open jacket's front; 0 = closed.
        skirt_y: (N,) end of a skirt or coat; above the crotch = none. coat: it has the top's colour.
        tucked: (N,) the top ends at the belt.
        loose_top_m, loose_bottom_m, sole_m: (N,) distances from the body.
        denim, glasses: (N,) 0 or 1.
        wrinkle_seed: (N,) which noise.
        gear: (N,) what they hold or push besides, codes of this module.
    """

    skin: FloatArray
    hair: FloatArray
    top: FloatArray
    top_second: FloatArray
    bottom: FloatArray
    shoes: FloatArray
    sole: FloatArray
    hat: FloatArray
    bag: FloatArray
    lips: FloatArray
    pattern: FloatArray
    hat_kind: FloatArray
    bag_kind: FloatArray
    pattern_scale: FloatArray
    hairline: FloatArray
    hair_m: FloatArray
    hair_end_y: FloatArray
    sleeve_x: FloatArray
    hem_y: FloatArray
    neck_y: FloatArray
    leg_y: FloatArray
    opening: FloatArray
    skirt_y: FloatArray
    coat: FloatArray
    tucked: FloatArray
    loose_top_m: FloatArray
    loose_bottom_m: FloatArray
    sole_m: FloatArray
    denim: FloatArray
    glasses: FloatArray
    wrinkle_seed: FloatArray
    gear: FloatArray

    def __len__(self) -> int:
        return len(self.pattern)


def _pick(
    rng: Rng, colors: tuple[str, ...] | list[str], weights: object = None, spread: float = 0.06
) -> FloatArray:
    p = None if weights is None else np.array(weights, dtype=np.float64)
    index = rng.choice(len(colors), p=None if p is None else p / p.sum())
    color = linear(colors[int(index)])[0] * (1 + spread * rng.standard_normal(3) * 0.6)
    return np.asarray(np.clip(color * np.exp(rng.normal(0, 2 * spread)), 0.006, 0.86), np.float32)


@dataclass(frozen=True)
class _Style:
    """What one person wears, before colours and lengths."""

    child: bool
    feminine: bool
    jacket: bool
    short_sleeves: bool
    shorts: bool
    skirted: bool
    dress: bool
    coat: bool
    bald: bool
    long_hair: bool


def _style(rng: Rng, child: bool, warm: float, feminine: bool) -> _Style:
    """`warm` is 0 for winter and 1 for summer."""
    jacket = rng.random() > 0.25 + 0.65 * warm
    skirted = feminine and rng.random() < 0.12 + 0.22 * warm
    return _Style(
        child=child,
        feminine=feminine,
        jacket=jacket,
        short_sleeves=not jacket and rng.random() < 0.25 + 0.65 * warm,
        shorts=rng.random() < 0.35 * warm * (1.6 if child else 1.0),
        skirted=skirted,
        dress=skirted and rng.random() < 0.5,
        coat=jacket and not skirted and rng.random() < 0.28,
        bald=not feminine and not child and rng.random() < 0.09,
        long_hair=rng.random() < (0.72 if feminine else 0.05),
    )


def _colors(rng: Rng, style: _Style) -> dict[str, object]:
    """Colours and patterns."""
    any_top = np.array(_TOP_WEIGHTS, float)
    top, skin = _pick(rng, _TOPS, any_top), _pick(rng, _SKIN, _SKIN_WEIGHTS, 0.03)
    if style.child and rng.random() < 0.5:
        top = _pick(rng, _TOPS[19:])
    patterns = [0.86, 0.01, 0.04, 0.03, 0.06] if style.jacket else [0.62, 0.10, 0.08, 0.14, 0.06]
    bottom = _pick(rng, _BOTTOMS, np.array(_BOTTOM_WEIGHTS, float))
    return {
        "skin": skin,
        "hair": _pick(rng, _HAIR, _HAIR_WEIGHTS),
        "top": top,
        "top_second": _pick(rng, _TOPS, any_top),
        "bottom": top * 0.97 if style.dress else bottom,
        "shoes": _pick(rng, _SHOES, _SHOE_WEIGHTS),
        "sole": linear("dedbd3" if rng.random() < 0.4 else "1b1a19")[0],
        "hat": _pick(rng, _TOPS, any_top),
        "bag": _pick(rng, _BAGS),
        "lips": skin * np.array([0.9, 0.35, 0.38] if style.feminine else [0.85, 0.5, 0.5]),
        "pattern": rng.choice(5, p=patterns),
        "pattern_scale": rng.uniform(0.025, 0.09),
        "denim": float(rng.random() < 0.5),
        "glasses": float(rng.random() < 0.16),
        "wrinkle_seed": rng.random(),
    }


def _cut(rng: Rng, style: _Style) -> dict[str, object]:
    """Lengths and widths of clothes and hair."""
    low, high = (-0.60, -0.30) if style.skirted else (-0.45, -0.22)
    skirt_y = rng.uniform(low, high) if style.skirted or style.coat else 0.0
    tight = rng.random() < 0.3
    return {
        "hairline": rng.uniform(0.08, 0.14) if style.bald else rng.normal(0.0, 0.008),
        "hair_m": rng.uniform(0.006, 0.022) + 0.008 * float(style.feminine),
        "hair_end_y": rng.uniform(0.26, 0.47) if style.long_hair else 0.6,
        "sleeve_x": rng.uniform(*((0.24, 0.40) if style.short_sleeves else (0.60, 0.655))),
        "hem_y": rng.uniform(-0.11, 0.01),
        "neck_y": rng.uniform(*((0.48, 0.515) if style.jacket else (0.455, 0.49))),
        "leg_y": rng.uniform(*((-0.50, -0.36) if style.shorts else (-0.865, -0.79))),
        "opening": rng.uniform(0.03, 0.08) if style.jacket and rng.random() < 0.6 else 0.0,
        "skirt_y": skirt_y,
        "coat": float(style.coat or style.dress),
        "tucked": float(rng.random() < 0.15),
        "loose_top_m": rng.uniform(*((0.016, 0.034) if style.jacket else (0.006, 0.018))),
        "loose_bottom_m": rng.uniform(*((0.006, 0.012) if tight else (0.014, 0.036))),
        "sole_m": rng.uniform(0.010, 0.025),
    }


def _one(rng: Rng, child: bool, warm: float, feminine: bool) -> dict[str, object]:
    """Draws one person."""
    style = _style(rng, child, warm, feminine)
    hats = [0.80, 0.11, 0.05, 0.04] if warm > 0.5 else [0.78, 0.08, 0.02, 0.12]
    bags = [0.8, 0.16, 0.01, 0.03] if child else [0.60, 0.17, 0.15, 0.08]
    row = _colors(rng, style) | _cut(rng, style)
    row["hat_kind"] = rng.choice([NO_HAT, CAP, BRIM, BEANIE], p=hats)
    row["bag_kind"] = rng.choice([NO_BAG, BACKPACK, SHOULDER_BAG, SHOPPING], p=bags)
    if style.skirted and rng.random() < 0.7 * warm + 0.15:
        row["leg_y"] = 0.0  # bare legs below the skirt
    return row


def sample_gear(
    rng: Rng, may_hold: npt.NDArray[np.bool_], umbrellas: float, phones: float, prams: float
) -> FloatArray:
    """(N,) `Outfits.gear`, for those of N people who may hold something; the shares are of those."""
    gear = rng.choice(
        4, len(may_hold), p=[1 - umbrellas - phones - prams, umbrellas, phones, prams]
    )
    return np.asarray(np.where(may_hold, gear, NO_GEAR), np.float32)


def sample_outfits(rng: Rng, children: npt.NDArray[np.bool_], gear: FloatArray) -> Outfits:
    """Clothes for N people of one day: all share a season.

    Args:
        children: (N,) who is a child.
        gear: (N,) as of `sample_gear`.
    """
    warm = rng.beta(1.6, 1.2)
    rows = [_one(rng, bool(child), float(warm), bool(rng.random() < 0.48)) for child in children]
    names = [f.name for f in fields(Outfits) if f.name != "gear"]
    worn = {name: np.array([row[name] for row in rows], np.float32) for name in names}
    return Outfits(**worn, gear=gear)
