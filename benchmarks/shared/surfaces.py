"""Pictures of any size that show nobody, and copies of a picture on them.

All are pipelines of libvips, so that memory does not grow with the picture, and the same numbers give the same
pixels. Pixels are 8-bit sRGB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pyvips

Size = tuple[int, int]
"""Width and height in pixels."""
Pixels = npt.NDArray[np.uint8]

QUALITY = 90
TILE_PX = 4096
_LEAF_PX = (6.0, 80.0)
_LAYERS, _UPPER_LAYERS = 5.0, 0.7  # less than 1 % and 50 % of these tiles have no leaves
_UPPER_TILE = 0.73  # side, of that of the lower tile; together they repeat after thousands of tiles
_ASPHALT = (104, 103, 100)
_SKY = ((92, 134, 186), (206, 218, 228))  # from the top to the horizon
_GROUND = ((150, 146, 138), (118, 112, 102))  # from the horizon to the bottom
_HORIZON = 0.45  # of the picture's height
_SHADE_PX = 256  # clumps of leaves and their shadows
_FRACTION_BITS = 3  # of coordinates in OpenCV
# Greens and two browns, of which a leaf takes one, brighter or darker.
_LEAVES = np.array(
    [(86, 118, 48), (64, 96, 40), (112, 138, 62), (52, 78, 44), (128, 104, 62), (92, 70, 46)]
)


def save(picture: pyvips.Image, path: Path) -> None:
    """Write a JPEG; an incomplete picture never has the name."""
    partial = path.with_suffix(f".part{path.suffix}")
    picture.write_to_file(str(partial), Q=QUALITY)
    partial.replace(path)


def plain(size: Size, grey: int) -> pyvips.Image:
    """One grey everywhere."""
    return _srgb(pyvips.Image.black(*size, bands=3) + grey)


def in_the_middle(picture: pyvips.Image, ground: pyvips.Image) -> pyvips.Image:
    """The picture at its own size on a larger one."""
    return ground.insert(picture, *middle((ground.width, ground.height), _size(picture)))


def middle(outer: Size, inner: Size) -> Size:
    """Top-left corner of a picture in the middle of a larger one."""
    return (outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2


def mosaic(picture: pyvips.Image, columns: int, rows: int) -> pyvips.Image:
    """Copies side by side."""
    return picture.copy_memory().replicate(columns, rows)


def asphalt(size: Size, seed: int) -> pyvips.Image:
    """An empty road: weak grey noise of many grain sizes, sigma about 6."""
    grain = octaves(size, (4.0, 3.0, 2.5, 2.0, 1.5, 1.5, 1.5, 1.5), seed)
    return _srgb(pyvips.Image.black(*size, bands=3) + list(_ASPHALT) + grain)


def empty_place(size: Size, seed: int) -> pyvips.Image:
    """A sky over plain ground, both smooth, with the faint noise of a sensor (sigma 2)."""
    width, height = size
    horizon = round(_HORIZON * height)
    column = np.concatenate(
        [
            np.linspace(top, bottom, rows, dtype=np.float32)
            for (top, bottom), rows in ((_SKY, horizon), (_GROUND, height - horizon))
        ]
    )
    line = pyvips.Image.new_from_memory(column.tobytes(), 1, height, 3, "float")
    return _srgb(line.embed(0, 0, width, height, extend="copy") + coloured(size, (2.0,), seed))


def noise(size: Size, seed: int) -> pyvips.Image:
    """Strong noise of every colour and grain size."""
    return _srgb(coloured(size, (35.0, 15.0, 15.0, 15.0, 15.0, 15.0, 15.0, 15.0), seed) + 128)


def foliage(size: Size, seed: int, tile_px: int = TILE_PX) -> pyvips.Image:
    """Nothing but leaves, a dead-leaves model (Matheron 1968), in light and shadow.

    A seamless tile of leaves is repeated, and upon it another of another size, through whose gaps it is seen.
    A mirrored tile would not do: where it meets itself stand figures with two equal sides, like people.
    """
    rng = np.random.default_rng(seed)
    below, above = (
        _repeated(leaves(side, layers, rng), size)
        for side, layers in ((tile_px, _LAYERS), (round(_UPPER_TILE * tile_px), _UPPER_LAYERS))
    )
    picture = (above.bandor() > 0).ifthenelse(above, below)
    shade = octaves(size, (0.12, 0.1, 0.08), seed, _SHADE_PX)
    return _srgb(picture * (0.9 + shade))


def _repeated(tile: Pixels, size: Size) -> pyvips.Image:
    columns, rows = (math.ceil(side / len(tile)) for side in size)
    return pyvips.Image.new_from_array(tile).replicate(columns, rows).crop(0, 0, *size)


def leaves(side_px: int, layers: float, rng: np.random.Generator) -> Pixels:
    """(side, side, 3) a seamless tile of overlapping leaves, black where there are none.

    Args:
        layers: area of all leaves in areas of the tile; a share exp(-layers), or a little less, stays black.
    """
    small, large = _LEAF_PX
    # The number of leaves falls with the square of their length; the mean square is then small * large.
    area_px2 = small * large * 0.45 * math.pi / 4
    count = math.ceil(layers * side_px**2 / area_px2)
    length = 1 / rng.uniform(1 / large, 1 / small, count)
    axes = np.stack([length, length * rng.uniform(0.3, 0.6, count)], axis=1) / 2
    center = rng.uniform(0, side_px, (count, 2))
    angle = rng.uniform(0, 360, count)
    light = rng.uniform(0.5, 1.4, (count, 1)) * rng.uniform(0.9, 1.1, (count, 3))
    colour = np.clip(_LEAVES[rng.integers(0, len(_LEAVES), count)] * light, 0, 255)
    tile: Pixels = np.zeros((side_px, side_px, 3), np.uint8)
    for i in range(count):
        for at in _wrapped(center[i], axes[i, 0], side_px):
            _leaf(tile, at, axes[i], angle[i], colour[i])
    return tile


def _wrapped(
    center: npt.NDArray[np.float64], reach: float, side: int
) -> list[npt.NDArray[np.float64]]:
    """The centre of a leaf, and where it comes in again if it sticks out of the tile."""
    places = [center]
    for axis, step in ((0, np.array([side, 0])), (1, np.array([0, side]))):
        if center[axis] < reach:
            places += [place + step for place in places]
        elif center[axis] > side - reach:
            places += [place - step for place in places]
    return places


def _leaf(
    tile: Pixels,
    center: npt.NDArray[np.float64],
    axes: npt.NDArray[np.float64],
    angle_deg: float,
    colour: npt.NDArray[np.float64],
) -> None:
    """Paint one leaf with its middle rib."""
    one = 1 << _FRACTION_BITS
    (x, y), (a, b) = np.rint(center * one).astype(int), np.rint(axes * one).astype(int)
    box = (int(x), int(y)), (int(a), int(b)), angle_deg, 0, 360
    cv2.ellipse(tile, *box, colour.tolist(), -1, cv2.LINE_AA, _FRACTION_BITS)
    angle_rad = math.radians(angle_deg)
    along = axes[0] * np.array([math.cos(angle_rad), math.sin(angle_rad)])
    (x0, y0), (x1, y1) = np.rint((center + np.array([-along, along])) * one).astype(int)
    ends = (int(x0), int(y0)), (int(x1), int(y1))
    cv2.line(tile, *ends, (colour * 0.75).tolist(), 1, cv2.LINE_AA, _FRACTION_BITS)


def coloured(size: Size, sigmas: Sequence[float], seed: int) -> pyvips.Image:
    """`octaves` of their own in each of three bands."""
    first, *others = (octaves(size, sigmas, 1000 * seed + 10 * band) for band in range(3))
    return first.bandjoin(others)


def octaves(size: Size, sigmas: Sequence[float], seed: int, grain_px: int = 1) -> pyvips.Image:
    """Noise of grains of `grain_px` and of twice, four times ... as many pixels; floats of mean 0.

    Args:
        sigmas: standard deviation of each grain size before it is enlarged, which smooths it.
        seed: of the smallest grains; the next numbers are those of the others.
    """
    width, height = size
    if grain_px > 1:
        # Two grains more than are seen, because enlarging fades out at the edges.
        grains = (math.ceil(width / grain_px) + 2, math.ceil(height / grain_px) + 2)
        large = octaves(grains, sigmas, seed).resize(grain_px, kernel="linear")
        return large.crop(grain_px, grain_px, width, height)
    smallest = pyvips.Image.gaussnoise(width, height, mean=0, sigma=sigmas[0], seed=seed)
    return smallest + octaves(size, sigmas[1:], seed + 1, 2) if sigmas[1:] else smallest


def _size(picture: pyvips.Image) -> Size:
    return picture.width, picture.height


def _srgb(picture: pyvips.Image) -> pyvips.Image:
    return picture.cast("uchar").copy(interpretation="srgb")
