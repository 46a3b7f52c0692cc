"""The focal length that the camera wrote into the picture's EXIF tags."""

from __future__ import annotations

import math
from collections.abc import Mapping

_FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
# Standard deviation of the logarithm. Makers round the number and correct their lenses; some measure across the
# picture and some along its diagonal (CIPA DCG-001 leaves it open).
_LOG_SD = 0.08
_MOST_ASPECT = 2.0  # wider pictures are stitched, and carry the focal length of a single shot
_SAME_ASPECT = 0.02  # largest difference of log aspect ratios that still counts as the same shape


def focal_prior(tags: Mapping[str, float], width: int, height: int) -> tuple[float, float] | None:
    """Focal length in pixels and the standard deviation of its logarithm; None if the tags do not give it.

    The tag is not used if the picture was cropped later, that is, if its shape differs from the camera's.

    Args:
        tags: EXIF numbers: FocalLengthIn35mmFilm, and PixelXDimension, PixelYDimension if present.
        width, height: of the picture in pixels, upright or not.
    """
    focal_mm = tags.get("FocalLengthIn35mmFilm", 0.0)
    aspect = max(width, height) / min(width, height)
    if not 4.0 <= focal_mm <= 2000.0 or aspect > _MOST_ASPECT:
        return None
    taken = tags.get("PixelXDimension", 0.0), tags.get("PixelYDimension", 0.0)
    if min(taken) > 0 and abs(math.log(max(taken) / min(taken) / aspect)) > _SAME_ASPECT:
        return None
    return focal_mm / _FULL_FRAME_DIAGONAL_MM * math.hypot(width, height), _LOG_SD
