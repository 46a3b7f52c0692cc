"""Made-up backgrounds without anybody: noise, leaves, bricks, stripes, gradients, things of all shapes."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
Pixels = npt.NDArray[np.uint8]
Single = npt.NDArray[np.float32]


def made_up(count: int, side_px: int, seed: int) -> list[Pixels]:
    """So many backgrounds (S, S, 3)."""
    pictures = [_background(side_px, np.random.default_rng([seed, i])) for i in range(count)]
    return [(picture.clip(0, 1) * 255 + 0.5).astype(np.uint8) for picture in pictures]


def _background(side_px: int, rng: Rng) -> Single:
    """(S, S, 3) 0..1: one texture, or two side by side."""
    picture = _one(side_px, rng)
    if rng.random() < 0.35:
        other = _one(side_px, rng)
        picture = np.where(half_plane(side_px, rng)[..., None], picture, other)
    return picture


def half_plane(side_px: int, rng: Rng) -> npt.NDArray[np.bool_]:
    """(S, S) one side of a random line."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:side_px, :side_px] - rng.uniform(0.2, 0.8) * side_px
    return np.asarray(x * np.cos(angle) + y * np.sin(angle) > 0)


def _one(side_px: int, rng: Rng) -> Single:
    makers = (_gradient, _noise, _leaves, _things, _bricks, _stripes, _signs, _vehicles)
    shares = (0.12, 0.14, 0.18, 0.18, 0.13, 0.08, 0.08, 0.09)
    return makers[int(rng.choice(len(makers), p=shares))](side_px, rng)


def _color(rng: Rng) -> Single:
    """(3,) mostly greyish."""
    grey = rng.uniform(0.03, 0.97)
    return np.clip(grey + rng.normal(0, rng.choice([0.02, 0.05, 0.1, 0.2]), 3), 0, 1).astype(
        np.float32
    )


def _gradient(side_px: int, rng: Rng) -> Single:
    corners = np.stack([_color(rng) for _ in range(4)]).reshape(2, 2, 3)
    if rng.random() < 0.5:
        corners = corners[:1, :1] + rng.uniform(0, 0.4) * (corners - corners[:1, :1])
    smooth = cv2.resize(corners, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:  # grain, from a good sensor's to nothing but grain
        shape = (side_px, side_px, int(rng.choice([1, 3])))
        grain = np.exp(rng.uniform(np.log(0.01), np.log(0.5)))
        smooth = smooth + np.float32(grain) * rng.standard_normal(shape, np.float32)
    return np.asarray(smooth, np.float32)


def _grey_noise(side_px: int, rng: Rng, channels: int = 1) -> Single:
    """(S, S, C) of mean 0 and deviation 1 whose octaves fall or rise."""
    total = np.zeros((side_px, side_px, channels), np.float32)
    fall = np.exp(rng.uniform(np.log(0.3), np.log(4)))
    cells = side_px
    weight = 1.0
    while cells >= 2:
        small = rng.standard_normal((cells, cells, channels), np.float32)
        grown = cv2.resize(small, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
        total += weight * grown.reshape(total.shape)
        weight /= fall
        cells //= 2
    return np.asarray((total - total.mean()) / (total.std() + 1e-6), np.float32)


def _noise(side_px: int, rng: Rng) -> Single:
    noise = _grey_noise(side_px, rng, 3 if rng.random() < 0.3 else 1)
    share = 1 / (1 + np.exp(-rng.uniform(0.5, 4) * noise))  # bold ones look like patches
    return np.asarray(_color(rng) * share + _color(rng) * (1 - share), np.float32)


def _textured(picture: Single, rng: Rng, most: float = 0.25) -> Single:
    noise = _grey_noise(picture.shape[0], rng)
    return np.asarray(np.clip(picture * (1 + rng.uniform(0, most) * noise), 0, 1), np.float32)


def _leaves(side_px: int, rng: Rng) -> Single:
    """Dead leaves: many small shapes of similar colours over each other, as foliage, gravel or litter."""
    base, other = _color(rng), _color(rng)
    picture = _noise(side_px, rng)
    size = np.exp(rng.uniform(np.log(1.5), np.log(7)))
    for _ in range(int(min(500, 0.8 * side_px**2 / size**2))):
        color = base + rng.random() * (other - base)
        color = np.clip(color * np.exp(rng.normal(0, 0.35)), 0, 1)
        axes = size * np.exp(rng.normal(0, 0.5, 2))
        _ellipse(picture, rng.uniform(0, side_px, 2), axes, rng.uniform(0, 180), color)
    return _textured(picture, rng)


def _ellipse(
    picture: Single, middle: npt.ArrayLike, axes: npt.ArrayLike, angle: float, color: Single
) -> None:
    x, y = (int(v) for v in np.asarray(middle) * 16)  # cv2 counts in sixteenths here
    a, b = (max(8, int(v)) for v in np.asarray(axes) * 16)
    tint = tuple(float(c) for c in color)
    cv2.ellipse(picture, (x, y), (a, b), angle, 0, 360, tint, -1, cv2.LINE_AA, 4)


def _things(side_px: int, rng: Rng) -> Single:
    """Boxes, discs, poles and beams of all sizes over each other."""
    picture = _gradient(side_px, rng) if rng.random() < 0.5 else _noise(side_px, rng)
    return _textured(scattered(picture, int(rng.integers(3, 60)), rng), rng)


def scattered(picture: Single, count: int, rng: Rng) -> Single:
    """The picture with things in front of it."""
    side_px = picture.shape[0]
    picture = np.ascontiguousarray(picture)
    is_upright = rng.random() < 0.5
    for _ in range(count):
        color = _color(rng)
        size = np.exp(rng.uniform(np.log(2), np.log(0.5 * side_px)))
        middle = rng.uniform(0, side_px, 2)
        kind = rng.random()
        if kind < 0.1:  # a ring, a hoop
            ring = (int(middle[0]), int(middle[1])), int(size / 2)
            cv2.circle(picture, *ring, _tint(rng), int(rng.integers(1, 4)))
            continue
        if kind < 0.35:
            _ellipse(picture, middle, size * rng.uniform(0.2, 1, 2) / 2, rng.uniform(0, 180), color)
            continue
        sides = np.array([size * rng.uniform(0.2, 1), size])
        if kind > 0.65:  # a pole, a beam
            sides = np.array([rng.uniform(0.7, 4), side_px * rng.uniform(0.2, 1.5)])
        angle = rng.choice([0.0, 90.0]) if is_upright else rng.uniform(0, 180)
        corners = cv2.boxPoints(((middle[0], middle[1]), (sides[0], sides[1]), float(angle)))
        tint = tuple(float(c) for c in color)
        cv2.fillConvexPoly(picture, _sixteenths(corners), tint, cv2.LINE_AA, 4)
    return picture


def _signs(side_px: int, rng: Rng) -> Single:
    """Boards with letters, as over shops and on number plates."""
    picture = _things(side_px, rng)
    for _ in range(int(rng.integers(2, 25))):
        size = np.exp(rng.uniform(np.log(0.25), np.log(2.5)))
        letters = rng.choice(
            list("ABCDEFGHKLMNOPRSTUWabdeghknopqrst0123456789 "), rng.integers(1, 14)
        )
        x, y = (int(v) for v in rng.uniform(-0.2, 1, 2) * side_px)
        if rng.random() < 0.6:
            end = (x + int(18 * size * len(letters)), y + int(12 * size))
            cv2.rectangle(picture, (x - 4, y - int(28 * size)), end, _tint(rng), -1)
        thick = max(1, int(rng.uniform(0.5, 4) * size))
        font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
        ink = np.zeros((side_px, side_px), np.uint8)
        cv2.putText(ink, "".join(letters), (x, y), font, size, 255, thick)
        picture[ink > 0] = _color(rng)
    return picture


def _vehicles(side_px: int, rng: Rng) -> Single:
    """Cars and bicycles, roughly: bodies, windows, wheels, frames, on some ground."""
    picture = _noise(side_px, rng) if rng.random() < 0.6 else _bricks(side_px, rng)
    usual = np.exp(rng.uniform(np.log(14), np.log(90)))
    for _ in range(int(rng.integers(1, 14))):
        long = usual * np.exp(rng.normal(0, 0.2))
        x, y = rng.uniform(0, side_px, 2)
        points = np.array([x, y]) + long * rng.normal(0, 0.3, (5, 2)) * (1, 0.6)
        wheel = long * rng.uniform(0.1, 0.2)
        is_car = rng.random() < 0.6
        if is_car:
            tint, glass = _color(rng), _color(rng) * 0.4
            _box(picture, (x, y), (long, 0.28 * long), tint)
            _box(
                picture, (x, y - 0.22 * long), (0.6 * long, 0.24 * long), tint * rng.uniform(0.7, 1)
            )
            for side in (-0.15, 0.15):
                _box(picture, (x + side * long, y - 0.22 * long), (0.25 * long, 0.16 * long), glass)
        else:
            cv2.polylines(picture, [_sixteenths(points)], True, _tint(rng), 1, cv2.LINE_AA, 4)
        rubber = tuple(float(0.3 * c) for c in _color(rng))
        for side in (-0.3, 0.3):
            middle = (int(16 * (x + side * long)), int(16 * (y + 0.14 * long)))
            filled = -1 if is_car else 1
            cv2.circle(picture, middle, int(16 * wheel), rubber, filled, cv2.LINE_AA, 4)
    return _textured(picture, rng, 0.1)


def _tint(rng: Rng) -> tuple[float, ...]:
    return tuple(float(c) for c in _color(rng))


def _box(picture: Single, middle: npt.ArrayLike, size: npt.ArrayLike, color: Single) -> None:
    low, high = np.asarray(middle) - np.asarray(size) / 2, np.asarray(middle) + np.asarray(size) / 2
    tint = tuple(float(c) for c in color)
    (x0, y0), (x1, y1) = _sixteenths(low), _sixteenths(high)
    cv2.rectangle(picture, (int(x0), int(y0)), (int(x1), int(y1)), tint, -1, cv2.LINE_AA, 4)


def _sixteenths(points: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Places as cv2 takes them to draw between pixels."""
    return np.asarray(np.asarray(points) * 16, np.int32)


def _bricks(side_px: int, rng: Rng) -> Single:
    """A grid of bricks, tiles, windows or railings, seen at a slant."""
    big = 2 * side_px
    cell = np.exp(rng.uniform(np.log(3), np.log(50), 2))
    gap = cell * rng.uniform(0.05, 0.6, 2)
    y, x = np.mgrid[:big, :big].astype(np.float32)
    row = np.floor(y / cell[1])
    x = x + (row % 2) * cell[0] / 2 * (rng.random() < 0.4)
    column = np.floor(x / cell[0])
    is_gap = (x % cell[0] < gap[0]) | (y % cell[1] < gap[1])
    shades = np.exp(rng.normal(0, rng.uniform(0, 0.4), 4096)).astype(np.float32)
    shade = shades[(row * 64 + column).astype(int) % 4096]
    picture = np.where(is_gap[..., None], _color(rng), _color(rng) * shade[..., None])
    return _textured(_slanted(picture.clip(0, 1).astype(np.float32), side_px, rng), rng)


def _slanted(picture: Single, side_px: int, rng: Rng) -> Single:
    """The middle of a picture, turned and in perspective."""
    big = picture.shape[0]
    middle, reach = big / 2, side_px / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * reach
    angle = rng.normal(0, 0.15) if rng.random() < 0.7 else rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = (corners * rng.uniform(0.5, 1.3, (4, 1))) @ turn + middle
    target = corners + reach
    matrix = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
    size = (side_px, side_px)
    found = cv2.warpPerspective(
        picture, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(found, np.float32)


def _stripes(side_px: int, rng: Rng) -> Single:
    """Waves or bars of one direction."""
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    y, x = np.mgrid[:side_px, :side_px].astype(np.float32)
    wave = np.exp(rng.uniform(np.log(3), np.log(60)))
    bend = rng.uniform(0, 1.5) * cv2.GaussianBlur(_grey_noise(side_px, rng), (0, 0), 12.0)
    phase = (x * np.cos(angle) + y * np.sin(angle)) / wave + bend
    share = 0.5 + 0.5 * np.sin(2 * np.pi * phase)
    if rng.random() < 0.5:
        share = (share > rng.uniform(0.1, 0.9)).astype(np.float32)
    picture = _color(rng) * share[..., None] + _color(rng) * (1 - share[..., None])
    return _textured(picture.astype(np.float32), rng)
