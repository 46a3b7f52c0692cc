"""What the samples of a picture mean, and the same picture as 8-bit sRGB.

Two things are not told by the type of the samples: whether a fourth band is transparency or something else, say
near infrared; and which range deep and float samples use. The first is read from the file's tags, the second is
measured.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from tiling.errors import ImageError
from tiling.memory import nothing_collected
from tiling.tiff_tags import EXTRA_SAMPLES, Directory

_log = logging.getLogger(__name__)

OUTSIDE_GREY = 114  # the letterbox grey detectors are trained with; also put behind transparency
MOST_BANDS = 4
_ALPHA = (1, 2)  # of the TIFF tag ExtraSamples: premultiplied or not; 0 is unspecified
_SAMPLE_FORMATS = ("uchar", "ushort", "float", "double")
_DEPTHS = (8, 10, 12)  # bits that sensors deliver, often stored in 16
_SAMPLE_SIDE_PX = 1024  # of the reduced picture whose float samples are looked at
_UNIT = 1.0 + 1e-3  # rounding may leave white a little above 1
_HDR_WHITE = 99.5  # percentile of float samples of unlimited range that becomes white


@dataclass(frozen=True)
class Bands:
    """Which bands of a picture are its colours.

    Attributes:
        colours: 1 (grey), 3 (RGB) or 4 (CMYK); they come first.
        has_alpha: whether the band after them is transparency.
        remark: what was left out, in words; or empty.
    """

    colours: int
    has_alpha: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Range:
    """How samples are taken.

    Attributes:
        kind: "as is", "scaled" to 8 or 16 bits, or "linear" light.
        white: sample that becomes white.
        remark: the range in words, if it had to be found out; or empty.
        was_measured: whether the pixels were read for it.
    """

    kind: str = "as is"
    white: float = 1.0
    remark: str = ""
    was_measured: bool = True


def bands_of(header: Any, path: Path, first: Directory | None) -> Bands:
    """Tell colours and transparency apart.

    Args:
        header: the opened, undecoded picture; first: tags of its first directory, if it is a TIFF.

    Raises:
        ImageError: samples of a type that is no photograph (complex, 32-bit integer), or over four bands.
    """
    if header.format not in _SAMPLE_FORMATS:
        raise ImageError(
            f"{path}: samples of type {header.format} are not supported; export 8-bit, 16-bit or float samples"
        )
    n = int(header.bands)
    if n > MOST_BANDS:
        raise ImageError(
            f"{path}: {n} bands in each pixel, but a photograph has one to {MOST_BANDS}; "
            "export its red, green and blue bands"
        )
    if header.interpretation == "cmyk":
        return Bands(4)
    colours = 3 if n >= 3 else 1
    if n == colours:
        return Bands(colours)
    is_alpha = bool(header.hasalpha()) or header.interpretation == "multiband"
    if first is not None:
        is_alpha = first.first(EXTRA_SAMPLES) in _ALPHA
    if is_alpha:
        return Bands(colours, has_alpha=True)
    what = "near infrared?" if n == 4 else "depth?"
    return Bands(
        colours,
        remark=f"band {n} of the picture is not declared as transparency ({what}) and was left out",
    )


@nothing_collected()
def range_of(image: Any, bands: Bands) -> Range:
    """The range that deep and float samples use; reads the whole picture once if they are such.

    Args:
        image: opened for sequential or random access.

    Raises:
        pyvips.Error: it cannot be decoded.
    """
    colours = image.extract_band(0, n=bands.colours)
    if _is_float(image):
        return _float_range(_reduced(colours))
    if image.format == "ushort" and bands.colours < 4:
        most = colours.max()
        for depth in _DEPTHS:
            if 0 < most < 2**depth:
                return Range(
                    "scaled",
                    2**depth - 1.0,
                    f"16-bit samples use {depth} bits only and were scaled",
                )
        return Range()
    return Range(was_measured=False)


def to_srgb8(image: Any, bands: Bands, span: Range) -> Any:
    """The same picture as lazily converted 3-band 8-bit sRGB.

    An embedded ICC profile is honoured, and transparency is composited on the letterbox grey.

    Raises:
        pyvips.Error: the samples cannot be converted.
    """
    colour = _to_srgb(_colours(image, bands, span))
    if bands.has_alpha:
        alpha = _opacity(image, bands, span)
        colour = (colour * alpha + (1.0 - alpha) * OUTSIDE_GREY).rint()
    return colour if colour.format == "uchar" else colour.cast("uchar")


def _is_float(image: Any) -> bool:
    """Whether the samples are float by themselves; Lab pictures are, too, once libvips has opened them."""
    return image.format in ("float", "double") and image.interpretation not in (
        "lab",
        "xyz",
        "cmyk",
    )


def _reduced(image: Any) -> npt.NDArray[np.float32]:
    """Samples of a smaller picture, means of blocks."""
    step = max(1, max(image.width, image.height) // _SAMPLE_SIDE_PX)
    finite = _finite(image).cast("float")
    small = finite if step == 1 else finite.shrink(step, step)
    return np.asarray(small.numpy(), np.float32)


def _finite(image: Any) -> Any:
    """NaN, which float pictures hold where nothing was seen, becomes 0."""
    return (image == image).ifthenelse(image, 0)


def _float_range(samples: npt.NDArray[np.float32]) -> Range:
    low, middle, most = float(samples.min()), float(np.median(samples)), float(samples.max())
    if most <= _UNIT:
        return Range("linear", 1.0, "float samples from 0 to 1 were read as linear light")
    # Linear light has its median far below white, and white is 1; whole numbers of 8 and 16 bits have not.
    for white, limit in ((255.0, 2.0), (65535.0, 256.0)):
        if most <= white * _UNIT and middle > limit:
            return Range(
                "scaled",
                white,
                f"float samples from {low:.3g} to {most:.3g} were read as 0 to {white:g}",
            )
    white = max(1.0, float(np.percentile(samples, _HDR_WHITE)))
    return Range(
        "linear",
        white,
        f"float samples up to {most:.3g} were read as linear light, with {white:.3g} as white",
    )


def _colours(image: Any, bands: Bands, span: Range) -> Any:
    """The colour bands, scaled to a whole range that libvips knows."""
    colour = image.extract_band(0, n=bands.colours)
    is_float = _is_float(image)
    if is_float:
        colour = _finite(colour) / span.white
    if is_float and span.kind == "linear":
        if bands.colours == 1:
            colour = colour.bandjoin([colour, colour])
        return colour.copy(interpretation="scrgb")
    if is_float:
        return (colour * 255.0).rint().cast("uchar").copy(interpretation=_name(bands, deep=False))
    if span.kind == "scaled":
        colour = (colour * (65535.0 / span.white)).rint().cast("ushort")
    if image.interpretation == "multiband" or span.kind == "scaled":
        colour = colour.copy(interpretation=_name(bands, deep=colour.format == "ushort"))
    return colour


def _name(bands: Bands, *, deep: bool) -> str:
    if bands.colours == 1:
        return "grey16" if deep else "b-w"
    return "rgb16" if deep else "srgb"


def _opacity(image: Any, bands: Bands, span: Range) -> Any:
    """Transparency as 0..1; libvips scales it with the colour samples: 1.0, 255 or 65535 is opaque."""
    alpha = image[bands.colours].cast("float")
    if _is_float(image):
        return _finite(alpha) / (1.0 if span.kind == "linear" else span.white)
    if image.format == "ushort":
        return alpha / (span.white if span.kind == "scaled" else 65535.0)
    return alpha / 255.0


def _to_srgb(image: Any) -> Any:
    if image.interpretation != "scrgb" and image.get_typeof("icc-profile-data"):
        profile = bytes(image.get("icc-profile-data"))
        if b"sRGB" not in profile and b"s\0R\0G\0B" not in profile:
            try:
                return image.icc_transform("srgb", embedded=True, intent="relative", depth=8)
            except pyvips.Error as error:
                _log.warning("unusable colour profile ignored: %s", str(error).splitlines()[0])
    return image.colourspace("srgb")
