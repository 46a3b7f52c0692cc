"""The focal length that a camera wrote into its picture."""

from __future__ import annotations

import math
from collections.abc import Mapping

_FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
# Makers round, measure across or along the diagonal (CIPA DCG-001 leaves it open), and correct lenses.
_LOG_SD = 0.08
_MOST_ASPECT = 2.0  # wider pictures are stitched, and carry the focal length of one shot
_SAME_ASPECT = 0.02


def focal_prior(tags: Mapping[str, float], width: int, height: int) -> tuple[float, float] | None:
    """Focal length in pixels and the standard deviation of its logarithm; None where the tags do not tell.

    A picture that was cropped since, so that its shape is another than the camera's, has lost its focal length.

    Args:
        tags: of EXIF: FocalLengthIn35mmFilm, and PixelXDimension, PixelYDimension if they are there.
        width, height: of the picture, upright or not.
    """
    focal_mm = tags.get("FocalLengthIn35mmFilm", 0.0)
    aspect = max(width, height) / min(width, height)
    if not 4.0 <= focal_mm <= 2000.0 or aspect > _MOST_ASPECT:
        return None
    taken = tags.get("PixelXDimension", 0.0), tags.get("PixelYDimension", 0.0)
    if min(taken) > 0 and abs(math.log(max(taken) / min(taken) / aspect)) > _SAME_ASPECT:
        return None
    return focal_mm / _FULL_FRAME_DIAGONAL_MM * math.hypot(width, height), _LOG_SD
